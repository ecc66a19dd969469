"""The table of faults: what it says of an outcome, and that the page has it as it was measured."""

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.faults.__main__ import FAULTS
from benchmarks.faults.measure import Outcome
from benchmarks.faults.page import BEGIN, END, table, with_table

DOCS = Path(__file__).parent.parent.parent / "docs"
OUTCOME = Outcome(
    title="`kill -9` of a thing",
    mended="",
    lasted_s=0,
    recovery_s=41,
    usual_s=9,
    rounds_lost=0,
    resumed=0,
    restarted={},
    said=[],
    same_sites=True,
    same_model=True,
)


def row_of(outcome: Outcome) -> list[str]:
    told = table({"machine": "2 cores", "faults": {"thing": outcome.to_json()}})
    return [cell.strip() for cell in told.strip().rpartition("\n")[2].strip("|").split("|")]


def test_the_page_has_the_table_of_what_was_measured() -> None:
    page, told = (DOCS / "faults.md").read_text(), json.loads((DOCS / "faults.json").read_text())
    assert with_table(page, told) == page
    assert list(told["faults"]) == list(FAULTS)


def test_nothing_but_the_table_changes() -> None:
    page = with_table(f"before\n{BEGIN}\nold\n{END}\nafter\n", {"machine": "2 cores", "faults": {}})
    assert page.startswith(f"before\n{BEGIN}\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "old" not in page


def test_a_fault_that_needs_nobody() -> None:
    assert row_of(OUTCOME) == [
        "`kill -9` of a thing",
        "0",
        "41 (9)",
        "yes, yes",
        "the run went on by itself",
        "nothing",
    ]


def test_what_had_to_be_done_is_said() -> None:
    restarted = {"up": 1, "hospital-1": 2, "hospital-2": 1}
    said = ["error: gone.", "round 7/40  4 of 4 sites"]
    told = row_of(replace(OUTCOME, mended="the site frees its disk", resumed=2, restarted=restarted, said=said))
    assert told[4] == (
        "started again by their service managers: `bloodnet-server up` once, SuperNodes 3 times; "
        "the run stopped: “gone.”; the run stopped"
    )
    assert told[5] == "the site frees its disk, then `bloodnet-server resume RUN` (twice)"


def test_what_is_not_as_it_should_be_stands_out() -> None:
    assert row_of(replace(OUTCOME, same_sites=False))[3] == "**no**, yes"
    assert row_of(replace(OUTCOME, same_model=False))[3] == "yes, **no**"
