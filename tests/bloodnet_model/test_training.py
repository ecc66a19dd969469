from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from bloodnet_model.batches import Batch, choose_slices, epochs_of, make_batch, slice_stack, unpack_mask
from bloodnet_model.errors import DataError, TrainingDiverged
from bloodnet_model.gradients import batch_losses
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.prediction import dice, predict_study
from bloodnet_model.schedule import Schedule
from bloodnet_model.settings import Link, ModelSettings, TrainingSettings, model_settings
from bloodnet_model.steering import Steering
from bloodnet_model.study import Study
from bloodnet_model.training import (
    OptimizerState,
    TrainingResult,
    learning_rate_at,
    train_round,
)
from bloodnet_model.weights import flat_weights

MakeStudy = Callable[..., Study]
ONE_ROUND = Schedule(1, 1, 1)


def trained(
    studies: list[Study], settings: ModelSettings, schedule: Schedule = ONE_ROUND, mu: float = 0.0
) -> tuple[bytes, TrainingResult]:
    network = build_network(settings, 0)
    result = train_round(network, studies, settings, schedule, np.random.default_rng(0), steering=Steering(mu))
    return flat_weights(network).tobytes(), result


def test_same_seed_same_bytes_and_no_global_generator(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i, positive=i % 2 == 0) for i in range(4)]
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    assert trained(studies, small)[0] == trained(studies, small)[0]
    assert torch.get_rng_state().equal(torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()  # type: ignore[index]  # noqa: NPY002


def test_it_learns_an_easy_task(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i, positive=i % 2 == 0) for i in range(8)]
    network = build_network(small, 0)
    train_round(network, studies, small, Schedule(1, 1, 25), np.random.default_rng(0))
    held_out = [make_study(100 + i, positive=i % 2 == 0) for i in range(4)]
    scores = [predict_study(network, study, small).probabilities[0] for study in held_out]
    assert min(scores[0::2]) > max(scores[1::2])
    overlap = dice(predict_study(network, held_out[0], small).mask, held_out[0])
    assert overlap is not None
    assert overlap > 0.5


def test_a_large_mu_holds_the_weights_near_the_start(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i) for i in range(4)]
    start = flat_weights(build_network(small, 0))
    moved = [
        np.abs(np.frombuffer(trained(studies, small, Schedule(1, 1, 5), mu)[0], np.float32) - start).sum()
        for mu in (0.0, 50.0)
    ]
    assert moved[1] < 0.8 * moved[0]


def test_the_optimiser_goes_on_where_it_stood(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i) for i in range(2)]
    _, first = trained(studies, small, Schedule(1, 2, 1))
    network = build_network(small, 0)
    second = train_round(network, studies, small, Schedule(2, 2, 1), np.random.default_rng(1), first.optimizer_state)
    assert second.optimizer_state["step.conv1.weight"].item() == 2 * first.steps


def test_learning_rate_warms_up_and_ends_low() -> None:
    settings = model_settings("tiny", training={"learning_rate": 1.0, "warmup_steps": 10}).training
    assert learning_rate_at(0, 100, settings) == pytest.approx(0.1)
    assert learning_rate_at(50, 100, settings) == pytest.approx(0.525)  # 0.05 + 0.95 / 2
    assert learning_rate_at(100, 100, settings) == pytest.approx(0.05)


def test_no_study_is_said(small: ModelSettings) -> None:
    with pytest.raises(DataError, match="no study to train on"):
        trained([], small)


def labels(positive: int, negative: int, unknown: int = 0) -> np.ndarray:
    return np.repeat([1, 0, -1], [positive, negative, unknown]).astype(np.int8)


def drawn(haemorrhage: np.ndarray, epochs: int, **training: float) -> list[list[int]]:
    """Study numbers of each epoch."""
    settings = model_settings("tiny", training={"studies_per_step": 1, **training}).training
    steps = epochs_of(haemorrhage, epochs, settings, np.random.default_rng(0))
    numbers: list[list[int]] = np.reshape([draw.study for step in steps for draw in step], (epochs, -1)).tolist()
    return numbers


def test_every_study_is_seen_once_an_epoch() -> None:
    settings = model_settings("tiny").training  # two studies a step
    steps = list(epochs_of(labels(2, 3), 2, settings, np.random.default_rng(0)))
    assert [len(step) for step in steps] == [2] * 6
    for epoch, its in enumerate((steps[:3], steps[3:])):
        draws = [draw for step in its for draw in step]
        assert {draw.study for draw in draws} == set(range(5))
        assert {draw.epoch for draw in draws} == {epoch}
        assert sorted(draw.repeat for draw in draws) == [0] * 5 + [1]  # the last step is filled


def test_rare_positives_are_repeated_in_the_place_of_negatives() -> None:
    for epoch in drawn(labels(2, 38, 4), 3, positive_study_share=0.25):
        assert len(epoch) == 44
        assert sorted(epoch.count(study) for study in (0, 1)) == [5, 5]  # a quarter of 40
        negatives = [study for study in epoch if 2 <= study < 40]
        assert len(set(negatives)) == len(negatives) == 30
        assert sorted(study for study in epoch if study >= 40) == [40, 41, 42, 43]
    first, second, _ = drawn(labels(2, 38), 3, positive_study_share=0.25)
    assert set(first) != set(second)


@pytest.mark.parametrize(
    ("haemorrhage", "share"), [(labels(10, 30), 0.25), (labels(0, 8), 0.25), (labels(1, 39), 0), (labels(0, 0, 4), 0.5)]
)
def test_elsewhere_every_study_comes_exactly_once(haemorrhage: np.ndarray, share: float) -> None:
    (epoch,) = drawn(haemorrhage, 1, positive_study_share=share)
    assert sorted(epoch) == list(range(len(haemorrhage)))
    assert epoch != sorted(epoch)


def test_the_average_of_a_rounds_weights_by_hand(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i) for i in range(4)]  # two steps

    def weights(ema_decay: float) -> np.ndarray:
        settings = small.model_copy(update={"training": small.training.model_copy(update={"ema_decay": ema_decay})})
        return np.frombuffer(trained(studies, settings)[0], np.float32)

    last = weights(0.0)
    # the first step's weights by the decay and the second's by the rest: half the decay is half as far from the latter
    far, near = weights(0.75) - last, weights(0.375) - last
    assert np.abs(far).max() > 1e-4
    assert far == pytest.approx(2 * near, abs=1e-6)


def test_an_average_takes_running_statistics_with_it(make_study: MakeStudy) -> None:
    settings = model_settings(
        "tiny",
        preprocessing={"rows": 32, "columns": 24, "spacing_mm": 6.0},
        network={"norm": "batch"},
        training={"ema_decay": 0.999, "studies_per_step": 1},
    )
    last = settings.model_copy(update={"training": settings.training.model_copy(update={"ema_decay": 0.0})})
    moved = []
    for each in (settings, last):
        network = build_network(each, 0)
        train_round(network, [make_study(i) for i in range(8)], each, ONE_ROUND, np.random.default_rng(0))
        moved.append(float(network.get_buffer("layer3.0.bn1.running_mean").abs().sum()))
    assert 0 < moved[0] < 0.5 * moved[1]  # hardly more than one step's tenth, against eight of them


def test_chosen_slices_hold_positives_in_anatomical_order(small: ModelSettings, make_study: MakeStudy) -> None:
    study = make_study(0, slices=30)
    chosen = choose_slices(study, small.training, np.random.default_rng(0))
    assert len(chosen) == small.training.slices_per_study
    assert (np.diff(chosen) > 0).all()
    assert (study.slice_labels[chosen, 0] == 1).sum() >= small.training.positive_slices_per_study


def test_a_single_slice_fills_its_place(small: ModelSettings, make_study: MakeStudy) -> None:
    chosen = choose_slices(make_study(0, slices=1), small.training, np.random.default_rng(0))
    assert chosen.tolist() == [0] * small.training.slices_per_study


def test_neighbours_repeat_at_the_edges(make_study: MakeStudy) -> None:
    study = make_study(0, slices=3)
    stack = slice_stack(study, np.array([0, 2]), neighbours=1)
    assert stack[0, 0:2].equal(stack[0, 2:4])
    assert stack[1, 2:4].equal(stack[1, 4:6])
    assert stack.min() >= -1
    assert stack.max() <= 1


def test_mask_bits_unpack_in_class_order() -> None:
    assert unpack_mask(np.array([[[0b100001]]], np.uint8)).flatten().tolist() == [1, 0, 0, 0, 0, 1]


def test_dice_is_unknown_without_blood(small: ModelSettings, make_study: MakeStudy) -> None:
    study = make_study(0, positive=False)
    assert dice(np.zeros((8, 16, 12), bool), study) is None


@pytest.mark.parametrize("link", get_args(Link))
def test_every_link_trains_round_after_round(make_study: MakeStudy, link: str) -> None:
    grid = {"rows": 32, "columns": 24, "spacing_mm": 6.0}
    settings = model_settings("tiny", preprocessing=grid, network={"link": link}, training={"weight_decay": 0})
    studies = [make_study(i, positive=i % 2 == 0) for i in range(4)]
    network = build_network(settings, 0)
    masks_before = network.mask_head.weight.detach().clone()
    state: OptimizerState = {}
    for number in (1, 2):
        rng = np.random.default_rng(number)
        state = train_round(network, studies, settings, Schedule(number, 2, 1), rng, state).optimizer_state
    assert float(state["step.classify.weight"]) == 4
    assert (link == "single") == network.mask_head.weight.equal(masks_before)
    assert 0 < predict_study(network, studies[0], settings).probabilities[0] < 1


def test_a_loss_that_is_no_number_stops_the_round(small: ModelSettings, make_study: MakeStudy) -> None:
    network = build_network(small, 0)
    with torch.no_grad():
        network.classify.bias.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"Up to step 1, the loss is nan; lower training\.learning_rate"):
        train_round(network, [make_study(0)], small, ONE_ROUND, np.random.default_rng(0))
    with pytest.raises(TrainingDiverged, match="Up to step 25"):  # long before the last of the round
        train_round(network, [make_study(0)], small, Schedule(1, 1, 60), np.random.default_rng(0))


def gradients(network: BloodNet, batch: Batch, settings: ModelSettings) -> torch.Tensor:
    """Of all parameters, as one vector."""
    network.zero_grad(set_to_none=True)
    batch_losses(network, batch, settings.training).total.backward()  # type: ignore[no-untyped-call]
    return torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in network.parameters()])


def known_batch(seed: int, studies: int, settings: ModelSettings) -> Batch:
    """Noise, and labels and masks of noise, all of them known."""
    generator, grid = torch.Generator().manual_seed(seed), settings.preprocessing
    count = studies * settings.training.slices_per_study
    masks = torch.rand(count, 6, grid.rows // 2, grid.columns // 2, generator=generator) > 0.9
    return Batch(
        slices=torch.rand(count, 6, grid.rows, grid.columns, generator=generator) * 2 - 1,
        masks=masks.float(),
        mask_known=torch.ones(count),
        slice_labels=torch.randint(0, 2, (count, 6), generator=generator).float(),
        study_labels=torch.randint(0, 2, (studies, 6), generator=generator).float(),
    )


@tries(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([link for link in get_args(Link) if link != "shuffled"]))
def test_a_study_of_which_nothing_is_known_teaches_no_parameter(seed: int, link: str) -> None:
    grid = {"rows": 32, "columns": 24, "spacing_mm": 6.0}
    model = model_settings("tiny", preprocessing=grid, network={"link": link})
    network, both, size = build_network(model, 0), known_batch(seed, 2, model), model.training.slices_per_study
    alone = Batch(**{name: part[: len(part) // 2] for name, part in vars(both).items()})
    both.mask_known[size:] = 0
    both.slice_labels[size:] = both.study_labels[1:] = -1
    expected = gradients(network, alone, model)
    assert (gradients(network, both, model) - expected).norm() < 1e-6 * expected.norm()


@tries(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(get_args(Link)), st.data())
def test_what_a_mask_holds_where_it_is_unknown_changes_no_gradient(seed: int, link: str, data: st.DataObject) -> None:
    grid = {"rows": 32, "columns": 24, "spacing_mm": 6.0}
    model = model_settings("tiny", preprocessing=grid, network={"link": link})
    network, batch = build_network(model, 0), known_batch(seed, 2, model)
    count = len(batch.mask_known)
    known = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    batch.mask_known.copy_(torch.tensor(known))
    before = gradients(network, batch, model)
    batch.masks[~torch.tensor(known)] = 1 - batch.masks[~torch.tensor(known)]
    assert gradients(network, batch, model).equal(before)


def seen_in_training(studies: list[Study], model: ModelSettings, epochs: int) -> set[bytes]:
    """Each study as a step saw it."""
    network, size = build_network(model, 0), model.training.slices_per_study
    seen: set[bytes] = set()

    def note(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.update(part.contiguous().numpy().tobytes() for part in torch.split(inputs[0], size))

    network.register_forward_pre_hook(note)
    train_round(network, studies, model, Schedule(1, 1, epochs), np.random.default_rng(0))
    return seen


def test_a_study_is_seen_anew_each_epoch_whatever_the_others_are(small: ModelSettings, make_study: MakeStudy) -> None:
    same = [make_study(i, slices=20) for i in range(2)]
    first = seen_in_training([*same, make_study(2), make_study(3)], small, 3)
    other = seen_in_training([*same, make_study(4, slices=30), make_study(5, positive=False)], small, 3)
    assert len(first) == len(other) == 4 * 3
    assert len(first & other) == 2 * 3


def test_a_round_of_so_many_steps_is_the_start_of_the_whole_one(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i) for i in range(6)]  # three steps an epoch
    whole = trained(studies, small, Schedule(1, 1, 2))
    assert whole[1].steps == 6
    assert trained(studies, small, Schedule(1, 1, 2, most_steps=6))[0] == whole[0]
    assert trained(studies, small, Schedule(1, 1, 2, most_steps=99))[0] == whole[0]
    cut = trained(studies, small, Schedule(1, 1, 50, most_steps=4))[1]
    assert (cut.steps, cut.optimizer_state["step.conv1.weight"].item()) == (4, 4)


def test_the_cosine_of_cut_rounds_ends_with_the_last_of_them(
    small: ModelSettings, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def noted(step: int, total_steps: int, settings: TrainingSettings) -> float:
        seen.append((step, total_steps))
        return learning_rate_at(step, total_steps, settings)

    monkeypatch.setattr("bloodnet_model.training.learning_rate_at", noted)
    for number in (1, 2, 3):
        trained([make_study(i) for i in range(6)], small, Schedule(number, 3, 2, most_steps=4))
    assert seen == [(step, 12) for step in range(12)]


def test_a_cut_round_makes_no_batch_that_it_does_not_need(
    small: ModelSettings, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def noted(studies: Sequence[Study], *others: Any) -> Batch:
        made.append(len(studies))
        return make_batch(studies, *others)

    monkeypatch.setattr("bloodnet_model.training.make_batch", noted)
    trained([make_study(i) for i in range(6)], small, Schedule(1, 1, 1000, most_steps=2))
    assert made == [2, 2]
