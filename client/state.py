"""What a site keeps between rounds: the optimiser's moments, by run and round, in the site's own folder.

ClientApp processes do not live from one message to the next. A replayed round starts from the same state, because
the state of the round before is kept until the next one is done.
"""

import hashlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from bloodnet_model.files import write_whole
from bloodnet_model.training import OptimizerState


class SiteState:
    """The states of one run at one site."""

    def __init__(self, cache: Path, run: str) -> None:
        # The run's name comes from outside: its digest cannot point anywhere else.
        self.folder = cache / "state" / hashlib.sha256(run.encode()).hexdigest()[:16]

    def before(self, round_number: int) -> OptimizerState | None:
        """State after the latest round before `round_number` that this site took part in; None at the start."""
        for path in reversed(self._files()):
            if _number(path) < round_number:
                try:
                    return dict(load_file(path))
                except (OSError, SafetensorError):
                    return None
        return None

    def save(self, round_number: int, state: OptimizerState) -> None:
        """Keep the state after `round_number`, and of the earlier ones the latest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / f"round-{round_number:05d}.safetensors", save(state))
        for path in [path for path in self._files() if _number(path) < round_number][:-1]:
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("round-*.safetensors"))


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("round-"))
