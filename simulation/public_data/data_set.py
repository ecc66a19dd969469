"""What every public data set has in common: who gives it out, and how it becomes site folders."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError
from bloodnet_model.splits import Split

FETCH_ANEW: Final = "fetch the table anew, of the version that `bloodnet-simulate datasets` names"


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    download: what to fetch and unpack, nothing renamed
    labels:   what its labels speak of: study, slice, mask
    sites:    from the folder of the user's download, a folder to write in and what is told of progress to site
              folders; raises DataError
    held_out: split by site, where its sites may serve as test sets that nobody trains on
    """

    name: str
    title: str
    download: str
    source: str
    licence: str
    size: str
    labels: str
    sites: Callable[[Path, Path, OnProgress], list[Path]]
    held_out: Mapping[str, Split] = field(default_factory=dict)


def folder_named(data: Path, name: str, title: str) -> Path:
    """The folder `name` below `data`; raises DataError where there is none."""
    return _below(data, name, title, Path.is_dir)


def file_named(data: Path, name: str, title: str) -> Path:
    """The file `name` in `data`; raises DataError where there is none."""
    return _below(data, name, title, Path.is_file)


def _below(data: Path, name: str, title: str, is_there: Callable[[Path], bool]) -> Path:
    if not data.is_dir():
        raise DataError(f"{data}: there is no such folder; name the one that {title} was unpacked into.")
    if not is_there(data / name):
        raise DataError(f"{data}: holds no {name}, so it is not {title} as unpacked; name the folder that holds it.")
    return data / name
