"""Write a virtual hospital: what a real one is, a folder with site.yaml and labels.csv that points at its files."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from bloodnet_model.files import make_folder, write_whole
from client.label_table import COLUMNS
from client.site_settings import SITE_FILE

_DEFAULTS: Final = {"minimum_cohort": 1, "minimum_class": 1, "groups": "scanner"}


def write_site(folder: Path, dicom: Iterable[Path], labels: Iterable[Mapping[str, object]], **settings: Any) -> Path:
    """A site folder of DICOM files where they lie; `labels` are rows of labels.csv by column.

    `dicom` and `settings` are those of site.yaml; no cohort is too small and figures are counted by scanner, too,
    unless they say otherwise.
    """
    make_folder(folder)
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    rows.writeheader()
    rows.writerows(labels)
    roots = [str(path.resolve()) for path in dicom]
    write_whole(folder / "labels.csv", text.getvalue())
    write_whole(
        folder / SITE_FILE,
        yaml.safe_dump({"name": folder.name, "dicom": roots, **_DEFAULTS, **settings}),
    )
    return folder
