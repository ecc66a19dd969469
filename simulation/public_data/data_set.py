"""What every public data set has in common: who gives it out, and how it becomes site folders."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from bloodnet_model.splits import Split
from client.label_table import COLUMNS
from client.site_settings import SITE_FILE

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


def write_site(folder: Path, dicom: Iterable[Path], labels: Iterable[dict[str, object]], **settings: Any) -> Path:
    """A site folder that points at files where they lie; `labels` are rows of labels.csv by column."""
    make_folder(folder)
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    rows.writeheader()
    rows.writerows(labels)
    roots = [str(path.resolve()) for path in dicom]
    write_whole(folder / "labels.csv", text.getvalue())
    write_whole(
        folder / SITE_FILE, yaml.safe_dump({"name": folder.name, "dicom": roots, "minimum_cohort": 1, **settings})
    )
    return folder


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
