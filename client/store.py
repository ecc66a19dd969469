"""A site's prepared studies on disk: their pixels in two flat files that are memory-mapped, all else in a table.

Pixels are appended and never overwritten, so whoever has them mapped keeps what he sees; a study counts once its
row is committed, and training sees those that the last `settle` put in place. Nothing here names a patient: the key
of a study is a digest of its UID.
"""

import hashlib
import math
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, Final, Self

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.labels import CLASSES
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.splits import Split
from bloodnet_model.study import Study
from client.groups import GroupedBy, Groups

FORMAT: Final = 4
"""Raised with every change of what the files hold, so that no older store passes for this one."""

_TABLES: Final = """
BEGIN;
CREATE TABLE IF NOT EXISTS studies (
    key TEXT PRIMARY KEY, first INTEGER, slices INTEGER, study_labels BLOB, slice_labels BLOB, mask_known BLOB,
    slice_mm REAL, split TEXT, place INTEGER, scanner TEXT, label TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT OR IGNORE INTO state VALUES ('generation', 0), ('end', 0), ('stamp', '');
COMMIT;
"""
_PATIENCE_S: Final = 60.0
_COLUMNS: Final = "first, slices, study_labels, slice_labels, mask_known, slice_mm"
_GROUP_OF: Final[dict[GroupedBy, str]] = {"none": "''", "scanner": "scanner", "label": "label"}


def key_of(study_uid: str) -> str:
    return hashlib.sha256(study_uid.encode()).hexdigest()[:32]


class Store:
    """The prepared studies below a site's cache for one preprocessing, to read; `StoreWriter` adds to it."""

    def __init__(self, cache: Path, preprocessing: PreprocessingSettings) -> None:
        digest = hashlib.sha256(f"{FORMAT}\n{preprocessing.model_dump_json()}".encode()).hexdigest()
        self.folder = cache / f"prepared-{digest[:12]}"  # another preset's lies beside it
        windows, rows, columns = len(preprocessing.windows_hu), preprocessing.rows, preprocessing.columns
        self.shapes = {"windows": (windows, rows, columns), "mask_bits": (rows // 2, columns // 2)}

    def remove(self) -> None:
        """Forget all that is prepared; it is prepared anew."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def stamp(self) -> str:
        """What `settle` was told that the studies were made from; empty where nothing was settled."""
        if not (self.folder / "studies.sqlite").is_file():
            return ""
        with _reading(self.folder) as database:
            return str(_state(database, "stamp"))

    def is_sound(self) -> bool:
        """False where files are damaged: the store is then to be discarded and its studies prepared anew."""
        if not (self.folder / "studies.sqlite").is_file():
            return True
        try:
            with _reading(self.folder) as database:
                end = int(_state(database, "end"))
                return all(
                    _file(self.folder, name, database).stat().st_size >= end * math.prod(shape)
                    for name, shape in self.shapes.items()
                )
        except (sqlite3.DatabaseError, OSError, TypeError):
            return False

    def studies(self, split: Split) -> tuple[Study, ...]:
        """The studies of one split in their places, their arrays views of memory-mapped files."""
        query = f"SELECT {_COLUMNS} FROM studies WHERE split = ? ORDER BY place"
        with _reading(self.folder) as database:
            rows = database.execute(query, (split,)).fetchall()
            if not rows:
                return ()
            windows, mask_bits = (
                _mapped(_file(self.folder, name, database), shape) for name, shape in self.shapes.items()
            )
        return tuple(
            Study(
                windows[first : first + slices],
                np.frombuffer(study_labels, np.int8),
                np.frombuffer(slice_labels, np.int8).reshape(slices, len(CLASSES)),
                mask_bits[first : first + slices],
                np.frombuffer(mask_known, np.bool_),
                math.nan if slice_mm is None else slice_mm,  # SQLite keeps NaN as NULL
            )
            for first, slices, study_labels, slice_labels, mask_known, slice_mm in rows
        )

    def splits(self) -> dict[str, Split]:
        """Split of every study that counts, by `key_of` its UID."""
        with _reading(self.folder) as database:
            return dict(database.execute("SELECT key, split FROM studies WHERE split IS NOT NULL"))

    def keys(self, split: Split) -> tuple[str, ...]:
        """Of the studies of one split, in their places."""
        with _reading(self.folder) as database:
            rows = database.execute("SELECT key FROM studies WHERE split = ? ORDER BY place", (split,))
            return tuple(key for (key,) in rows)

    def groups(self, split: Split, by: GroupedBy) -> tuple[str, ...]:
        """Of the studies of one split, in their places; empty names where `by` is none."""
        query = f"SELECT {_GROUP_OF[by]} FROM studies WHERE split = ? ORDER BY place"
        with _reading(self.folder) as database:
            return tuple(group for (group,) in database.execute(query, (split,)))

    def study_labels(self, split: Split) -> NDArray[np.int8]:
        """(studies, 6) of one split."""
        with _reading(self.folder) as database:
            rows = database.execute("SELECT study_labels FROM studies WHERE split = ? ORDER BY place", (split,))
            labels = b"".join(labels for (labels,) in rows)
        return np.frombuffer(labels, np.int8).reshape(-1, len(CLASSES))


class StoreWriter:
    """Adds studies to a store; whoever opens it holds the site's lock."""

    def __init__(self, store: Store) -> None:
        self._folder, self._shapes = store.folder, store.shapes
        self._folder.mkdir(parents=True, exist_ok=True)
        self._database = _connect(self._folder / "studies.sqlite")
        self._database.executescript(_TABLES)
        self._end = int(_state(self._database, "end"))
        self._files: dict[str, BinaryIO] = {}
        for name, shape in self._shapes.items():
            path = _file(self._folder, name, self._database)
            path.touch()
            file = self._files[name] = path.open("r+b")
            file.truncate(self._end * math.prod(shape))  # what an interrupted run left behind its last commit
            file.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        self._database.close()

    def __contains__(self, key: str) -> bool:
        return self._database.execute("SELECT 1 FROM studies WHERE key = ?", (key,)).fetchone() is not None

    def append(self, key: str, study: Study) -> None:
        """Add a study, or another version of one, out of every split until the next `settle`."""
        for name, shape in self._shapes.items():
            array = np.ascontiguousarray(getattr(study, name), np.uint8)
            if array.shape != (study.slices, *shape):
                raise ValueError(f"{name}: {array.shape} is not {(study.slices, *shape)}")
            self._files[name].write(array.data)
        labels = (study.study_labels, study.slice_labels, study.mask_known)
        row = (
            key,
            self._end,
            study.slices,
            *(np.ascontiguousarray(array).tobytes() for array in labels),
            study.slice_mm,
        )
        self._database.execute(f"INSERT OR REPLACE INTO studies (key, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._end += study.slices

    def commit(self) -> None:
        """All that was added so far is there to stay."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        self._database.execute("UPDATE state SET value = ? WHERE name = 'end'", (self._end,))
        self._database.commit()

    def settle(
        self, splits: Mapping[str, Split | None], stamp: str, groups: Mapping[str, Groups] = MappingProxyType({})
    ) -> None:
        """From now on the store holds the studies of these keys and no others, those of a split in this order."""
        places = [(key, split, place, *groups.get(key, Groups())) for place, (key, split) in enumerate(splits.items())]
        self._database.execute(
            "CREATE TEMP TABLE places (key TEXT PRIMARY KEY, split, place, scanner, label) WITHOUT ROWID"
        )
        self._database.executemany("INSERT INTO places VALUES (?, ?, ?, ?, ?)", places)
        self._database.execute("DELETE FROM studies WHERE key NOT IN (SELECT key FROM places)")
        self._database.execute(
            "UPDATE studies SET (split, place, scanner, label) = "
            "(SELECT split, place, scanner, label FROM places WHERE places.key = studies.key)"
        )
        self._database.execute("UPDATE state SET value = ? WHERE name = 'stamp'", (stamp,))
        live = int(self._database.execute("SELECT COALESCE(SUM(slices), 0) FROM studies").fetchone()[0])
        if self._end > 2 * live:
            self._compact()
        self.commit()

    def _compact(self) -> None:
        """Copy what counts into new files; those who have the old ones mapped keep them."""
        generation = int(_state(self._database, "generation"))
        rows = self._database.execute("SELECT key, first, slices FROM studies ORDER BY first").fetchall()
        for name, shape in self._shapes.items():
            self._files[name].flush()
            size = math.prod(shape)
            file = (self._folder / f"{name}-{generation + 1}.u8").open("w+b")
            for _, first, slices in rows:
                self._files[name].seek(first * size)
                file.write(self._files[name].read(slices * size))
            self._files[name].close()
            self._files[name] = file
        self._end = 0
        for key, _, slices in rows:
            self._database.execute("UPDATE studies SET first = ? WHERE key = ?", (self._end, key))
            self._end += slices
        self._database.execute("UPDATE state SET value = ? WHERE name = 'generation'", (generation + 1,))
        self.commit()
        for name in self._shapes:
            (self._folder / f"{name}-{generation}.u8").unlink(missing_ok=True)


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """A transaction, so that a writer moves no file between two looks."""
    with closing(_connect(folder / "studies.sqlite")) as database:
        database.execute("BEGIN")
        yield database


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_PATIENCE_S)


def _state(database: sqlite3.Connection, name: str) -> Any:
    return database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()[0]


def _file(folder: Path, name: str, database: sqlite3.Connection) -> Path:
    return folder / f"{name}-{_state(database, 'generation')}.u8"


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """All slices (n, *shape), as a plain read-only array, whose slices cost a tenth of a memmap's."""
    return np.asarray(np.memmap(path, np.uint8, "r").reshape(-1, *shape))
