import numpy as np
import pytest
from flwr.app import RecordDict

from bloodnet_model.errors import UnusableAnswer
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.paired import ClassSums, PlacementSums
from bloodnet_model.segmentation_sums import SegmentationSums
from bloodnet_model.settings import ModelSettings
from strategies.evaluation_records import (
    ComparisonRequest,
    SiteEvaluation,
    evaluation_config,
    pack_comparison,
    pack_evaluation,
    pack_placements,
    requested_split,
    requested_threshold,
    unpack_comparison,
    unpack_evaluation,
    unpack_placements,
)
from strategies.records import RoundPlan, question, unpack_plan


def made(seed: int, studies: int = 20) -> ScoreHistogram:
    rng = np.random.default_rng(seed)
    return ScoreHistogram.from_scores(rng.random(studies), np.arange(studies) % 2)


@pytest.fixture
def plan(small: ModelSettings) -> RoundPlan:
    return RoundPlan(run="r", seed=0, round=3, total_rounds=4, local_epochs=1, model=small)


def test_an_evaluation_goes_round() -> None:
    histograms = {name: made(seed) for seed, name in enumerate(CLASSES)} | {"epidural": made(9, 4).coarsened()}
    sums = SegmentationSums(3_000_000, 4, 70, 9, -5, 81, 3, 6, 1, 14, 2)
    sent = SiteEvaluation(2, "test", histograms, {"ge-revolution": made(7), "unknown": made(8, 3).coarsened()}, sums)
    received = unpack_evaluation(pack_evaluation(sent))
    assert received == sent
    assert received.histograms["epidural"].coarse_positives.sum() == 2


def test_a_comparison_goes_round(plan: RoundPlan) -> None:
    weights = np.arange(3, dtype=np.float32), np.full(3, 7, np.float32)
    content = pack_comparison(ComparisonRequest("test", weights, (made(0), made(1))), plan)
    received = unpack_comparison(content)
    assert [list(of) for of in received.weights] == [[0, 1, 2], [7, 7, 7]]
    assert received.pooled == (made(0), made(1))
    assert (received.split, unpack_plan(content)) == ("test", plan)


def test_placement_sums_go_round() -> None:
    sums = PlacementSums(ClassSums(3, -4, 10), ClassSums(5, 0, 0))
    assert unpack_placements(pack_placements(sums)) == sums


@pytest.mark.parametrize("values", [[3, -4], [3.0, 0.5, 10.0], [-1, 0, 0], [2, 10, 3]])
def test_sums_that_no_patients_can_have_are_refused(values: list[float]) -> None:
    content = pack_placements(PlacementSums(ClassSums(3, -4, 10), ClassSums(5, 0, 0)))
    content.metric_records["metrics"]["negatives"] = values
    with pytest.raises(UnusableAnswer, match="bad-counts"):
        unpack_placements(content)


def test_a_threshold_is_asked_for_or_not(plan: RoundPlan) -> None:
    asked: list[RecordDict] = [question(evaluation_config(plan, "test", at)) for at in (None, 0.25)]
    assert [requested_threshold(content) for content in asked] == [None, 0.25]
    assert requested_split(asked[0]) == "test"


def test_a_flood_of_groups_is_refused() -> None:
    flood = {f"g{number}": ScoreHistogram.empty() for number in range(65)}
    sent = SiteEvaluation(1, "test", dict.fromkeys(CLASSES, made(0)), flood)
    with pytest.raises(UnusableAnswer, match="too-many-groups"):
        unpack_evaluation(pack_evaluation(sent))
