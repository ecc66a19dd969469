from pathlib import Path

import torch

from client.state import SiteState


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"exp_avg.conv1.weight": torch.full((2, 2), value)}


def value(state: dict[str, torch.Tensor] | None) -> float | None:
    return None if state is None else float(state["exp_avg.conv1.weight"][0, 0])


def test_a_round_starts_from_the_state_of_the_round_before(tmp_path: Path) -> None:
    state = SiteState(tmp_path, "run")
    assert state.before(1) is None
    for number in (1, 2, 3):
        state.save(number, tensors(number))
        assert value(state.before(number + 1)) == number
    assert value(state.before(3)) == 2  # a replay of round 3
    assert len(list(state.folder.iterdir())) == 2


def test_a_missed_round_leaves_the_latest_earlier_state(tmp_path: Path) -> None:
    state = SiteState(tmp_path, "run")
    state.save(2, tensors(2))
    assert value(state.before(7)) == 2


def test_runs_do_not_see_each_other_and_cannot_leave_the_cache(tmp_path: Path) -> None:
    SiteState(tmp_path, "a").save(1, tensors(1))
    assert SiteState(tmp_path, "b").before(2) is None
    assert SiteState(tmp_path, "../../etc").folder.parent == tmp_path / "state"
