"""Who is asked, who is waited for, who is left out, and that none of it depends on who was faster."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.chained_log import ChainedLog
from bloodnet_model.errors import DataError, RoundError, SettingsError
from server import readmission
from server.federation import draw, round_plan
from server.journal import FOLDER
from server.run_log import LOG
from server.settings import run_settings
from server.sites import roll_call
from strategies import records
from strategies.fedavg import FedAvg
from strategies.records import RoundPlan
from strategies.registry import make_strategy
from tests.server.nodes import FunctionGrid, Node, Silent, in_training, rounds_of, run, site, started, trained

pytestmark = pytest.mark.usefixtures("clock_of_waits")

VALUES = [2.0**60, 1.0, -(2.0**60), 3.0, 2.0**58, 5.0, -(2.0**58), 7.0, 2.0**59, 9.0, -(2.0**59), 11.0]
"""Whose sum in float64 depends on the order: what is small is lost beside what is large, unless that is gone before."""


class InOrder(FunctionGrid):
    """Answers come in a given order of the nodes."""

    order: tuple[int, ...] = ()

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        waiting = sorted((i for i in message_ids if i in self.replies), key=self._place)
        return [self.replies.pop(i) for i in waiting]

    def _place(self, message_id: str) -> int:
        return self.order.index(self.replies[message_id].metadata.src_node_id)


def after(order: tuple[int, ...], strategy: str) -> bytes:
    """The weights after a round of as many sites as `order` has, which answer in it."""
    nodes = {node: site(f"s{node:02}", VALUES[node]) for node in range(len(order))}
    with started(nodes, strategy=make_strategy(strategy, {}), rounds=1) as federation:
        grid = InOrder(nodes)
        grid.order = order
        object.__setattr__(federation, "grid", grid)
        return rounds_of(federation)[-1].weights.tobytes()


@pytest.mark.parametrize("strategy", ["fedavg", "fedadam", "median"])
def test_every_order_of_arrival_of_four_sites_gives_the_same_bytes(strategy: str) -> None:
    assert len({after(order, strategy) for order in permutations(range(4))}) == 1


def test_random_orders_of_arrival_of_twelve_sites_give_the_same_bytes() -> None:
    rng = np.random.default_rng(1)
    orders = [tuple(range(12)), *(tuple(rng.permutation(12).tolist()) for _ in range(20))]
    assert len({after(order, "fedavg") for order in orders}) == 1


def late(node: Node, rounds: set[int]) -> Node:
    """`node`, but silent in training in some rounds."""

    def answer(kind: str, content: RecordDict) -> RecordDict | Error | None:
        return None if kind == "train" and records.unpack_plan(content).round in rounds else node(kind, content)

    return answer


def test_a_late_site_is_left_out_of_the_round_and_welcome_in_the_next() -> None:
    results, _ = run({1: site("a", 1.0), 2: late(site("b", 5.0), {1})})
    assert [set(result.updates) for result in results] == [{"a"}, {"a", "b"}]
    assert results[0].refused == {"b": "no-answer"}
    assert not results[0].end.answered_s
    assert results[-1].weights.tolist() == [4.0] * 3


def test_a_round_with_too_few_updates_asks_again_whoever_gave_none() -> None:
    asked: list[str] = []

    def failing_once(kind: str, content: RecordDict) -> RecordDict | Error | None:
        if kind == "train":
            asked.append("b")
            return Error(0, "") if asked.count("b") == 1 else site("b", 5.0)(kind, content)
        return site("b", 5.0)(kind, content)

    def counting(kind: str, content: RecordDict) -> RecordDict | Error | None:
        if kind == "train":
            asked.append("a")
        return site("a", 1.0)(kind, content)

    results, _ = run({1: counting, 2: failing_once}, rounds=1, minimum_sites=2, wait_s=20, deadline_s=0.5)
    assert results[0].weights.tolist() == [3.0] * 3
    assert sorted(asked) == ["a", "b", "b"]
    assert results[0].refused == {}


def test_what_the_gate_refused_is_not_asked_for_again() -> None:
    def wrong(kind: str, content: RecordDict) -> RecordDict | Error | None:
        if kind != "train":
            return site("b", 5.0)(kind, content)
        return records.pack_update(trained(np.full(3, np.nan, np.float32), records.unpack_plan(content)))

    with pytest.raises(RoundError, match=r"1 usable updates, 2 are needed \(b: not finite\); .* resume"):
        run({1: site("a", 1.0), 2: wrong}, minimum_sites=2, wait_s=60)


@given(
    sites=st.sets(st.text("abcdef", min_size=1, max_size=6), min_size=1, max_size=12),
    share=st.floats(0.01, 1),
    least=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_a_draw_is_of_its_size_and_of_the_sites_whatever_their_order(
    sites: set[str], share: float, least: int, seed: int
) -> None:
    drawn = draw(sorted(sites), share, least, seed, 3)
    assert drawn <= sites
    assert len(drawn) == min(len(sites), max(least, int(np.ceil(share * len(sites)))))
    assert drawn == draw(sorted(sites, reverse=True), share, least, seed, 3)


def test_every_site_is_drawn_about_as_often_as_any_other() -> None:
    drawn = [site for number in range(900) for site in draw("abc", 1 / 3, 1, 0, number)]
    assert all(250 < drawn.count(site) < 350 for site in "abc")


def test_a_share_of_the_sites_trains_and_all_of_them_validate() -> None:
    nodes = {node: site(f"s{node}", 1.0) for node in range(4)}
    results, _ = run(nodes, rounds=6, participation=0.5)
    assert all(len(result.updates) == 2 for result in results)
    assert all(set(result.resting.values()) == {"not-asked"} for result in results)
    assert len({frozenset(result.updates) for result in results}) > 1
    assert all(result.validation.pooled()["any"].studies == 8 for result in results)


def test_a_round_that_was_begun_asks_the_same_sites_whoever_has_come_since() -> None:
    nodes = {node: site(f"s{node}", 1.0) for node in range(6)}
    with started(nodes, rounds=1, participation=0.5) as federation:
        federation.journal.plan(1, ["s0", "s5"])
        assert set(rounds_of(federation)[0].updates) == {"s0", "s5"}


def test_a_round_of_which_too_few_have_come_back_asks_others_and_counts_what_it_has() -> None:
    nodes = {node: site(f"s{node}", 1.0) for node in range(4)}
    with started(nodes, rounds=1, participation=0.5, minimum_sites=2) as federation:
        federation.journal.plan(1, ["gone", "s0"])
        (result,) = rounds_of(federation)
        assert len(result.updates) == 2
        log = ChainedLog.read(federation.journal.run_folder / FOLDER / LOG)
        asked = [event["sites"] for event in log.events if event["event"] == "plan"]
        assert asked[-1] == sorted(result.updates)


def test_a_strategy_gets_as_many_sites_as_it_needs_however_small_the_share() -> None:
    nodes = {node: site(f"s{node}", 1.0 + node / 10) for node in range(7)}
    with started(nodes, strategy=make_strategy("krum", {}), participation=0.1) as federation:
        assert len(rounds_of(federation)[0].updates) == 5


def hearing(node: Node, plans: list[RoundPlan]) -> Node:
    def answer(kind: str, content: RecordDict) -> RecordDict | Error | None:
        if kind == "train":
            plans.append(records.unpack_plan(content))
        return node(kind, content)

    return answer


def test_every_site_gets_its_own_plan() -> None:
    small: list[RoundPlan] = []
    large: list[RoundPlan] = []
    nodes = {1: hearing(late(site("a", 1.0), {2}), small), 2: hearing(site("b", 1.0), large)}
    run(nodes, rounds=3, local_epochs=2, site_epochs={"b": 1})
    assert [plan.local_epochs for plan in small] == [2, 2, 2]
    assert [plan.local_epochs for plan in large] == [1, 1, 1]
    assert [plan.counted_round for plan in small] == [0, 1, 1]
    assert [plan.counted_round for plan in large] == [0, 1, 2]


def refused(name: str) -> Callable[[str, RecordDict], RecordDict | Error | None]:
    def answer(kind: str, content: RecordDict) -> RecordDict | Error | None:
        if kind != "train":
            return site(name, 1.0)(kind, content)
        return records.pack_update(trained(np.full(3, np.inf, np.float32), records.unpack_plan(content)))

    return answer


def test_three_refusals_in_a_row_set_a_site_aside_until_it_is_admitted_again() -> None:
    asked: list[RoundPlan] = []
    with started({1: site("a", 1.0), 2: hearing(refused("b"), asked)}, rounds=5) as federation:
        results = rounds_of(federation)
        assert federation.aside == {"b"}
        assert [plan.round for plan in asked] == [1, 2, 3]
        assert [dict(result.resting) for result in results] == [{}, {}, {}, {"b": "set-aside"}, {"b": "set-aside"}]
        assert results[3].validation.withheld == {"b": "set-aside"}
        assert results[2].validation.withheld == {}
        assert set(results[2].end.answered_s) == {"b"}

        readmission.ask_for(federation.journal.run_folder, "b")
        object.__setattr__(federation, "settings", federation.settings.model_copy(update={"rounds": 6}))
        assert rounds_of(federation)[-1].refused == {"b": "not-finite"}
        assert [plan.round for plan in asked] == [1, 2, 3, 6]
        assert not federation.aside
        assert list(federation.journal.lines)[-1]["readmitted"] == ["b"]


def test_sites_that_cannot_answer_are_never_set_aside() -> None:
    results, _ = run({1: site("a", 1.0), 2: in_training(site("b", 1.0), Error(0, ""))}, rounds=5)
    assert all(result.refused == {"b": "node-error"} for result in results)


def test_admitting_again_needs_a_run_in_which_the_site_is_set_aside(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Give the folder of a run that kept a journal"):
        readmission.ask_for(tmp_path, "b")
    with started({1: site("a", 1.0), 2: refused("b")}, rounds=3) as federation:
        rounds_of(federation)
        with pytest.raises(DataError, match=r"a: is not set aside in .*; b is"):
            readmission.ask_for(federation.journal.run_folder, "a")


class Said(Silent):
    """What the person at the terminal is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, list[str]]] = []

    def step(self, label: str, names: Iterable[str], until: datetime | None = None) -> None:
        self.steps.append((label, list(names)))


def test_only_the_sites_that_a_run_names_are_in_it() -> None:
    with started({1: site("a", 1.0), 2: site("b", 5.0)}, sites=["b"]) as federation:
        assert federation.sites.refused == {"a": "not-in-this-run"}
        assert set(rounds_of(federation)[-1].updates) == {"b"}


def test_a_node_that_the_superlink_knows_by_another_name_is_not_even_asked() -> None:
    asked: list[str] = []

    def stranger(kind: str, content: RecordDict) -> RecordDict | Error | None:
        asked.append(kind)
        return site("b", 5.0)(kind, content)

    settings = run_settings({"sites": ["a"], "deadline_s": 60})
    grid = FunctionGrid({1: site("a", 1.0), 2: stranger}, names={1: "a", 2: "b"})
    assert set(roll_call(grid, round_plan(settings, "r", 0), settings, Silent()).info) == {"a"}
    assert not asked


def test_a_site_cannot_answer_by_another_name_than_it_was_admitted_by() -> None:
    settings = run_settings({"deadline_s": 60, "wait_s": 0})
    grid = FunctionGrid({1: site("a", 1.0), 2: site("a", 5.0)}, names={1: "a", 2: "b"})
    sites = roll_call(grid, round_plan(settings, "r", 0), settings, Silent())
    assert sites.names == {1: "a"}
    assert sites.refused == {"b": "another-name"}


@pytest.mark.parametrize("looks", [1, 2, 20])
def test_the_roll_call_waits_for_the_sites_that_are_named_and_says_for_whom(looks: int) -> None:
    nodes, said = {1: site("a", 1.0)}, Said()
    waiting = ("waiting for sites to connect", ["b"])

    class Slow(FunctionGrid):
        def get_node_ids(self) -> list[int]:
            if said.steps.count(waiting) == looks:  # while it was being waited for so long, the second one connects
                self.nodes[2] = site("b", 1.0)
            return list(self.nodes)

    settings = run_settings({"sites": ["a", "b"], "deadline_s": 60, "wait_s": 30})
    assert set(roll_call(Slow(nodes), round_plan(settings, "r", 0), settings, said).info) == {"a", "b"}
    assert said.steps.count(waiting) == looks


def test_the_wait_for_sites_is_given_up_with_their_names() -> None:
    settings = run_settings({"sites": ["a", "b"], "minimum_sites": 2, "deadline_s": 60, "wait_s": 0.1})
    grid = FunctionGrid({1: site("a", 1.0)})
    with pytest.raises(
        SettingsError, match=r"1 of the 2 sites this run needs can train \(b is not connected\); see to"
    ):
        roll_call(grid, round_plan(settings, "r", 0), settings, Silent())


@pytest.mark.parametrize("reason", ["not-allowed", "not-approved"])
def test_a_site_where_somebody_says_yes_later_is_asked_again(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.sites._AGAIN_S", 0.0)
    asked: list[str] = []

    def hesitating(kind: str, content: RecordDict) -> RecordDict | Error | None:
        asked.append(kind)
        return records.refusal(reason) if len(asked) == 1 else site("b", 5.0)(kind, content)

    settings = run_settings({"sites": ["a", "b"], "deadline_s": 60, "wait_s": 30})
    grid = FunctionGrid({1: site("a", 1.0), 2: hesitating}, names={1: "a", 2: "b"})
    plan = round_plan(settings, "r", 0)
    sites = roll_call(grid, plan, settings, Silent())
    sites.call_newcomers(grid, plan, settings, Silent())
    assert set(sites.info) == {"a", "b"}
    assert asked == [records.ROLL_CALL] * 2
    assert sites.refused == {}


def test_a_site_that_asks_before_a_run_is_not_asked_every_second() -> None:
    asked: list[str] = []

    def never(kind: str, content: RecordDict) -> RecordDict | Error | None:
        asked.append(kind)
        return records.refusal("not-allowed")

    settings = run_settings({"sites": ["a", "b"], "minimum_sites": 2, "deadline_s": 60, "wait_s": 2.5})
    grid = FunctionGrid({1: site("a", 1.0), 2: never}, names={1: "a", 2: "b"})
    with pytest.raises(RoundError, match="b asks before a run, and nobody there has allowed this one"):
        roll_call(grid, round_plan(settings, "r", 0), settings, Silent())
    assert asked == [records.ROLL_CALL]


def test_a_site_that_connects_later_joins_the_next_round() -> None:
    nodes: dict[int, Node] = {1: site("a", 1.0)}
    with started(nodes, rounds=2) as federation:
        joined = hearing(site("b", 5.0), [])
        train = nodes[1]

        def bringing(kind: str, content: RecordDict) -> RecordDict | Error | None:
            nodes.setdefault(2, joined)
            return train(kind, content)

        federation.grid.nodes[1] = bringing  # type: ignore[attr-defined]
        results = rounds_of(federation)
    assert [set(result.updates) for result in results] == [{"a"}, {"a", "b"}]


def test_a_strategy_knows_of_every_site_that_may_train_also_of_one_that_joined() -> None:
    told: list[int] = []

    class Listening(FedAvg):
        def begin(self, population: int, decoder: slice) -> None:
            told.append(population)

    nodes: dict[int, Node] = {1: site("a", 1.0)}
    with started(nodes, rounds=2, strategy=Listening()) as federation:
        nodes[2] = site("b", 5.0)
        rounds_of(federation)
    assert told == [1, 2, 2]


def test_an_update_that_moved_much_further_than_the_others_does_not_count() -> None:
    nodes = {node: site(f"s{node}", value) for node, value in enumerate([1.0, 1.5, 2.0, 30.0])}
    results, _ = run(nodes, rounds=1, norm_ratio=10)
    assert results[0].refused == {"s3": "norm-unlike-others"}
    assert results[0].weights.tolist() == [1.5] * 3


def test_so_does_a_control() -> None:
    def controlled(name: str, change: float) -> Node:
        def answer(kind: str, content: RecordDict) -> RecordDict | Error | None:
            if kind != "train":
                return site(name, 1.0)(kind, content)
            weights, plan, _ = records.unpack_instruction(content)
            control = np.full(3, change, np.float32)
            return records.pack_update(replace(trained(weights + np.float32(1), plan), control_change=control))

        return answer

    nodes = {node: controlled(f"s{node}", change) for node, change in enumerate([1.0, 1.5, 2.0, 30.0])}
    results, _ = run(nodes, strategy=make_strategy("scaffold", {}), rounds=1, norm_ratio=10)
    assert results[0].refused == {"s3": "control-unlike-others"}
