"""Two runs at once that want the same synthetic heads."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RUN = """
import sys
from pathlib import Path
from rich.console import Console
from simulation.hospitals import hospitals
from simulation.settings import simulation_settings

data = {"studies": 6, "slices": 8, "matrix": 64, "sites": 1}
if __name__ == "__main__":
    hospitals(simulation_settings({"data": data, "seed": 3}), Path(sys.argv[1]), 1, Console())
"""


@pytest.mark.slow
def test_one_draws_and_the_other_waits(tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("first", "second")]
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, str(script)]
    runs = [
        subprocess.Popen([*command, str(out)], env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
        for out in outs
    ]
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sorted("of an earlier run" in words for words in said) == [False, True]
    tables = {(out / "partition.csv").read_bytes() for out in outs}
    assert len(tables) == 1
