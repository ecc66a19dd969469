"""What a run says and writes of its strategy before the first round."""

from pathlib import Path

import pytest
import yaml
from flwr.app import Error, RecordDict

from bloodnet_model.errors import RoundError, SettingsError
from server.app import run_federation
from server.settings import run_settings
from strategies import records
from tests.server.nodes import FunctionGrid, Node, site


def test_a_federation_too_small_for_its_strategy_is_refused_before_the_first_round(tmp_path: Path) -> None:
    asked: list[str] = []

    def heard(node: Node) -> Node:
        def answer(kind: str, content: RecordDict) -> RecordDict | Error | None:
            asked.append(kind)
            return node(kind, content)

        return answer

    grid = FunctionGrid({number: heard(site(f"s{number}", 1.0)) for number in range(4)})
    settings = run_settings({"strategy": "krum", "deadline_s": 0.3})
    with pytest.raises(RoundError, match="needs the updates of 5 sites, and there are 4"):
        run_federation(grid, settings, tmp_path / "run")
    assert set(asked) == {records.ROLL_CALL}
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["strategy_parameters"] == {"faulty_sites": 1, "selected_sites": 1}  # the defaults, too


def test_a_mistake_in_the_strategy_is_said_before_anything_is_written(tmp_path: Path) -> None:
    settings = run_settings({"strategy": "krum", "strategy_parameters": {"faulty_site": 1}})
    with pytest.raises(SettingsError, match="did you mean faulty_sites"):
        run_federation(FunctionGrid({}), settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()
