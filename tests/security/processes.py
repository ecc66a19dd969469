"""What anybody on a machine may see of processes, their arguments, and what their owner may, their environment."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import psutil

_PAUSE_S = 0.1


class Seen:
    """Arguments and environments of processes and of all that they started, as long as it was looked at them."""

    def __init__(self, *parents: int) -> None:
        self.words: set[str] = set()
        self.programs: set[str] = set()
        self.environments: set[str] = set()
        self._parents = [psutil.Process(parent) for parent in parents]

    @property
    def all(self) -> bytes:
        return "\n".join((*self.words, *self.environments)).encode()

    def also(self, parent: int) -> None:
        """Look at this process, too."""
        self._parents = [*self._parents, psutil.Process(parent)]

    def look(self) -> None:
        for parent in self._parents:
            with suppress(psutil.Error):  # one that has ended
                for process in [parent, *parent.children(recursive=True)]:
                    self._note(process)

    def _note(self, process: psutil.Process) -> None:
        with suppress(psutil.Error):
            words = process.cmdline()
            self.words.update(words)
            self.programs.update(word.rpartition("/")[2] for word in words)
            self.environments.update(f"{name}={value}" for name, value in process.environ().items())


@contextmanager
def watched(*parents: int) -> Iterator[Seen]:
    """Looks at processes all the time, since those of Flower's apps live for one message."""
    seen, ended = Seen(*parents), Event()

    def look() -> None:
        while not ended.is_set():
            seen.look()
            time.sleep(_PAUSE_S)

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join(30)
