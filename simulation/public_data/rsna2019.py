"""RSNA 2019 Intracranial Hemorrhage Detection (Flanders et al., Radiology: AI 2020): labels of slices, no masks.

`stage_2_train.csv` has six rows an image, `ID_12cadc6af_epidural,0` and so on; `stage_2_train/` its DICOM files.
What is odd about the files themselves (three flavours of header, wrapped 12-bit values, a truncated one) is the
client's to read or to name in its ledger.
"""

import os
from pathlib import Path
from typing import Final

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from simulation.public_data.data_set import DataSet, file_named, folder_named
from simulation.site_folder import write_site

TABLE: Final = "stage_2_train.csv"
IMAGES: Final = "stage_2_train"
_TITLE: Final = "RSNA 2019"
_UNSAID: Final = 2
_TOLD: Final = 100_000
_COLUMN: Final = {f"_{name}": j for j, name in enumerate(CLASSES)}


def sites(data: Path, out: Path, on_progress: OnProgress) -> list[Path]:
    """One site with all images. Raises DataError for what is not this data set, or not all of it."""
    path, images = file_named(data, TABLE, _TITLE), folder_named(data, IMAGES, _TITLE)
    labels = _labels(path, on_progress)
    with os.scandir(images) as found:
        here = {file.name.removesuffix(".dcm") for file in found}
    if absent := len(labels.keys() - here):
        raise DataError(
            f"{images}: {absent:,} of {len(labels):,} labelled images are not there; finish the download, "
            f"or keep only the rows of your images in {TABLE}."
        )
    rows = ({"sop_instance_uid": image, **dict(zip(CLASSES, values, strict=True))} for image, values in labels.items())
    return [write_site(out / "rsna2019", [images], rows)]


def _labels(path: Path, on_progress: OnProgress) -> dict[str, bytearray]:
    """(6,) 0 or 1 by image, in the file's order; an image may come twice if it says the same."""
    labels: dict[str, bytearray] = {}
    size, read = path.stat().st_size, 0
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        if file.readline().strip() != "ID,Label":
            raise DataError(f"{path}: does not begin with ID,Label; it may be of another version of the data set.")
        for line, text in enumerate(file, start=2):
            identifier, _, value = text.strip().partition(",")
            image, underscore, finding = identifier.rpartition("_")
            column = _COLUMN.get(underscore + finding)
            if column is None or value not in ("0", "1"):
                raise DataError(f"{path}: line {line} is {text.strip()[:60]!r}, no image's label; fetch the file anew.")
            values = labels.setdefault(image, bytearray([_UNSAID] * len(CLASSES)))
            if values[column] not in (_UNSAID, int(value)):
                raise DataError(f"{path}: line {line} contradicts an earlier one on {identifier}; keep one of them.")
            values[column] = int(value)
            read += len(text)
            if line % _TOLD == 0:
                on_progress(f"reading {TABLE}", read >> 20, size >> 20)
    incomplete = next((image for image, values in labels.items() if _UNSAID in values), None)
    if incomplete is not None:
        raise DataError(f"{path}: {incomplete} has not all of its six rows; fetch the file anew.")
    return labels


DATA_SET: Final = DataSet(
    name="rsna2019",
    title=_TITLE,
    download=f"{TABLE} and {IMAGES}/ (flat DICOM), as unzipped",
    source="kaggle.com/c/rsna-intracranial-hemorrhage-detection",
    licence="non-commercial research; no redistribution",
    size="752,803 slices",
    labels="slice",
    sites=sites,
)
