"""RSNA 2019 in its true form, odd headers and all: what a run would train on, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from bloodnet_model.settings import ModelSettings
from client.dataset import SPLITS, load_site, prepare
from client.ledger import Ledger
from client.site_settings import read_site
from simulation.catalogue import catalogue
from simulation.public_data.rsna2019 import sites
from tests.client.dicom_factory import SLICES, head_hu, write_slice

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # pydicom, as the files are written
GROUP_LENGTH = slice(132, 144)
TAIL = ("_epidural", "_intraparenchymal", "_intraventricular", "_subarachnoid", "_subdural", "_any")


def write_image(folder: Path, study: int, index: int) -> str:
    """One image of study 1, 2 or 3, each of a flavour of its own; returns its name."""
    name = f"ID_{study}{index:08x}"
    path, hu = folder / f"{name}.dcm", head_hu(study)[index]
    identity = {
        "SOPInstanceUID": name,
        "StudyInstanceUID": f"ID_study{study}",
        "SeriesInstanceUID": f"ID_series{study}",
        "patient": f"ID_patient{study}",
        "InstanceNumber": None,
        "SliceThickness": None,
        "SeriesDescription": None,
        "ConvolutionKernel": None,
        "AccessionNumber": None,
        "ImageType": None,
    }
    twelve = {"BitsStored": 12, "HighBit": 11}
    if study == 1:  # signed, padded with -2000
        padded = hu.copy()
        padded[:3, :3] = -3024
        write_slice(path, padded, index=index, study=study, **identity)  # type: ignore[arg-type]
    elif study == 2:  # unsigned, implicit, the meta group's length left out
        write_slice(path, hu, index=index, dtype="<u2", syntax=ImplicitVRLittleEndian, **twelve, **identity)  # type: ignore[arg-type]
        content = path.read_bytes()
        path.write_bytes(content[: GROUP_LENGTH.start] + content[GROUP_LENGTH.stop :])
    else:  # unsigned, wrapped at 4096
        write_slice(path, hu % 4096, index=index, dtype="<u2", intercept=0, **twelve, **identity)  # type: ignore[arg-type]
    return name


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three studies; blood (subdural) on the middle slices of the second."""
    folder = tmp_path / "rsna"
    lines = ["ID,Label"]
    for study in (1, 2, 3):
        for index in range(SLICES):
            name = write_image(folder / "stage_2_train", study, index)
            bleeds = study == 2 and 4 <= index < 7
            lines += [f"{name}{end},{int(bleeds and end in ('_subdural', '_any'))}" for end in TAIL]
    lines += lines[1:7]  # as the published table, which names four images twice
    (folder / "stage_2_train.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_three_flavours_train_alike(data: Path, tmp_path: Path, small: ModelSettings) -> None:
    (folder,) = sites(data, tmp_path / "sites", lambda *_: None)
    prepared = prepare(load_site(folder), small.preprocessing)
    counts = prepared.counts()
    assert sum(counts[f"{split}-studies"] for split in ("train", "validation", "test")) == 3
    assert sum(counts[f"{split}-positive"] for split in ("train", "validation", "test")) == 1
    studies = [study for split in SPLITS for study in prepared.studies(split)]
    (bleeding,) = [study for study in studies if study.study_labels[0] == 1]
    assert bleeding.slice_labels[:, CLASSES.index("subdural")].tolist() == [0] * 4 + [1] * 3 + [0] * 3
    first, *others = [study.windows[:, :, 8:-8, 8:-8].astype(int) for study in studies]
    for other in others:  # the heads differ in one mark only, whichever way they were stored
        assert np.median(np.abs(first - other)) == 0


def test_a_corrupt_image_is_named_and_its_study_kept(data: Path, tmp_path: Path, small: ModelSettings) -> None:
    image = next((data / "stage_2_train").glob("ID_1*5.dcm"))
    image.write_bytes(image.read_bytes()[:-400])
    (folder,) = sites(data, tmp_path / "sites", lambda *_: None)
    prepare(load_site(folder), small.preprocessing)
    faulty = {Path(entry.item).name for entry in Ledger((folder / ".bloodnet" / "ledger.csv",)) if entry.reason}
    assert image.name in faulty


@pytest.mark.filterwarnings("error")
def test_a_partition_knows_patients_and_storage(data: Path, tmp_path: Path, small: ModelSettings) -> None:
    (folder,) = sites(data, tmp_path / "sites", lambda *_: None)
    studies = catalogue(read_site(folder), small.preprocessing)
    assert [(study.uid, study.patient) for study in studies] == [(f"ID_study{i}", f"ID_patient{i}") for i in (1, 2, 3)]
    assert [study.scanner for study in studies] == [
        "signed 16-bit from -1024.0",
        "unsigned 12-bit from -1024.0",
        "unsigned 12-bit from 0.0",
    ]
    assert {study.kinds for study in studies} == {("study", "slice")}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("ID,Label", "filename,any", "does not begin with ID,Label"),
        ("_epidural,0", "_epidural,2", "no image's label"),
        ("ID_100000000_any,0\n", "", "ID_100000000 has not all of its six rows"),
        ("ID_100000001_any,0", "ID_100000000_any,1", "contradicts an earlier one on ID_100000000_any"),
    ],
)
def test_a_table_of_another_kind(old: str, new: str, sentence: str, data: Path, tmp_path: Path) -> None:
    path = data / "stage_2_train.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 2 if not new else 1))
    with pytest.raises(DataError, match=sentence):
        sites(data, tmp_path / "sites", lambda *_: None)


def test_what_is_not_rsna_or_half_of_it(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no stage_2_train.csv, so it is not RSNA 2019 as unpacked"):
        sites(tmp_path, tmp_path / "sites", lambda *_: None)
    for image in list((data / "stage_2_train").iterdir())[:7]:
        image.unlink()
    with pytest.raises(DataError, match="7 of 30 labelled images are not there; finish the download"):
        sites(data, tmp_path / "sites", lambda *_: None)
