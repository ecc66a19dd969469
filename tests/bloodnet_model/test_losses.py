import math

import pytest
import torch

from bloodnet_model.losses import label_loss, mask_loss

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
