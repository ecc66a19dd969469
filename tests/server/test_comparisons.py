"""Comparisons over sites that are plain functions of their own patients' scores."""

import numpy as np
import pytest
from flwr.app import RecordDict
from numpy.typing import NDArray
from scipy.special import expit

from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.paired import difference, placement_sums
from bloodnet_model.run_metrics import CrossSite, PairedRecord
from server.alone import compared_with_alone, train_alone
from server.comparisons import Patients, ScoredModel, compare
from server.console import paired_sentence
from server.federation import Federation
from server.rounds import evaluate
from strategies import records
from strategies.evaluation_records import (
    COMPARE,
    SiteEvaluation,
    pack_evaluation,
    pack_placements,
    requested_split,
    unpack_comparison,
)
from strategies.records import RoundPlan, SiteInfo
from tests.server.nodes import Node, started, trained

pytestmark = pytest.mark.usefixtures("clock_of_waits")

EVERYONE = frozenset({"a", "b", "c"})
ALL = Patients("all", EVERYONE)


class Hospital:
    """Its patients' scores depend on the first weight of the network: the higher, the better."""

    def __init__(self, name: str, studies: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.name, self.studies, self.labels = name, studies, np.arange(studies) % 2
        self.noise = rng.normal(size=studies)

    def scores(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(expit(weights[0] * self.labels + self.noise))

    def __call__(self, kind: str, content: RecordDict) -> RecordDict:
        if kind == records.ROLL_CALL:
            counts = {f"{split}-studies": self.studies for split in ("train", "validation", "test")}
            return records.pack_site_info(SiteInfo(self.name, "0", counts, {}))
        if kind == COMPARE:
            request = unpack_comparison(content)
            first, second = map(self.scores, request.weights)
            return pack_placements(placement_sums(first, second, self.labels, *request.pooled))
        weights, plan, _ = records.unpack_instruction(content)
        if kind == "train":
            return records.pack_update(trained(weights + np.float32(plan.local_epochs), plan, self.studies))
        histogram = ScoreHistogram.from_scores(self.scores(weights), self.labels)
        return pack_evaluation(SiteEvaluation(plan.round, requested_split(content), dict.fromkeys(CLASSES, histogram)))


def hospitals() -> dict[int, Hospital]:
    return {number: Hospital(name, 30 + 10 * number, number) for number, name in enumerate("abc", start=1)}


def scored(federation: Federation, plan: RoundPlan, name: str, first: float) -> ScoredModel:
    weights = np.full(3, first, np.float32)
    return ScoredModel(name, weights, evaluate(federation, weights, plan, "test"))


def compared(nodes: dict[int, Node], patients: Patients = ALL) -> PairedRecord:
    with started(nodes) as federation:
        plan = federation.plan(1)
        good, poor = scored(federation, plan, "good", 2), scored(federation, plan, "poor", 1)
        return PairedRecord.model_validate(compare(federation, plan, "test", good, poor, patients))


def directly(of: list[Hospital]) -> tuple[float, float, float, int]:
    """Difference and interval of the same patients in one place."""
    labels = np.concatenate([one.labels for one in of])
    good, poor = (np.concatenate([one.scores(np.array([first], np.float32)) for one in of]) for first in (2, 1))
    pooled = [ScoreHistogram.from_scores(scores, labels) for scores in (good, poor)]
    found = difference(placement_sums(good, poor, labels, *pooled))
    return found.delta, *found.interval(), len(labels)


def test_sites_together_give_what_all_patients_in_one_place_would() -> None:
    nodes = hospitals()
    record = compared(dict(nodes))
    assert (record.delta, record.low, record.high, record.studies) == directly(list(nodes.values()))
    assert record.auc_first is not None
    assert record.auc_second is not None
    assert record.delta == pytest.approx(record.auc_first - record.auc_second, abs=1e-12)
    assert record.not_inferior is True


def test_patients_may_be_those_of_one_site() -> None:
    nodes = hospitals()
    record = compared(dict(nodes), Patients("b", frozenset({"b"})))
    assert (record.delta, record.low, record.high, record.studies) == directly([nodes[2]])


@pytest.mark.parametrize("code", ["too-few-of-a-class", "internal-error", None])
def test_a_site_that_does_not_compare_is_left_out_and_the_others_are_exact(code: str | None) -> None:
    nodes = hospitals()

    def unwilling(kind: str, content: RecordDict) -> RecordDict | None:
        if kind == COMPARE:
            return records.refusal(code) if code else None
        return nodes[3](kind, content)

    record = compared({1: nodes[1], 2: nodes[2], 3: unwilling})
    assert (record.delta, record.low, record.high, record.studies) == directly([nodes[1], nodes[2]])


def test_a_site_that_compares_other_patients_than_it_counted_is_left_out() -> None:
    nodes, other = hospitals(), Hospital("c", 80, 9)

    def strange(kind: str, content: RecordDict) -> RecordDict:
        return (other if kind == COMPARE else nodes[3])(kind, content)

    record = compared({1: nodes[1], 2: nodes[2], 3: strange})
    assert record.studies == directly([nodes[1], nodes[2]])[3]


def test_nobody_who_compares_is_said() -> None:
    nodes = hospitals()

    def unwilling(of: Hospital) -> Node:
        return lambda kind, content: records.refusal("x") if kind == COMPARE else of(kind, content)

    record = compared({number: unwilling(of) for number, of in nodes.items()})
    assert (record.delta, record.studies, record.undefined) == (None, 0, "no site could compare the two models.")


def test_equal_models_have_no_interval_and_no_verdict() -> None:
    with started(dict(hospitals())) as federation:
        model = scored(federation, federation.plan(1), "one", 1)
        record = PairedRecord.model_validate(compare(federation, federation.plan(1), "test", model, model, ALL))
    assert (record.delta, record.low, record.not_inferior) == (0, None, None)
    assert record.undefined is not None
    assert "rank every patient alike" in record.undefined


def test_every_site_is_trained_alone_and_tested_everywhere() -> None:
    nodes = hospitals()

    def cannot_train(kind: str, content: RecordDict) -> RecordDict:
        return records.refusal("diverged") if kind == "train" else nodes[3](kind, content)

    with started({1: nodes[1], 2: nodes[2], 3: cannot_train}, rounds=3, local_epochs=2) as federation:
        alone = train_alone(federation, np.zeros(3, np.float32))
        federated = scored(federation, federation.plan(3), "federated", 2)
        found = compared_with_alone(federation, 3, federated, alone)
    assert {site: weights.tolist() for site, weights in alone.items()} == {"a": [6.0] * 3, "b": [6.0] * 3}
    matrix = CrossSite.model_validate(found["cross_site"]).rows
    assert list(matrix) == ["federated", "a alone", "b alone"]
    assert list(matrix["a alone"]) == ["a", "b", "c"]
    told = [(entry["first"], entry["second"], entry["patients"]) for entry in found["comparisons"]]
    assert told == [
        ("federated", "a alone", "a"),
        ("federated", "a alone", "others than a"),
        ("federated", "b alone", "b"),
        ("federated", "b alone", "others than b"),
    ]
    assert all(PairedRecord.model_validate(entry).studies for entry in found["comparisons"])


def test_the_console_says_a_difference_in_one_line() -> None:
    entry = compared(dict(hospitals())).model_dump()
    delta, low, high = (f"{entry[name]:+.3f}" for name in ("delta", "low", "high"))
    assert paired_sentence(entry) == f"good minus poor: {delta} ({low} to {high})"
    assert paired_sentence({**entry, "patients": "b"}).startswith("good minus poor at home: +")
    assert paired_sentence({**entry, "patients": "others than b"}).startswith("good minus poor elsewhere: +")
    nothing = {**entry, "delta": None, "undefined": "the difference is undefined: no positive study."}
    assert paired_sentence(nothing) == "good minus poor: undefined: no positive study"
