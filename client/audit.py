"""What left a site, from its egress log, after the log has been verified from its first line to its last.

What verification can show: a line that was changed, put in, moved or left out, and lines taken off the end, as long as
the file of the log's end was not rewritten with them. Who may write both files can rewrite both: that shows in a
digest that was noted elsewhere before, which this log then no longer has.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bloodnet_model.chained_log import ChainedLog, DamagedLog
from bloodnet_model.errors import DataError
from client.egress import END, LOG, Departure, End, read_end

_REMEDY: Final = "Find out who changed it; to begin a new log, move {folder} away whole, as evidence."


@dataclass(frozen=True)
class Audit:
    """What an egress log says, and whether it can be believed.

    lines: those that are as written
    fault: what is wrong, in a sentence; empty where nothing is
    """

    lines: tuple[Departure, ...]
    digest: str
    fault: str

    def to_json(self) -> dict[str, Any]:
        return {
            "intact": not self.fault,
            "fault": self.fault,
            "digest": self.digest,
            "totals": totals(self.lines),
            "lines": [asdict(line) for line in self.lines],
        }


def audit(folder: Path, noted: str = "") -> Audit:
    """Verify the log in `folder`; `noted` is a digest that an earlier audit ended with.

    Raises DataError where there is no log and never was one.
    """
    path = folder / LOG
    if not path.exists() and not (folder / END).exists():
        raise DataError(f"{path}: there is none; nothing has left this site through `bloodnet-client run`.")
    try:
        log = ChainedLog.read(path) if path.exists() else ChainedLog.begin(path)
    except DamagedLog as damage:
        sound = tuple(Departure(**event) for event in damage.before)
        return Audit(sound, "", f"{damage} The lines before it are as written. {_remedy(folder)}")
    lines = tuple(Departure(**event) for event in log.events)
    fault = _end_fault(log.digests, folder) or _noted_fault(log.digests, noted)
    return Audit(lines, log.digest, f"{path}: {fault} {_remedy(folder)}" if fault else "")


def totals(lines: Sequence[Departure]) -> dict[str, int]:
    """How many answers left, how many of them with what was asked for, updates among these, and bytes."""
    given = [line for line in lines if line.code == "ok"]
    return {
        "answers": len(lines),
        "given": len(given),
        "refused": len(lines) - len(given),
        "updates": sum(line.norm is not None for line in given),
        "bytes": sum(line.bytes for line in lines),
    }


def _end_fault(digests: Sequence[str], folder: Path) -> str:
    """What is wrong with the end of a log whose lines are as written; its writer may have been stopped before the end
    was told, so one line more is none."""
    try:
        end = read_end(folder) or End()
    except DataError:
        return f"{END} beside it cannot be read, so nobody can say whether lines were taken off the end."
    if len(digests) < end.lines:
        return f"lines {len(digests) + 1} to {end.lines} were taken off the end."
    if len(digests) > end.lines + 1:
        return f"{END} beside it knows of {end.lines} lines, and there are {len(digests)}: one of the two was changed."
    if end.lines and digests[end.lines - 1] != end.digest:
        return f"{END} beside it knows another line {end.lines}: the log was written anew from some line on."
    return ""


def _noted_fault(digests: Sequence[str], noted: str) -> str:
    if not noted or noted in digests:
        return ""
    return f"no line has the digest {noted} that was noted: the log was written anew since then."


def _remedy(folder: Path) -> str:
    return _REMEDY.format(folder=folder)
