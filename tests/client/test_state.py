from pathlib import Path

import torch

from client.state import SiteState


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"exp_avg.conv1.weight": torch.full((2, 2), value)}


def value(state: dict[str, torch.Tensor] | None) -> float | None:
    return None if state is None else float(state["exp_avg.conv1.weight"][0, 0])


def test_a_round_goes_on_from_the_state_of_the_one_that_counted(tmp_path: Path) -> None:
    state = SiteState(tmp_path, "run")
    assert state.after(0) is None
    for number in (1, 2, 3):
        state.save(number, tensors(number), counted_round=number - 1)
        assert value(state.after(number)) == number
        assert value(state.after(number - 1)) == (number - 1 or None)  # for a replay
    assert len(list(state.folder.iterdir())) == 2


def test_rounds_that_do_not_count_leave_the_one_that_did(tmp_path: Path) -> None:
    state = SiteState(tmp_path, "run")
    state.save(2, tensors(2), counted_round=0)
    for late in (3, 4, 7):
        state.save(late, tensors(late), counted_round=2)
        assert value(state.after(2)) == 2
    assert value(state.after(3)) is None
    assert len(list(state.folder.iterdir())) == 2


def test_a_state_that_is_damaged_is_none(tmp_path: Path) -> None:
    state = SiteState(tmp_path, "run")
    state.save(1, tensors(1), counted_round=0)
    (file,) = state.folder.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert state.after(1) is None


def test_runs_do_not_see_each_other_and_cannot_leave_the_cache(tmp_path: Path) -> None:
    SiteState(tmp_path, "a").save(1, tensors(1), counted_round=0)
    assert SiteState(tmp_path, "b").after(1) is None
    assert SiteState(tmp_path, "../../etc").folder.parent == tmp_path / "state"
