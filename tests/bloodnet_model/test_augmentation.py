"""Image and mask change together, by the study's own generator, and every setting can be switched off."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bloodnet_model.augmentation import Changes, augment, draw_changes, joined
from bloodnet_model.batches import Batch, Draw, make_batch
from bloodnet_model.settings import ModelSettings, TrainingSettings, model_settings
from bloodnet_model.study import Study

MakeStudy = Callable[..., Study]
SHAPE = (32, 24)
OFF = {
    "flip": False,
    "rotation_degrees": 0,
    "scale_share": 0,
    "shift_share": 0,
    "brightness_jitter": 0,
    "contrast_jitter": 0,
}


def training(**changes: Any) -> TrainingSettings:
    return model_settings("tiny", training={**OFF, **changes}).training


def images(slices: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An upright bar left of the middle, as image and, at half the size, as mask."""
    image, mask = torch.full((slices, 2, *SHAPE), -1.0), torch.zeros(slices, 6, 16, 12)
    image[:, :, 8:24, 4:8], mask[:, :, 4:12, 2:4] = 1, 1
    return image, mask


def changed(settings: TrainingSettings, seed: int = 0, slices: int = 3) -> tuple[Changes, torch.Tensor, torch.Tensor]:
    changes = draw_changes(settings, slices, SHAPE, np.random.default_rng(seed))
    return changes, *augment(*images(slices), changes)


def centre(image: torch.Tensor) -> tuple[float, float]:
    """Row and column of the centre of mass of one map, in its own pixels."""
    rows, columns = (torch.arange(count) + 0.5 for count in image.shape)
    weight = image.sum()
    return float((image.sum(1) * rows).sum() / weight), float((image.sum(0) * columns).sum() / weight)


def test_with_everything_off_nothing_changes() -> None:
    _, slices, masks = changed(training())
    assert slices.equal(images(3)[0])
    assert masks.equal(images(3)[1])


def test_a_flip_swaps_left_and_right_in_half_of_the_studies() -> None:
    flipped = [changed(training(flip=True), seed) for seed in range(40)]
    mirrored = [bool((changes.sources[:, 0, 0] == -1).all()) for changes, _, _ in flipped]
    assert 8 < sum(mirrored) < 32
    for mirror, (_, slices, masks) in zip(mirrored, flipped, strict=True):
        image, mask = images(3)
        assert torch.allclose(slices, image.flip(-1) if mirror else image, atol=1e-4)
        assert masks.equal(mask.flip(-1) if mirror else mask)


def test_a_shift_is_a_share_of_rows_and_columns() -> None:
    changes, slices, _ = changed(training(shift_share=0.2))
    row, column = centre(slices[0, 0] + 1)
    assert row == pytest.approx(16 - changes.sources[0, 1, 2] / 2 * 32, abs=0.05)
    assert column == pytest.approx(6 - changes.sources[0, 0, 2] / 2 * 24, abs=0.05)
    assert (row, column) != (16, 6)


def test_a_turn_keeps_lengths_although_the_image_is_no_square() -> None:
    for seed in range(20):
        changes, slices, _ = changed(training(rotation_degrees=45), seed)
        angle = np.arccos(changes.sources[0, 0, 0])
        row, column = centre(slices[0, 0] + 1)  # the bar's centre lies 6 columns left of the middle
        assert np.hypot(row - 16, column - 12) == pytest.approx(6, abs=0.1)
        assert abs(row - 16) == pytest.approx(6 * np.sin(angle), abs=0.1)


def test_a_scale_changes_the_area_by_its_square() -> None:
    changes, slices, _ = changed(training(scale_share=0.2), seed=3)
    scale = 1 / changes.sources[0, 0, 0]
    assert abs(scale - 1) > 0.02
    assert (slices[0, 0] + 1).sum() / 2 == pytest.approx(64 * scale**2, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_the_mask_goes_where_the_image_goes_and_stays_binary(seed: int) -> None:
    every = training(flip=True, rotation_degrees=20, scale_share=0.2, shift_share=0.1)
    image, mask = torch.full((1, 2, *SHAPE), -1.0), torch.zeros(1, 6, 16, 12)
    image[:, :, 10:18, 6:18], mask[:, :, 5:9, 3:9] = 1, 1
    changes = draw_changes(every, 1, SHAPE, np.random.default_rng(seed))
    slices, masks = augment(image.clone(), mask.clone(), changes)
    assert set(masks.flatten().tolist()) == {0, 1}
    seen = torch.nn.functional.avg_pool2d(slices[0, :1] + 1, 2)[0] / 2
    assert (seen - masks[0, 0]).abs().mean() < 0.06
    assert not masks.equal(mask)
    assert centre(masks[0, 0]) == pytest.approx(centre(seen), abs=0.4)


def test_all_slices_of_a_study_share_their_geometry_and_contrast_not_their_brightness() -> None:
    changes, _, _ = changed(training(rotation_degrees=9, contrast_jitter=0.1, brightness_jitter=0.1), slices=8)
    assert (changes.sources == changes.sources[:1]).all()
    assert len(set(changes.gains.tolist())) == 1
    assert len(set(changes.offsets.tolist())) == 8


def test_contrast_turns_about_the_middle_of_the_window() -> None:
    changes, slices, _ = changed(training(contrast_jitter=0.1))
    assert slices.min() == pytest.approx(-changes.gains[0])
    assert slices.max() == pytest.approx(changes.gains[0])
    assert changes.gains[0] != 1


def test_a_box_is_erased_from_the_image_alone() -> None:
    changes = draw_changes(training(erased_share=0.9), 3, SHAPE, np.random.default_rng(2))
    top, bottom, left, right = np.rint(changes.erased[0] * (32, 32, 24, 24)).astype(int)
    slices, masks = augment(torch.ones(3, 2, *SHAPE), torch.ones(3, 6, 16, 12), changes)
    assert (slices[:, :, top:bottom, left:right] == -1).all()
    assert (slices == -1).sum() == 3 * 2 * (bottom - top) * (right - left) > 0
    assert (masks == 1).all()


def test_changes_of_studies_are_applied_to_their_own_slices() -> None:
    settings = training(shift_share=0.1, brightness_jitter=0.1)
    parts = [changed(settings, seed) for seed in (1, 2)]
    image, mask = images(6)
    slices, masks = augment(image, mask, joined([changes for changes, _, _ in parts]))
    assert slices.equal(torch.cat([part for _, part, _ in parts]))
    assert masks.equal(torch.cat([part for _, _, part in parts]))


def batch_of(draws: list[Draw], studies: list[Study], small: ModelSettings, base: int = 5) -> Batch:
    rngs = [draw.generator(base) for draw in draws]
    return make_batch([studies[draw.study] for draw in draws], small.training, 1, rngs)


def test_a_study_looks_the_same_whichever_other_shares_its_batch(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i, slices=20) for i in range(3)]
    first = batch_of([Draw(0, 0, 0), Draw(1, 0, 0)], studies, small)
    other = batch_of([Draw(2, 0, 0), Draw(0, 0, 0)], studies, small)
    size = small.training.slices_per_study
    assert first.slices[:size].equal(other.slices[size:])
    assert first.masks[:size].equal(other.masks[size:])
    assert first.slice_labels[:size].equal(other.slice_labels[size:])


@pytest.mark.parametrize("other", [Draw(0, 1, 0), Draw(0, 0, 1)])
def test_it_looks_different_in_another_epoch_or_when_repeated(
    small: ModelSettings, make_study: MakeStudy, other: Draw
) -> None:
    studies = [make_study(0, slices=20)]
    assert not batch_of([Draw(0, 0, 0)], studies, small).slices.equal(batch_of([other], studies, small).slices)


def test_and_in_another_round(small: ModelSettings, make_study: MakeStudy) -> None:
    studies, draw = [make_study(0, slices=20)], [Draw(0, 0, 0)]
    assert not batch_of(draw, studies, small, 5).slices.equal(batch_of(draw, studies, small, 6).slices)


def test_what_is_known_of_a_mask_stays_known(small: ModelSettings, make_study: MakeStudy) -> None:
    study = make_study(0)
    unknown = Study(
        study.windows, study.study_labels, study.slice_labels, study.mask_bits, np.zeros(study.slices, bool)
    )
    batch = batch_of([Draw(0, 0, 0), Draw(1, 0, 0)], [study, unknown], small)
    size = small.training.slices_per_study
    assert batch.mask_known.tolist() == [1] * size + [0] * size
