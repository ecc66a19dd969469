from pathlib import Path

import torch

from client.state import Sections, SiteState


def tensors(value: float) -> Sections:
    """Two sections whose tensors bear one name."""
    return {section: {"exp_avg.conv1.weight": torch.full((2, 2), value)} for section in ("optimizer", "own-optimizer")}


def value(state: Sections) -> float | None:
    assert state.keys() in ({"optimizer", "own-optimizer"}, set())
    return float(state["optimizer"]["exp_avg.conv1.weight"][0, 0]) if state else None


def test_a_round_goes_on_from_the_state_of_the_one_that_counted(tmp_path: Path) -> None:
    state = SiteState(tmp_path, "run")
    assert state.after(0) == {}
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
    assert state.after(1) == {}


def test_runs_do_not_see_each_other_and_cannot_leave_the_cache(tmp_path: Path) -> None:
    SiteState(tmp_path, "a").save(1, tensors(1), counted_round=0)
    assert SiteState(tmp_path, "b").after(1) == {}
    assert SiteState(tmp_path, "../../etc").folder.parent == tmp_path / "state"


def test_sections_with_the_same_names_do_not_clash(tmp_path: Path) -> None:
    state = SiteState(tmp_path, "run")
    sent = {section: {"values": torch.tensor([float(number)])} for number, section in enumerate(("control", "own"))}
    state.save(1, sent, counted_round=0)
    assert {section: of["values"].tolist() for section, of in state.after(1).items()} == {"control": [0], "own": [1]}
