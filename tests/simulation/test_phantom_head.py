"""The synthetic head: its truth, its blood, its noise and its reproducibility."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion  # type: ignore[attr-defined]  # scipy fills this module at import

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from simulation.phantom import SCANNERS, DrawnStudy, draw_study, scanner_of
from simulation.phantom.anatomy import draw_head
from simulation.phantom.fields import FieldGrid, bspline_weights
from simulation.phantom.geometry import SliceStack
from simulation.phantom.lesions import ExtraAxial, Lesion, draw_lesions, subtype
from simulation.phantom.scanner import noise


def drawn(seed: int, positive: bool = True, scanner: int = 0, slices: int = 12, matrix: int = 64) -> DrawnStudy:
    return draw_study(np.random.default_rng(seed), SCANNERS[scanner], slices, matrix, positive)


@pytest.fixture(scope="module")
def positives() -> list[DrawnStudy]:
    return [drawn(seed, scanner=seed % 4, slices=24, matrix=96) for seed in range(24)]


@pytest.fixture(scope="module")
def negatives() -> list[DrawnStudy]:
    return [drawn(seed, positive=False, scanner=seed % 4) for seed in range(8)]


def well_inside(study: DrawnStudy) -> NDArray[np.int16]:
    """HU of the blood a pixel away from its edge in the plane, as the published percentiles were measured."""
    cross = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
    inside: NDArray[np.bool_] = binary_erosion(study.voxel_classes > 0, cross)
    return study.volume_hu[inside]


def test_blood_has_the_published_density(positives: list[DrawnStudy]) -> None:
    hu = np.concatenate([well_inside(study) for study in positives])
    assert 50 < np.median(hu) < 62
    assert 25 < np.percentile(hu, 5) < 47
    assert np.percentile(hu, 75) < 75
    by_study = [np.median(well_inside(study)) for study in positives if len(well_inside(study)) > 20]
    assert np.mean([40 <= median <= 70 for median in by_study]) > 0.8


def test_the_healthy_brain_is_darker_than_blood_and_brighter_than_fluid(negatives: list[DrawnStudy]) -> None:
    for study in negatives:
        middle = study.volume_hu.shape[1] // 2
        brain = study.volume_hu[7:10, middle - 12 : middle + 12, middle - 12 : middle + 12]
        assert 25 < np.median(brain) < 42
        assert brain.std() > 2


def test_air_bone_and_padding_are_where_they_belong(negatives: list[DrawnStudy]) -> None:
    for seed, study in enumerate(negatives):
        habits = SCANNERS[seed % 4]
        assert (study.volume_hu[:, 0, 0] == habits.storage.padding_hu).all()
        middle = study.volume_hu.shape[1] // 2
        assert np.abs(study.volume_hu[6, middle, 1:4].astype(int) + 1000).max() < 60
        assert study.volume_hu[6].max() > 500
        assert study.volume_hu.min() == min(habits.storage.padding_hu, study.volume_hu[:, middle].min())


def test_a_negative_study_holds_no_blood(negatives: list[DrawnStudy]) -> None:
    for study in negatives:
        assert not study.voxel_classes.any()
        assert not study.mask_bits.any()
        assert study.labels == (0, 0, 0, 0, 0, 0)


def test_every_bleeding_drawn_is_in_the_mask_and_in_the_labels(positives: list[DrawnStudy]) -> None:
    for study in positives:
        kinds = {subtype(lesion) for lesion in study.lesions}
        assert {name for name, label in zip(CLASSES[1:], study.labels[1:], strict=True) if label} == kinds
        assert study.labels[0] == 1
        for bit, name in enumerate(CLASSES[1:], start=1):
            assert ((study.mask_bits >> bit & 1) == (study.voxel_classes == bit)).all(), name
        assert ((study.mask_bits & 1) == (study.voxel_classes > 0)).all()


def test_masks_lie_inside_the_skull(positives: list[DrawnStudy]) -> None:
    for study in positives:
        hu = study.volume_hu[study.voxel_classes > 0]
        assert np.mean(hu > 300) < 0.25  # thin clots share voxels with bone
        assert hu.min() > -200


def test_the_same_generator_draws_the_same_study() -> None:
    first, second, other = drawn(3), drawn(3), drawn(4)
    assert (first.volume_hu == second.volume_hu).all()
    assert (first.voxel_classes == second.voxel_classes).all()
    assert (first.volume_hu != other.volume_hu).any()


def test_a_seed_has_the_same_bleedings_at_every_resolution() -> None:
    assert len({drawn(5, scanner=1, slices=8, matrix=matrix).lesions for matrix in (48, 64, 96, 160)}) == 1


def test_scans_of_one_head_are_more_alike_than_those_of_two() -> None:
    def scan(head_seed: int, seed: int) -> NDArray[np.float64]:
        head = draw_head(np.random.default_rng(head_seed))
        study = draw_study(np.random.default_rng(seed), SCANNERS[0], 12, 64, False, head)
        return np.clip(study.volume_hu, -100, 100).astype(float).ravel()

    same = np.abs(scan(0, 1) - scan(0, 2)).mean()
    others = [np.abs(scan(0, 1) - scan(head, 2)).mean() for head in (1, 2, 3)]
    assert same < min(others)


def test_a_positive_study_that_shows_no_bleeding_is_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulation.phantom.head._SMALLEST_ML", 1000.0)
    with pytest.raises(DataError, match="8 slices of 48 × 48; ask for more slices"):
        drawn(0, slices=8, matrix=48)


def test_lesions_have_the_published_volumes_and_mixture() -> None:
    rng = np.random.default_rng(0)
    studies = [draw_lesions(rng) for _ in range(1500)]
    first = [subtype(lesions[0]) for lesions in studies]
    share = {name: first.count(name) / len(first) for name in CLASSES[1:]}
    assert share["epidural"] < share["intraventricular"] < share["intraparenchymal"]
    assert abs(share["intraparenchymal"] - 0.34) < 0.04
    assert 1 < np.mean([len(lesions) for lesions in studies]) < 1.5
    density = np.array([lesion.hu for lesions in studies for lesion in lesions])
    assert 52 < np.median(density) < 60
    assert density.min() >= 38
    assert density.max() <= 80


def test_extra_axial_clots_are_as_thick_as_such_clots_are() -> None:
    rng = np.random.default_rng(1)
    clots: list[Lesion] = [lesion for _ in range(800) for lesion in draw_lesions(rng)]
    for lesion in clots:
        if isinstance(lesion, ExtraAxial):
            assert 4.5 <= lesion.thickness_mm <= (14 if lesion.subdural else 24)
            assert 0 < lesion.edge_cosine < 1
            assert np.linalg.norm(lesion.apex) == pytest.approx(1)
            assert np.sign(lesion.apex[0]) == lesion.side


def test_noise_has_the_ramp_of_filtered_back_projection() -> None:
    stack = SliceStack(16, 128, pixel_mm=0.9, slice_step_mm=5, thickness_mm=5, tilt_degrees=0)
    texture = noise(np.random.default_rng(0), SCANNERS[0], stack)
    power = (np.abs(np.fft.rfft2(texture)) ** 2).mean(axis=0)
    assert texture.std() == pytest.approx(1, abs=1e-3)
    assert power[0, 1:4].mean() < 0.2 * power[0, 15:25].mean()  # low frequencies are suppressed …
    assert power[0, 60:].mean() < 0.2 * power[0, 15:25].mean()  # … and so are those beyond the kernel's cutoff


def test_smooth_fields_have_unit_variance_and_their_weights_sum_to_one() -> None:
    positions = np.arange(0, 200, 2.5)
    assert bspline_weights(positions, 8.0).sum(axis=1) == pytest.approx(1)
    grid = FieldGrid(np.arange(0, 100, 5.0), positions, positions)
    field = grid.draw(np.random.default_rng(0), 8.0)
    planes = np.stack([field.plane(index) for index in range(20)])
    assert 0.85 < planes.std() < 1.15
    assert np.abs(np.diff(planes, axis=1)).max() < 3  # it changes slowly from pixel to pixel


def test_further_hospitals_have_protocols_of_their_own() -> None:
    rng = np.random.default_rng(0)
    assert [scanner_of(hospital, rng) for hospital in range(4)] == list(SCANNERS)
    fifth = scanner_of(4, rng)
    assert fifth.storage == SCANNERS[0].storage
    assert fifth.noise_hu != SCANNERS[0].noise_hu
    assert fifth.field_of_view_mm != SCANNERS[0].field_of_view_mm
