"""The site's prepared arrays on disk: memory-mapped .npy files, written whole or not at all.

`current.json` names the folder of arrays that counts and the fingerprint of all that it was made from. A build
writes a folder of its own and ends by replacing that file, so an interrupted one changes nothing.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bloodnet_model.errors import DataError
from bloodnet_model.files import write_whole
from bloodnet_model.labels import CLASSES
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.study import Study
from client.site_settings import SITE_FILE, Site
from client.splits import SPLITS, Split

FORMAT: Final = 1
"""Raised with every change of what the arrays hold, so that no older cache passes for fresh."""

_PREFIX: Final = "prepared-"
_IRRELEVANT: Final = frozenset({"name", "members", "cache", "minimum_cohort"})
"""Site settings on which no array depends."""


def fingerprint(site: Site, files: Sequence[Path], masks: Iterable[Path], preprocessing: PreprocessingSettings) -> str:
    """Digest of the settings and of path, size and time of every file; reads none of them."""
    settings = site.settings.model_dump_json(exclude=set(_IRRELEVANT))
    digest = hashlib.sha256(f"{FORMAT}\n{settings}\n{preprocessing.model_dump_json()}\n".encode())
    for path in (*files, site.labels, *masks):
        try:
            status = os.stat(path)  # noqa: PTH116  # half the time of Path.stat, a million times
            state = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            state = "missing"
        digest.update(f"{_name(site, path)}\n{state}\n".encode())
    return digest.hexdigest()


def fresh_folder(site: Site, files: Sequence[Path], preprocessing: PreprocessingSettings) -> Path | None:
    """The folder of prepared arrays if nothing that they were made from has changed since."""
    try:
        current = json.loads(_pointer(site).read_text(encoding="utf-8"))
        masks = [site.folder / name for name in current["masks"]]
        folder = site.cache / current["folder"]
        known = current["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fresh = folder.is_dir() and site.ledger.is_file() and known == fingerprint(site, files, masks, preprocessing)
    return folder if fresh else None


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Alone with the site's cache: a second process waits here until the first has built what both want.

    Raises DataError where the cache cannot be written, now or on the way.
    """
    try:
        site.cache.mkdir(parents=True, exist_ok=True)
        with (site.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise DataError(
            f"{site.cache}: cannot be written ({error.strerror}); "
            f"make it writable, or name another folder as `cache` in {site.folder / SITE_FILE}."
        ) from None


@contextmanager
def new_folder(site: Site) -> Iterator[Path]:
    """An empty folder for prepared arrays; gone again if what is done in it fails."""
    folder = Path(mkdtemp(prefix=_PREFIX, dir=site.cache))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def commit(site: Site, folder: Path, made_from: str, masks: Iterable[Path]) -> None:
    """Make `folder` the one that counts, and remove all others."""
    current = {"folder": folder.name, "fingerprint": made_from, "masks": [_name(site, mask) for mask in masks]}
    write_whole(_pointer(site), json.dumps(current, indent=1))
    for other in site.cache.glob(f"{_PREFIX}*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)  # whoever has it mapped keeps what he sees


class PreparedWriter:
    """Appends prepared studies to the arrays of their split; what it holds in memory is one study."""

    def __init__(self, folder: Path, preprocessing: PreprocessingSettings) -> None:
        rows, columns, windows = preprocessing.rows, preprocessing.columns, len(preprocessing.windows_hu)
        self._layout: dict[str, tuple[DTypeLike, tuple[int, ...]]] = {
            "windows": (np.uint8, (windows, rows, columns)),
            "mask_bits": (np.uint8, (rows // 2, columns // 2)),
            "mask_known": (np.bool_, ()),
            "slice_labels": (np.int8, (len(CLASSES),)),
            "study_labels": (np.int8, (len(CLASSES),)),
            "offsets": (np.int64, ()),
        }
        self._files = ExitStack()
        self._arrays = {
            (split, name): self._files.enter_context(_GrowingArray(_array_path(folder, split, name), *layout))
            for split in SPLITS
            for name, layout in self._layout.items()
        }
        for split in SPLITS:
            self._arrays[split, "offsets"].append(np.zeros(1, np.int64))

    def append(self, split: Split, study: Study) -> None:
        for name in ("windows", "mask_bits", "mask_known", "slice_labels"):
            self._arrays[split, name].append(getattr(study, name))
        self._arrays[split, "study_labels"].append(study.study_labels[None])
        self._arrays[split, "offsets"].append(np.array([self._arrays[split, "windows"].length], np.int64))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._files.__exit__(*error)


def read_studies(folder: Path, split: Split) -> tuple[Study, ...]:
    """The studies of one split, their arrays views of memory-mapped files."""
    windows, mask_bits, mask_known, slice_labels, study_labels, offsets = (
        read_array(folder, split, name)
        for name in ("windows", "mask_bits", "mask_known", "slice_labels", "study_labels", "offsets")
    )
    return tuple(
        Study(windows[a:b], study_labels[i], slice_labels[a:b], mask_bits[a:b], mask_known[a:b])
        for i, (a, b) in enumerate(pairwise(offsets))
    )


def read_array(folder: Path, split: Split, name: str) -> NDArray[Any]:
    """One prepared array, memory-mapped; as a plain array, whose slices cost a tenth of a memmap's."""
    return np.asarray(np.load(_array_path(folder, split, name), mmap_mode="r", allow_pickle=False))


class _GrowingArray:
    """A .npy file that grows along its first axis; its header is written anew, in its place, when it is closed."""

    def __init__(self, path: Path, dtype: DTypeLike, item_shape: tuple[int, ...]) -> None:
        self.length = 0
        self._dtype = np.dtype(dtype)
        self._item_shape = item_shape
        self._file = path.open("wb")
        self._write_header()

    def append(self, items: NDArray[Any]) -> None:
        """Write (n, *item_shape)."""
        assert items.shape[1:] == self._item_shape, (items.shape, self._item_shape)
        self._file.write(np.ascontiguousarray(items, self._dtype).data)
        self.length += len(items)

    def _write_header(self) -> None:
        # numpy pads this header so that its length stays when the first axis grows.
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.length, *self._item_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                self._file.seek(0)
                self._write_header()
                self._file.flush()
                os.fsync(self._file.fileno())


def _array_path(folder: Path, split: Split, name: str) -> Path:
    return folder / f"{split}-{name}.npy"


def _name(site: Site, path: Path) -> str:
    """The path relative to the site, which may move; as it is where it lies elsewhere."""
    return str(path).removeprefix(f"{site.folder}/")


def _pointer(site: Site) -> Path:
    return site.cache / "current.json"
