"""The headers of a site's files, by path, size and time of change, in one SQLite file.

A second look at unchanged files opens none of them, and a look that was interrupted goes on where it stopped. All
that names a patient lies here and in the ledger; the prepared pixels lie elsewhere, under opaque keys.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError, UnusableSlice
from client.dicom import SliceHeader, read_headers
from client.ledger import Entry
from client.listing import FoundFile, found_files, state_of
from client.site_settings import SITE_FILE, Site
from client.workers import ordered_map, usable_cores

FORMAT: Final = 2
"""Raised with every change of what the tables or headers hold, so that no older index passes for this one."""

_Made = TypeVar("_Made")

_TABLES: Final = """
CREATE TABLE files (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, study TEXT, headers TEXT, reason TEXT, detail TEXT
) WITHOUT ROWID;
CREATE INDEX files_of_study ON files (study, path);
CREATE TABLE outcomes (
    store TEXT, study TEXT, made_from TEXT, outcome TEXT, PRIMARY KEY (store, study)
) WITHOUT ROWID;
CREATE TABLE version (token TEXT);
INSERT INTO version VALUES (hex(randomblob(8)));
"""
_FOUND: Final = """
CREATE TEMP TABLE found (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, reason TEXT, detail TEXT) WITHOUT ROWID
"""
_NEW: Final = """
FROM found LEFT JOIN files USING (path) WHERE files.size IS NOT found.size OR files.mtime_ns IS NOT found.mtime_ns
"""
_GONE: Final = "FROM files WHERE path NOT IN (SELECT path FROM found)"

_CHANGED: Final = -2
"""Size noted of a file that changed while it was read: it differs from every size, so the file is read again."""

_PATIENCE_S: Final = 60.0
"""How long one process waits for another's transaction."""

_TOGETHER: Final = 1_000
"""Files that are committed together: what an interruption costs."""

_WORTH: Final = 2_000
"""Files from which on starting processes to read them pays."""


class IndexedFile(NamedTuple):
    """The headers of one file, one a frame, and the state in which it was read."""

    headers: tuple[SliceHeader, ...]
    size: int
    mtime_ns: int


class FileIndex:
    """A site's index, open; whoever makes or changes it holds the site's lock."""

    def __init__(self, site: Site, database: sqlite3.Connection) -> None:
        self.database = database
        self._site = site
        self._prefix = f"{site.folder}/"

    @classmethod
    def open(cls, site: Site) -> Self | None:
        """The site's index; None where there is none, or one that is damaged or of another format."""
        database = _opened(_path(site))
        return cls(site, database) if database is not None else None

    @classmethod
    def make(cls, site: Site) -> Self:
        """The site's index; a new one where `open` finds none."""
        return cls(site, _opened(_path(site)) or _made(_path(site)))

    @staticmethod
    def remove(site: Site) -> None:
        """Forget all that is known; the files are read anew."""
        _path(site).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.database.close()

    def look(self, found: Iterable[FoundFile]) -> bool:
        """Compare what lies there with what is known: True where a file is new, changed or gone. Writes nothing."""
        self.database.execute("DROP TABLE IF EXISTS temp.found")
        self.database.execute(_FOUND)
        rows = ((self._name(path), *rest) for path, *rest in found)
        self.database.executemany("INSERT OR IGNORE INTO found VALUES (?, ?, ?, ?, ?)", rows)
        differs = any(self._one(f"SELECT EXISTS (SELECT 1 {where})") for where in (_NEW, _GONE))
        self.database.commit()  # or it would go on holding the lock of a reader
        return differs

    def read(self, on_progress: OnProgress) -> None:
        """Read the headers of the files in which the last look saw a difference, and forget those that are gone."""
        self.database.execute(f"DELETE {_GONE}")
        new = self.database.execute(
            f"SELECT path, found.size, found.mtime_ns, found.reason, found.detail {_NEW} ORDER BY path"
        ).fetchall()
        tasks = (FoundFile(self._site.folder / path, *rest) for path, *rest in new)
        cores = usable_cores(self._site.settings.cores)
        for done, (task, row) in enumerate(ordered_map(_row, tasks, cores, _WORTH), start=1):
            row = row or (task.size, task.mtime_ns, "", "", "unreadable", f"{task.path.name}: its reader crashed.")
            self.database.execute("INSERT OR REPLACE INTO files VALUES (?,?,?,?,?,?,?)", (self._name(task.path), *row))
            if done % _TOGETHER == 0:
                self.database.commit()
                on_progress("reading headers", done, len(new))
        self.database.execute("UPDATE version SET token = hex(randomblob(8))")
        self.database.commit()
        on_progress("reading headers", len(new), len(new))

    @property
    def version(self) -> str:
        """Another one after every change of what the index knows, and for every new index."""
        return str(self.database.execute("SELECT token FROM version").fetchone()[0])

    def studies(self) -> list[str]:
        """UIDs of all studies that hold a CT, in order."""
        return [
            uid for (uid,) in self.database.execute("SELECT DISTINCT study FROM files WHERE study != '' ORDER BY 1")
        ]

    def files_of(self, study: str) -> list[IndexedFile]:
        """The files of one study, by path."""
        query = "SELECT path, headers, size, mtime_ns FROM files WHERE study = ? ORDER BY path"
        return [
            IndexedFile(_headers(headers, self._site.folder / path), *state)
            for path, headers, *state in self.database.execute(query, (study,))
        ]

    def rejected(self) -> Iterator[Entry]:
        """A ledger line for every file that is no CT slice."""
        query = "SELECT path, reason, detail FROM files WHERE study = '' ORDER BY path"
        for path, reason, detail in self.database.execute(query):
            yield Entry("file", path, reason, detail)

    def _name(self, path: Path) -> str:
        """The path relative to the site, which may move; as it is where it lies elsewhere."""
        return str(path).removeprefix(self._prefix)

    def _one(self, query: str) -> int:
        return int(self.database.execute(query).fetchone()[0])


def healing(site: Site, attempt: Callable[[], _Made], discard: Callable[[], None] = lambda: None) -> _Made:
    """What `attempt` gives; where the index is damaged it is made anew, after `discard`, and tried once more.

    All that the index holds can be read again from the files. The caller holds the site's lock.
    """
    try:
        return attempt()
    except sqlite3.OperationalError:  # the disk, not what is on it
        raise
    except sqlite3.DatabaseError:
        FileIndex.remove(site)
        discard()
        return attempt()


@contextmanager
def up_to_date_index(site: Site, on_progress: OnProgress) -> Iterator[FileIndex]:
    """The site's index after a look at its files. Raises DataError where none of them is a CT."""
    with FileIndex.make(site) as index:
        if index.look(found_files(site)):
            index.read(on_progress)
        if not index.studies():
            raise DataError(f"{site.folder}: none of its files is a CT slice; correct `dicom` in its {SITE_FILE}.")
        yield index


def _path(site: Site) -> Path:
    return site.cache / "index.sqlite"


def _row(found: FoundFile) -> tuple[int, int, str, str, str, str]:
    """Size, time, study, headers, reason and detail of one file, for the table."""
    if found.reason:
        return found.size, found.mtime_ns, "", "", found.reason, found.detail
    try:
        headers = read_headers(found.path)
    except UnusableSlice as fault:
        return found.size, found.mtime_ns, "", "", fault.reason, str(fault)
    if state_of(found.path) != (found.size, found.mtime_ns):
        return _CHANGED, found.mtime_ns, "", "", "changed", f"{found.path.name}: changed while it was read."
    text = "\n".join(header.to_json() for header in headers)
    return found.size, found.mtime_ns, headers[0].study_uid, text, "", ""


def _headers(text: str, path: Path) -> tuple[SliceHeader, ...]:
    return tuple(SliceHeader.from_json(line, path) for line in text.split("\n"))


def _opened(path: Path) -> sqlite3.Connection | None:
    if not path.is_file():
        return None
    database = sqlite3.connect(path, timeout=_PATIENCE_S)
    with suppress(sqlite3.DatabaseError):
        if database.execute("PRAGMA user_version").fetchone()[0] == FORMAT:
            return database
    database.close()
    return None


def _made(path: Path) -> sqlite3.Connection:
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path, timeout=_PATIENCE_S)
    database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
    return database
