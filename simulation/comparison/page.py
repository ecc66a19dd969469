"""The comparison's page: what federating was worth, to all patients together and to each hospital."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from markupsafe import Markup

from bloodnet_model.files import write_whole
from bloodnet_model.page import render_page
from simulation.comparison.heat_table import HEAT_STYLE, heat_rows, lowest
from simulation.comparison.template import BODY
from simulation.comparison.ways import CENTRAL, CENTRAL_TOTAL
from simulation.comparison_figures import DifferenceRow, auc_plot, difference_plot

REPORT: Final = "comparison.html"
_ROOM: Final = 11  # letters of a hospital's name beside its difference


def write_page(out: Path, found: Mapping[str, Any]) -> Path:
    """`comparison.html` from what `comparison.json` holds; returns its path."""
    page = out / REPORT
    write_whole(page, page_html(found))
    return page


def page_html(found: Mapping[str, Any]) -> str:
    """Equal results give equal text."""
    shown = (
        "data",
        "preset",
        "rounds",
        "local_epochs",
        "seeds",
        "reference",
        "test",
        "ways",
        "hospitals",
        "cross_site",
    )
    aucs = {name: way["auc"] for name, way in found["ways"].items() if None not in way["auc"]}
    return render_page(
        BODY,
        {"pair": _pair, "thousands": "{:,}".format, "average": _average, "reading": _reading},
        HEAT_STYLE,
        headline=headline(found),
        sentences=list(sentences(found)),
        against=found["differences"],
        differences=_drawn(_rows(found["differences"].items()), found["reference"], "Differences; see the table."),
        worth=_drawn(_worth_rows(found), found["reference"], "Differences by hospital; see the table."),
        aucs=_every_training(aucs, found["reference"]),
        heat=heat_rows(found),
        lowest=lowest(found),
        **{name: found[name] for name in shown},
    )


def headline(found: Mapping[str, Any]) -> str:
    """The point in one line; synthetic data are named in its first words."""
    before = "Synthetic heads: " if found["data"] == "synthetic" else ""
    reference = found["reference"]
    return f"{before}{reference} reaches a pooled test AUC of {_average(found['ways'][reference]['auc'])}"


def sentences(found: Mapping[str, Any]) -> Iterator[str]:
    """Against training in one place, and against every hospital alone, in plain language."""
    named = {
        CENTRAL: "training in one place with as many steps in sequence",
        CENTRAL_TOTAL: "training in one place with as many steps as all hospitals have together",
    }
    for way, words in named.items():
        one = found["differences"][way]
        if one["delta"] is not None:
            yield f"Against {words}: {one['delta']:+.3f} ({_pair(one['interval'])})."
    gains = [both["others"]["delta"] for both in found["hospitals"].values() if both["others"]["delta"] is not None]
    if gains:
        yield (
            f"Against a hospital that trains alone, on other hospitals' patients: {fmean(gains):+.3f} on average, "
            f"{min(gains):+.3f} to {max(gains):+.3f} by hospital."
        )


def _drawn(rows: Sequence[DifferenceRow], reference: str, description: str) -> Markup | str:
    if not rows:
        return "No difference exists; the table says why."
    return Markup(difference_plot(rows, f"AUC of {reference} minus AUC of the other", description))


def _every_training(aucs: Mapping[str, Sequence[float]], reference: str) -> Markup | str:
    if not aucs:
        return "No AUC exists; the tables say why."
    return Markup(auc_plot(aucs, reference, "Test AUC of every training; see the table of steps."))


def _rows(differences: Iterable[tuple[str, Any]]) -> list[DifferenceRow]:
    return [
        DifferenceRow(name, one["delta"], one["interval"], one["patients_delong"], stressed=name == CENTRAL)
        for name, one in differences
        if one["delta"] is not None
    ]


def _worth_rows(found: Mapping[str, Any]) -> list[DifferenceRow]:
    hospitals = found["hospitals"].items()
    return _rows((f"{_fitting(name)}, {of}", both[of]) for of in ("own", "others") for name, both in hospitals)


def _fitting(name: str) -> str:
    """A hospital's name where the figure has little room; long ones often differ at their end."""
    return name if len(name) <= _ROOM else f"{name[: _ROOM - 6]}…{name[-5:]}"


def _reading(one: Mapping[str, Any]) -> str:
    """Whether the interval decides it, and if not, how many such studies would."""
    if one["interval"] is None:
        return "equal: both rank every patient alike"
    low, high = one["interval"]
    if low > 0 or high < 0:
        return "better" if low > 0 else "worse"
    needed = one["studies_to_decide"]
    return f"undecided; {needed:,} such studies might tell" if needed else "undecided"


def _average(aucs: Sequence[float | None]) -> str:
    known = [auc for auc in aucs if auc is not None]
    return f"{fmean(known):.3f}" if len(known) == len(aucs) else "undefined"


def _pair(interval: Sequence[float] | None) -> str:
    return "undefined" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"
