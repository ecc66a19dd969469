"""What a site keeps between rounds: the optimiser's moments, by run and round, in the site's own folder.

ClientApp processes do not live from one message to the next. The coordinator names the round whose state is gone on
from, the last one of this site that counted, and that state is kept until a later round counts: a round that is
replayed, and one whose update came too late or was refused, leave no trace.
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

    def after(self, round_number: int) -> OptimizerState | None:
        """The state after exactly that round; None where there is none that can be read, as before the first."""
        try:
            return dict(load_file(self._file(round_number)))
        except (OSError, SafetensorError):
            return None

    def save(self, round_number: int, state: OptimizerState, counted_round: int) -> None:
        """Keep the state after `round_number`, and of the earlier ones that after `counted_round`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._file(round_number), save(state))
        for path in self.folder.glob("round-*.safetensors"):
            if path < self._file(round_number) and path != self._file(counted_round):
                path.unlink(missing_ok=True)

    def _file(self, round_number: int) -> Path:
        return self.folder / f"round-{round_number:05d}.safetensors"
