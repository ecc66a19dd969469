"""Flags laid over a settings file."""

from simulation.settings import with_flags


def test_a_flag_changes_its_own_setting_and_leaves_its_section() -> None:
    raw = {"rounds": 3, "model": {"preset": "tiny", "network": {"link": "dependent", "hidden": 32}}}
    merged = with_flags(raw, {"model.network.link": "detached", "rounds": None})
    assert merged == {"rounds": 3, "model": {"preset": "tiny", "network": {"link": "detached", "hidden": 32}}}
    assert raw["model"] == {"preset": "tiny", "network": {"link": "dependent", "hidden": 32}}


def test_another_preset_takes_the_files_model_out() -> None:
    raw = {"model": {"preset": "tiny", "network": {"hidden": 32}}}
    merged = with_flags(raw, {"model.preset": "base", "model.network.link": "detached"})
    assert merged == {"model": {"preset": "base", "network": {"link": "detached"}}}
