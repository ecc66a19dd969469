"""What left a site: the last thing that is done with an answer before it is handed to Flower.

An update is clipped if the site's policy says so; then the answer gets its line in the site's egress log. The log is
chained (`bloodnet_model.chained_log`). A second file, its end, holds how many lines there are and the digest of the
last one, so that whole lines cannot be taken off the end of the log alone. A process that answers one message reads no
more of the log than its last lines.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, no_object_id_recompute

from bloodnet_model.chained_log import ChainedLog, latest
from bloodnet_model.errors import DataError
from bloodnet_model.files import alone, make_folder, write_whole
from client.site_settings import Site
from strategies import records
from strategies.update_gate import l2_norm

LOG: Final = "egress.jsonl"
END: Final = "egress.end.json"
TRAIN: Final = "train"
_LOCK: Final = "egress.lock"
_NAME_LENGTH: Final = 80
"""Of a run's name, which comes from the coordinator, as much is written down."""


@dataclass(frozen=True)
class Asked:
    """The question of an answer; `round` is 0 and `run` empty where it could not be read."""

    kind: str
    run: str
    round: int


@dataclass(frozen=True)
class Departure:
    """A line of the log: one answer that left.

    time:    UTC
    code:    `ok`, or that of a refusal
    bytes:   of all that Flower sends for it
    sha256:  Flower's own digest of the content, which the coordinator can compute as well
    norm:    L2 norm of an update's change of the weights, as it left; None for everything else
    clipped: the norm before the site clipped it; None where it did not
    seconds: from the question to the answer
    """

    time: str
    run: str
    round: int
    kind: str
    code: str
    bytes: int
    sha256: str
    norm: float | None
    clipped: float | None
    seconds: float


@dataclass(frozen=True)
class End:
    """What the second file holds: the log's number of lines, and the digest of the last one."""

    lines: int = 0
    digest: str = ""


def clipped(asked: RecordDict, answer: RecordDict, most: float | None) -> tuple[RecordDict, float | None, float | None]:
    """An answer with its weights at most `most` away from those that were asked about, in L2 norm.

    Returns it with that norm, and with the norm before where it was clipped; both None where no weights are in it.
    """
    if records.ARRAYS not in answer:
        return answer, None, None
    before, after = (records.unpack_weights(records.arrays_of(of)) for of in (asked, answer))
    norm = l2_norm(after, before)
    if most is None or norm <= most:
        return answer, norm, None
    change = (after - before.astype(np.float64)) * (most / norm)
    after = (before + change).astype(np.float32)
    shorter = RecordDict({**answer, records.ARRAYS: records.pack_weights(after)})
    return shorter, l2_norm(after, before), norm


def depart(
    site: Site, question: Asked, asked: RecordDict, answer: RecordDict, seconds: float, now: datetime
) -> RecordDict:
    """The answer as it may leave, once it stands in the log; raises DataError where it cannot be written there."""
    answer, norm, before = clipped(asked, answer, site.settings.policy.clip_norm)
    size, sha256 = _measured(_same(answer))
    line = Departure(
        time=now.astimezone(UTC).isoformat(timespec="seconds"),
        run=question.run[:_NAME_LENGTH],
        round=question.round,
        kind=question.kind[:_NAME_LENGTH],
        code=records.status_code(answer),
        bytes=size,
        sha256=sha256,
        norm=_number(norm),
        clipped=_number(before),
        seconds=round(seconds, 3),
    )
    write_down(site.kept, line)
    return answer


def _measured(answer: RecordDict) -> tuple[int, str]:
    """Bytes of all that Flower sends for `answer`, and its digest, which Flower would make anew for each asking."""
    with no_object_id_recompute():
        return sum(len(part.deflate()) for part in get_all_nested_objects(answer).values()), answer.object_id


def _same(answer: RecordDict) -> RecordDict:
    """The same content in other objects: in those that it measures, Flower leaves pieces that cannot be pickled."""
    return RecordDict(
        {
            name: ArrayRecord({key: Array(of.dtype, of.shape, of.stype, of.data) for key, of in record.items()})
            if isinstance(record, ArrayRecord)
            else record
            for name, record in answer.items()
        }
    )


def write_down(folder: Path, line: Departure) -> None:
    """Append a line to the log in `folder`, which is made if need be; one process at a time.

    Raises DataError where it cannot be written, or where the log does not end as the last line left it.
    """
    make_folder(folder)
    with alone(folder / _LOCK):
        log, end = _at_end(folder)
        log.append(asdict(line))
        _note_end(folder, End(end.lines + 1, log.digest))


def check_log(folder: Path) -> None:
    """Raises DataError where the next line could not be written."""
    make_folder(folder)
    with alone(folder / _LOCK):
        _at_end(folder)


def read_end(folder: Path) -> End | None:
    """What the second file says; None where there is none. Raises DataError where it cannot be read."""
    path = folder / END
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return End(int(raw["lines"]), str(raw["digest"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{path}: does not say where the log ends; `bloodnet-client audit` says what to do.") from None


def trained_s(site: Site, now: datetime) -> float:
    """Seconds that this site took for training messages within the last 24 hours."""
    path = site.kept / LOG
    return sum(float(line["seconds"]) for line in _since(path, now - timedelta(hours=24)) if line["kind"] == TRAIN)


def _since(path: Path, begin: datetime) -> Iterator[dict[str, Any]]:
    for line in latest(path) if path.exists() else ():
        if datetime.fromisoformat(line["time"]) < begin:
            return
        yield line


def _at_end(folder: Path) -> tuple[ChainedLog, End]:
    """The log to append to, and where it ended; a writer that was stopped may have left one line more in the log."""
    path, end = folder / LOG, read_end(folder) or End()
    log = ChainedLog.at_end(path) if path.exists() else ChainedLog.begin(path)
    if log.digest == end.digest:
        return log, end
    if log.events and log.start == end.digest:
        _note_end(folder, after := End(end.lines + 1, log.digest))  # or, where the disk is full, there would be two
        return log, after
    raise DataError(f"{path}: does not end as it was left; `bloodnet-client audit` says what is wrong.")


def _note_end(folder: Path, end: End) -> None:
    write_whole(folder / END, json.dumps(asdict(end)) + "\n")


def _number(value: float | None) -> float | None:
    """Fit for JSON."""
    return value if value is not None and math.isfinite(value) else None
