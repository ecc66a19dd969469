"""What every public data set has in common: who gives it out, and how it becomes site folders."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from client.label_table import COLUMNS
from client.site_settings import SITE_FILE


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    download: what to fetch and unpack, nothing renamed
    labels:   what its labels speak of: study, slice, mask
    sites:    (folder of the user's download, folder to write in) to site folders; raises DataError
    """

    name: str
    title: str
    download: str
    source: str
    licence: str
    size: str
    labels: str
    sites: Callable[[Path, Path], list[Path]]


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
    """`data / name`; raises DataError where it is not there."""
    if not data.is_dir():
        raise DataError(f"{data}: there is no such folder; name the one that {title} was unpacked into.")
    if not (data / name).exists():
        raise DataError(f"{data}: holds no {name}, so it is not {title} as unpacked; name the folder that holds it.")
    return data / name


def table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file that has these columns; raises DataError, naming the file and the column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            header, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV table ({type(error).__name__}); fetch it anew.") from None
    for column in columns:
        if column not in header:
            raise DataError(f"{path}: column {column!r} is missing; it may be of another version of the data set.")
    return rows
