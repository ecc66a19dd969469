"""What a site keeps between rounds, by run and round, in its own folder: tensors in sections, and never a pickle.

ClientApp processes do not live from one message to the next. The coordinator names the round whose state is gone on
from, the last one of this site that counted, and that state is kept until a later round counts: a round that is
replayed, and one whose update came too late or was refused, leave no trace.
"""

import hashlib
from pathlib import Path
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from bloodnet_model.files import write_whole

Sections = dict[str, dict[str, Tensor]]
"""Tensors by section and name, such as the optimiser's moments or a control of SCAFFOLD's."""

_OWN_MODEL: Final = "own-model.safetensors"


class SiteState:
    """The states of one run at one site."""

    def __init__(self, cache: Path, run: str) -> None:
        # The run's name comes from outside: its digest cannot point anywhere else.
        self.folder = cache / "state" / hashlib.sha256(run.encode()).hexdigest()[:16]

    @property
    def own_model(self) -> Path:
        """Where a strategy that leaves a part of the model at the site has the whole of it, for `triage`."""
        return self.folder / _OWN_MODEL

    def after(self, round_number: int) -> Sections:
        """The state after exactly that round; empty where there is none that can be read, as before the first."""
        try:
            tensors = load_file(self._file(round_number))
        except (OSError, SafetensorError):
            return {}
        found: Sections = {}
        for key, value in tensors.items():
            section, _, name = key.partition("/")
            found.setdefault(section, {})[name] = value
        return found

    def save(self, round_number: int, state: Sections, counted_round: int) -> None:
        """Keep the state after `round_number`, and of the earlier ones that after `counted_round`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"{section}/{name}": value for section, held in state.items() for name, value in held.items()}
        write_whole(self._file(round_number), save(tensors))
        for path in self.folder.glob("round-*.safetensors"):
            if path < self._file(round_number) and path != self._file(counted_round):
                path.unlink(missing_ok=True)

    def _file(self, round_number: int) -> Path:
        return self.folder / f"round-{round_number:05d}.safetensors"
