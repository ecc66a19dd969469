import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bloodnet_model.losses import joint_loss, label_loss, mask_loss, somewhere_loss
from bloodnet_model.settings import model_settings

LABELS = torch.tensor([[1.0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])


def test_label_loss_at_zero_logits_is_log_two() -> None:
    assert label_loss(torch.zeros(2, 6), LABELS).item() == pytest.approx(math.log(2))


def test_any_weighs_as_much_as_the_subtypes_say() -> None:
    logits = torch.zeros(1, 6)
    logits[0, 0] = math.log(3)  # probability 0.75 of `any`, whose label is 0: loss log 4
    expected = (2.0 * math.log(4) + 5 * 0.6 * math.log(2)) / 5.0
    assert label_loss(logits, torch.zeros(1, 6)).item() == pytest.approx(expected, rel=1e-6)


def test_unknown_labels_give_no_gradient() -> None:
    logits = torch.randn(2, 6, requires_grad=True)
    labels = LABELS.clone()
    labels[0, 3] = labels[1] = -1
    label_loss(logits, labels).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0, 3] == 0
    assert (logits.grad[1] == 0).all()
    assert (logits.grad[0, :3] != 0).all()


def test_no_label_at_all_is_no_loss() -> None:
    assert label_loss(torch.randn(2, 6), torch.full((2, 6), -1.0)).item() == 0


def test_an_unknown_mask_gives_no_gradient() -> None:
    logits = torch.randn(2, 6, 4, 4, requires_grad=True)
    masks = torch.ones(2, 6, 4, 4)
    mask_loss(logits, masks, torch.tensor([1.0, 0.0]), 10.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[0] != 0).any()
    assert (logits.grad[1] == 0).all()


def test_dice_counts_slices_with_blood_alone() -> None:
    logits, known = torch.full((2, 6, 4, 4), 3.0), torch.ones(2)
    masks = torch.zeros(2, 6, 4, 4)
    masks[0] = 1
    p = 1 / (1 + math.exp(-3))
    dice = 1 - (2 * 16 * p + 1) / (16 * p + 16 + 1)
    cross_entropy = (10 * -math.log(p) + -math.log(1 - p)) / 2
    assert mask_loss(logits, masks, known, 10.0).item() == pytest.approx(5 * cross_entropy + dice, rel=1e-5)


def test_an_empty_known_mask_still_teaches() -> None:
    logits = torch.zeros(1, 6, 4, 4, requires_grad=True)
    mask_loss(logits, torch.zeros(1, 6, 4, 4), torch.ones(1), 10.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad > 0).all()


def test_blood_drawn_without_a_subtype_says_nothing_of_subtypes() -> None:
    logits = torch.randn(1, 6, 4, 4, requires_grad=True)
    masks = torch.zeros(1, 6, 4, 4)
    masks[:, 0, :2] = 1
    mask_loss(logits, masks, torch.ones(1), 10.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[0, 1:, :2] == 0).all()
    assert (logits.grad[0, 1:, 2:] != 0).all()
    assert (logits.grad[0, 0] != 0).all()


def test_a_positive_slice_without_a_mask_calls_for_blood_somewhere() -> None:
    logits = torch.full((1, 1, 10, 10), -3.0, requires_grad=True)
    loss = somewhere_loss(logits, torch.ones(1, 1), torch.zeros(1))
    assert loss.item() == pytest.approx(math.log1p(math.exp(3 - math.log(100))), rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad < 0).all()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**31),
    st.lists(st.sampled_from([-1, 0, 1]), min_size=24, max_size=24),
    st.lists(st.sampled_from([-1, 0, 1]), min_size=12, max_size=12),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_what_is_unknown_gives_no_gradient(
    seed: int, slice_labels: list[int], study_labels: list[int], known: list[bool]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask_logits = torch.randn(4, 6, 4, 4, generator=generator, requires_grad=True)
    slice_logits = torch.randn(4, 6, generator=generator, requires_grad=True)
    study_logits = torch.randn(2, 6, generator=generator, requires_grad=True)
    slices, studies = torch.tensor(slice_labels).view(4, 6).float(), torch.tensor(study_labels).view(2, 6).float()
    masks, mask_known = (torch.rand(4, 6, 4, 4, generator=generator) > 0.5).float(), torch.tensor(known).float()
    losses = joint_loss(
        mask_logits, slice_logits, study_logits, masks, mask_known, slices, studies, model_settings("tiny").training
    )
    losses.total.backward()  # type: ignore[no-untyped-call]
    assert mask_logits.grad is not None
    assert slice_logits.grad is not None
    assert study_logits.grad is not None
    assert (slice_logits.grad[slices < 0] == 0).all()
    assert (slice_logits.grad[slices >= 0] != 0).all()
    assert (study_logits.grad[studies < 0] == 0).all()
    unknown = ((mask_known == 0)[:, None] & (slices != 1)).view(4, 6, 1, 1).expand(4, 6, 4, 4)
    assert (mask_logits.grad[unknown] == 0).all()


@pytest.mark.parametrize("known", [0.0, 1.0])
def test_one_mask_channel_learns_blood_of_any_kind(known: float) -> None:
    logits = torch.zeros(1, 1, 4, 4, requires_grad=True)
    masks = torch.ones(1, 6, 4, 4)
    other = torch.zeros(1, 6)
    joint_loss(
        logits, other, other, masks, torch.tensor([known]), torch.ones(1, 6), other, model_settings("tiny").training
    ).mask.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad < 0).all()
