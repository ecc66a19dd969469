"""NVFlare in an environment of its own, beside this file: its requirements are not ours."""

import subprocess
import sys
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).with_name(".venv")
_PYTHON: Final = _FOLDER / "bin" / "python"
_READY: Final = _FOLDER / "ready"
_VERSIONS: Final = ("torch==2.13.0", "nvflare==2.9.0")
"""torch first and by its exact version: asked for by a range, an index may serve a build with gigabytes of CUDA."""


def nvflare_python() -> Path | None:
    """The environment's Python, made if need be; None, and a line that says so, where it cannot be installed."""
    if _READY.exists():
        return _PYTHON
    steps = [[sys.executable, "-m", "venv", _FOLDER]]
    steps += [[_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", one] for one in _VERSIONS]
    for step in steps:
        done = subprocess.run(list(map(str, step)), capture_output=True, text=True)
        if done.returncode:
            print(f"  NVFlare cannot be installed here and is left out: {(done.stderr.splitlines() or [''])[-1]}")
            return None
    _READY.touch()
    return _PYTHON
