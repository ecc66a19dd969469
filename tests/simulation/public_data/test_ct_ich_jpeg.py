"""CT-ICH to version 1.3.0: what two 8-bit windows still tell of HU, and the real table."""

import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from bloodnet_model.errors import DataError
from bloodnet_model.settings import ModelSettings
from client.dataset import SPLITS, load_site, prepare
from client.dicom import read_headers
from client.volume import read_volume
from simulation.public_data import ct_ich
from simulation.public_data.ct_ich_jpeg import BONE_HU, BRAIN_HU, TABLE
from simulation.public_data.ct_ich_table import read_slices
from tests.client.dicom_factory import SLICES, head_hu

REAL = os.environ.get("BLOODNET_REAL_DATA")
ENLARGED = 8
HEAD = "\ufeffPatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"


def large_head() -> NDArray[np.float64]:
    """(slices, rows, columns), square, about as large in its picture as a head is."""
    hu = np.pad(head_hu(), ((0, 0), (0, 0), (2, 2)), constant_values=-1000)
    return hu.repeat(ENLARGED, axis=1).repeat(ENLARGED, axis=2).astype(float)


def write_picture(path: Path, values: NDArray[np.float64]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(imagecodecs.jpeg8_encode(np.clip(np.rint(values), 0, 255).astype(np.uint8), level=95))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Patient 49, with subdural blood on slices 5 to 7."""
    folder = tmp_path / "d"
    lines = [HEAD + "No_Hemorrhage,Fracture_Yes_No"]
    for number, plane in enumerate(large_head(), start=1):
        for window, (low, high) in (("brain", BRAIN_HU), ("bone", BONE_HU)):
            write_picture(folder / "Patients_CT" / "049" / window / f"{number}.jpg", (plane - low) / (high - low) * 255)
        bleeds = 5 <= number <= 7
        if bleeds:
            marked = np.zeros_like(plane)
            marked[64:112, 152:176] = 255
            write_picture(folder / "Patients_CT" / "049" / "brain" / f"{number}_HGE_Seg.jpg", marked)
        lines.append(f"49,{number},0,0,0,0,{int(bleeds)},{int(not bleeds)},0")
    (folder / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_hu_come_back_from_two_windows(data: Path, tmp_path: Path) -> None:
    (folder,) = ct_ich.sites(data, tmp_path / "sites", lambda *_: None)
    headers = [header for path in sorted((folder / "dicom").rglob("*.dcm")) for header in read_headers(path)]
    hu, true = read_volume(headers).hu, large_head()
    off = np.abs(hu - true)
    brain = (true > BRAIN_HU[0] + 5) & (true < BRAIN_HU[1] - 5)
    assert np.median(off[brain]) <= 1
    assert np.median(off[true > 800]) < 15
    assert np.median(hu[true == -1000]) == BONE_HU[0]  # darker than that the pictures do not go


def test_labels_and_mask(data: Path, tmp_path: Path, small: ModelSettings) -> None:
    (folder,) = ct_ich.sites(data, tmp_path / "sites", lambda *_: None)
    site = prepare(load_site(folder), small.preprocessing)
    (study,) = [study for split in SPLITS for study in site.studies(split)]
    assert study.slice_labels[:, 0].tolist() == [0] * 4 + [1] * 3 + [0] * (SLICES - 7)
    assert np.flatnonzero(study.mask_bits.any(axis=(1, 2))).tolist() == [4, 5, 6]
    rows, columns = np.nonzero(study.mask_bits[5])
    assert columns.mean() > study.mask_bits.shape[2] / 2 > 0  # the patient's left is the image's right
    assert rows.mean() < study.mask_bits.shape[1] / 2


def test_a_picture_that_is_missing_or_no_picture(data: Path, tmp_path: Path) -> None:
    picture = data / "Patients_CT" / "049" / "bone" / "3.jpg"
    picture.write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"3\.jpg: cannot be read as JPEG"):
        ct_ich.sites(data, tmp_path / "sites", lambda *_: None)
    picture.unlink()
    with pytest.raises(DataError, match=r"3\.jpg: is not there, and hemorrhage_diagnosis\.csv tells of it"):
        ct_ich.sites(data, tmp_path / "sites", lambda *_: None)


@pytest.mark.skipif(REAL is None, reason="BLOODNET_REAL_DATA is not set")
def test_the_real_table() -> None:
    patients = read_slices(Path(str(REAL)) / "ct-ich-labels" / TABLE)
    assert len(patients) == 82
    assert sum(map(len, patients.values())) == 2501
    assert sum(any(labels[0] for labels in slices.values()) for slices in patients.values()) == 36
