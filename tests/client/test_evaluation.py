"""What a site says of its patients, and what it holds back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.paired import difference, placement_sums
from bloodnet_model.prediction import predict_study
from bloodnet_model.segmentation_sums import SegmentationSums
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.study_sums import study_sums
from bloodnet_model.weights import flat_weights
from client.app import SITE_FOLDER, app
from client.dataset import SiteData, load_site, prepare
from client.evaluation import evaluate_at_site, released, released_sums
from simulation.phantom import PhantomSettings, write_federation
from strategies import records
from strategies.evaluation_records import (
    COMPARE,
    ComparisonRequest,
    SiteEvaluation,
    pack_comparison,
    unpack_placements,
)
from strategies.records import RoundPlan

STUDIES = 24


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "hospitals"
    settings = PhantomSettings(hospitals=1, studies=STUDIES, slices=8, matrix=64)
    (site,) = write_federation(folder, settings, 1, lambda: None)
    return site


@pytest.fixture(scope="module")
def model() -> ModelSettings:
    return model_settings("tiny", preprocessing={"rows": 32, "columns": 24, "spacing_mm": 7.0})


@pytest.fixture
def network(model: ModelSettings) -> BloodNet:
    return build_network(model, 0)


def site(hospital: Path, folder: Path, model: ModelSettings, **rules: object) -> SiteData:
    """The hospital under other rules, all of its patients tests."""
    rules = {"name": "a", "members": [str(hospital)], "validation_share": 0, **rules}
    (folder / "site.yaml").write_text(yaml.safe_dump(rules))
    return prepare(load_site(folder), model.preprocessing)


def plan(model: ModelSettings) -> RoundPlan:
    return RoundPlan(run="r", seed=0, round=3, total_rounds=4, local_epochs=1, model=model)


def evaluated(data: SiteData, network: BloodNet, model: ModelSettings, at: float | None = None) -> SiteEvaluation:
    return evaluate_at_site(data, network, plan(model), "train", at)


def test_every_patient_is_in_the_counts(
    hospital: Path, tmp_path: Path, model: ModelSettings, network: BloodNet
) -> None:
    data = site(hospital, tmp_path, model, minimum_cohort=1, minimum_class=1)
    studies = data.studies("train")
    predictions = [predict_study(network, study, model) for study in studies]
    threshold = float(np.median([prediction.probabilities[0] for prediction in predictions]))
    found = evaluated(data, network, model, threshold)
    assert (found.round, found.split) == (3, "train")
    for j, name in enumerate(CLASSES):
        scores, labels = [of.probabilities[j] for of in predictions], [study.study_labels[j] for study in studies]
        assert found.histograms[name] == ScoreHistogram.from_scores(scores, labels)
    sums = found.segmentation
    assert sums.called + sums.not_called == len(studies)
    assert 0 < sums.called < len(studies)
    assert sums.dice_studies == sums.volumes == sum(bool(study.mask_bits.any()) for study in studies) > 0
    assert sums.negatives == sum(study.study_labels[0] == 0 for study in studies)
    each = [study_sums(of, study, 7.0, threshold) for of, study in zip(predictions, studies, strict=True)]
    assert sums == sum(each, start=SegmentationSums())


def test_the_volume_of_one_study_is_its_voxels(
    hospital: Path, tmp_path: Path, model: ModelSettings, network: BloodNet
) -> None:
    data = site(hospital, tmp_path, model)
    study = next(study for study in data.studies("train") if study.mask_bits.any())
    prediction = predict_study(network, study, model)
    outlined = np.zeros_like(prediction.mask)
    outlined[2, 3:5, 7] = True
    one = study_sums(replace(prediction, mask=outlined), study, 7.0, None)
    drawn = int((study.mask_bits & 1).sum())
    assert study.slice_mm > 0
    assert one.difference_ul == pytest.approx((2 - drawn) * 14.0**2 * study.slice_mm, abs=1)
    assert one.difference_squares_ul2 == one.difference_ul**2
    assert (one.negatives, one.called, one.not_called) == (0, 0, 0)
    unknown = study_sums(replace(prediction, mask=outlined), replace(study, slice_mm=float("nan")), 7.0, None)
    assert (unknown.volumes, unknown.dice_studies) == (0, 1)


def test_few_patients_of_a_class_leave_coarsely() -> None:
    many = ScoreHistogram.from_scores(np.linspace(0.01, 0.99, 40), np.arange(40) % 2)
    four = ScoreHistogram.from_scores([0.1, 0.2, 0.3, 0.4, 0.31, 0.93], [0, 0, 0, 0, 1, 1])
    nobody = ScoreHistogram.from_scores([0.1] * 9, [0] * 9)
    assert released(many, 5) == many
    assert released(four, 5) == four.coarsened() != four
    assert released(four, 2) == four
    assert released(nobody, 5) == nobody
    assert released(ScoreHistogram.empty(), 5) == ScoreHistogram.empty()


def test_sums_over_few_patients_do_not_leave() -> None:
    sums = SegmentationSums(
        dice_millionths=3_000_000, dice_studies=4, false_positive_ul=70, negatives=9,
        difference_ul=-5, difference_squares_ul2=81, volumes=3, called=6, not_called=14,
    )  # fmt: skip
    kept = released_sums(sums, 5)
    assert (kept.dice_millionths, kept.dice_studies, kept.difference_ul, kept.volumes) == (0, 0, 0, 0)
    assert (kept.false_positive_ul, kept.negatives, kept.called, kept.not_called) == (70, 9, 6, 14)
    assert released_sums(sums, 1) == sums


def test_a_sites_own_rules_decide(hospital: Path, tmp_path: Path, model: ModelSettings, network: BloodNet) -> None:
    found = evaluated(site(hospital, tmp_path, model, minimum_class=STUDIES), network, model)
    assert found.histograms["any"].coarse_positives.sum() == found.histograms["any"].positive_count > 0
    assert found.segmentation == SegmentationSums()


@pytest.mark.parametrize(("groups", "minimum", "shown"), [("none", 1, 0), ("scanner", 1, 1), ("scanner", STUDIES, 0)])
def test_groups_are_counted_where_the_site_says_so(
    hospital: Path, tmp_path: Path, model: ModelSettings, network: BloodNet, groups: str, minimum: int, shown: int
) -> None:
    found = evaluated(site(hospital, tmp_path, model, groups=groups, minimum_cohort=minimum), network, model)
    assert len(found.groups) == shown
    assert all(histogram == found.histograms["any"] for histogram in found.groups.values())


def ask_to_compare(folder: Path, model: ModelSettings, split: str = "train") -> RecordDict:
    weights = tuple(flat_weights(build_network(model, seed)) for seed in (0, 1))
    data = prepare(load_site(folder), model.preprocessing)
    pooled = [evaluated(data, build_network(model, seed), model).histograms["any"] for seed in (0, 1)]
    request = ComparisonRequest(split, (weights[0], weights[1]), (pooled[0], pooled[1]))
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
    context = Context(1, 7, {SITE_FOLDER: str(folder)}, RecordDict(), {})
    return app(Message(pack_comparison(request, plan(model)), 7, COMPARE), context).content


def test_two_models_are_compared_on_the_sites_patients(hospital: Path, tmp_path: Path, model: ModelSettings) -> None:
    data = site(hospital, tmp_path, model, minimum_class=2, device="cpu")
    content = ask_to_compare(tmp_path, model)
    assert list(content) == ["status", "metrics"]
    sums = unpack_placements(content)
    studies = data.studies("train")
    labels = np.array([study.study_labels[0] for study in studies])
    networks = [build_network(model, seed) for seed in (0, 1)]
    scores = [np.array([predict_study(of, study, model).probabilities[0] for study in studies]) for of in networks]
    pooled = [ScoreHistogram.from_scores(of, labels) for of in scores]
    assert sums == placement_sums(scores[0], scores[1], labels, pooled[0], pooled[1])
    assert difference(sums).delta == pytest.approx(pooled[0].auc() - pooled[1].auc(), abs=1e-12)


def test_too_few_patients_of_a_class_are_not_compared(hospital: Path, tmp_path: Path, model: ModelSettings) -> None:
    site(hospital, tmp_path, model, minimum_class=STUDIES)
    assert records.status_code(ask_to_compare(tmp_path, model)) == "too-few-of-a-class"
    site(hospital, tmp_path, model, minimum_cohort=STUDIES + 1)
    assert records.status_code(ask_to_compare(tmp_path, model)) == "below-minimum-cohort"
    assert records.status_code(ask_to_compare(tmp_path, model, "../x")) == "unknown-split"
