"""BHSD, INSTANCE 2022 and CT-ICH 1.3.1 in their true form: the same pixels and masks as if they came as DICOM."""

import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from bloodnet_model.settings import ModelSettings
from bloodnet_model.study import Study
from client.dataset import SPLITS, load_site, prepare
from client.ledger import Ledger
from client.site_settings import read_site
from simulation.catalogue import catalogue
from simulation.federation import simulate
from simulation.partition import as_found
from simulation.placement import refuse_leakage
from simulation.public_data import bhsd, ct_ich, instance2022
from simulation.settings import simulation_settings
from simulation.site_folder import write_site
from tests.client.dicom_factory import SLICES, SPACING_MM, head_hu, write_series

REAL = os.environ.get("BLOODNET_REAL_DATA")
SIGNS = ((-1, -1), (1, 1), (1, -1))
"""Of the first two axes in RAS: the display's own order, as Hssayeni's volumes lie, and a mirror of it."""


def write_nifti(
    path: Path, stack: NDArray[Any], signs: tuple[int, int] = (-1, -1), dtype: Any = np.int16, intercept: int = 0
) -> None:
    """A display stack (slices, rows, columns) as a volume whose first axes run along or against the display's."""
    voxels = stack.transpose(2, 1, 0)[:: -signs[0], :: -signs[1]]
    affine = np.diag([signs[0] * SPACING_MM, signs[1] * SPACING_MM, 5.0, 1.0])
    image: Any = nibabel.Nifti1Image((voxels - intercept).astype(dtype), affine)  # type: ignore[no-untyped-call]
    image.header.set_slope_inter(1, intercept)
    image.set_qform(affine, code=1)
    image.set_sform(None, code=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)


def blood(code: int = 1) -> NDArray[np.uint8]:
    """The mark of `head_hu`, on the three middle slices."""
    mask = np.zeros(head_hu().shape, np.uint8)
    mask[4:7, 8:14, 14:20] = code
    return mask


def studies_of(folder: Path, small: ModelSettings) -> list[Study]:
    data = prepare(load_site(folder), small.preprocessing)
    faults = [entry for entry in Ledger((folder / ".bloodnet" / "ledger.csv",)) if entry.reason]
    assert not faults
    return [study for split in SPLITS for study in data.studies(split)]


@pytest.fixture
def as_dicom(tmp_path: Path, small: ModelSettings) -> Study:
    write_series(tmp_path / "reference" / "dicom")
    rows: list[dict[str, object]] = [{"study_instance_uid": "1.2.826.0.1.3680043.10.1", "any": 1}]
    folder = write_site(tmp_path / "reference", [tmp_path / "reference" / "dicom"], rows)
    return studies_of(folder, small)[0]


@pytest.mark.parametrize("signs", SIGNS)
def test_bhsd(signs: tuple[int, int], tmp_path: Path, small: ModelSettings, as_dicom: Study) -> None:
    hu = head_hu().copy()
    hu[:, 0, 0] = -33_000  # resampling left such extremes
    for part, code in (("Tr", 5), ("Ts", 2)):
        name = f"ID_pat{part}_ID_study{part}.nii.gz"
        stored = {"dtype": np.int32} if part == "Tr" else {"dtype": np.uint16, "intercept": -1024}
        write_nifti(tmp_path / "d" / f"images{part}" / name, hu if part == "Tr" else head_hu() + 1, signs, **stored)
        write_nifti(tmp_path / "d" / f"labels{part}" / name, blood(code), signs, np.uint16)
    (folder,) = bhsd.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None)
    studies = {tuple(np.flatnonzero(study.study_labels == 1).tolist()): study for study in studies_of(folder, small)}
    assert studies.keys() == {(0, CLASSES.index("subdural")), (0, CLASSES.index("intraparenchymal"))}
    study = studies[0, CLASSES.index("subdural")]
    assert np.array_equal(study.windows, as_dicom.windows)
    assert np.flatnonzero(study.mask_bits.any(axis=(1, 2))).tolist() == [4, 5, 6]
    assert bhsd.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None) == [
        folder
    ]  # a second run writes nothing anew


def test_bhsd_knows_rsnas_patients(tmp_path: Path, small: ModelSettings) -> None:
    for part in ("Tr", "Ts"):
        write_nifti(tmp_path / "d" / f"images{part}" / f"ID_p{part}_ID_s{part}.nii.gz", head_hu(1 + (part == "Ts")))
        write_nifti(tmp_path / "d" / f"labels{part}" / f"ID_p{part}_ID_s{part}.nii.gz", blood(), dtype=np.uint16)
    (made,) = bhsd.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None)
    write_series(tmp_path / "rsna" / "dicom", head_hu(3), patient="ID_pTr")
    rows: list[dict[str, object]] = [{"study_instance_uid": "1.2.826.0.1.3680043.10.1", "any": 0}]
    rsna = write_site(tmp_path / "rsna", [tmp_path / "rsna" / "dicom"], rows)
    placed = as_found(study for site in (made, rsna) for study in catalogue(read_site(site), small.preprocessing))
    with pytest.raises(DataError, match=r"patient ID_pTr is at bhsd .* and rsna"):
        refuse_leakage(placed)


def test_instance(tmp_path: Path, small: ModelSettings, as_dicom: Study) -> None:
    write_nifti(tmp_path / "d" / "data" / "001.nii.gz", head_hu())
    write_nifti(tmp_path / "d" / "data" / "131.nii.gz", head_hu(2))  # of the validation set: without a mask
    write_nifti(tmp_path / "d" / "label" / "001.nii.gz", blood())
    (folder,) = instance2022.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None)
    (study,) = studies_of(folder, small)
    assert np.array_equal(study.windows, as_dicom.windows)
    assert study.study_labels.tolist() == [1, -1, -1, -1, -1, -1]
    assert np.flatnonzero(study.mask_bits.any(axis=(1, 2))).tolist() == [4, 5, 6]


HEAD = "\ufeffPatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"


def write_ct_ich(data: Path) -> None:
    """Patients 49, who bleeds (epidural) on slices 5 to 7, and 66, who does not."""
    lines = [HEAD + "No_Hemorrhage,Fracture_Yes_No"]
    for patient in (49, 66):
        write_nifti(data / "ct_scans" / f"{patient:03d}.nii", head_hu(patient), (1, 1))
        mask = blood(255) if patient == 49 else np.zeros_like(blood())
        write_nifti(data / "masks" / f"{patient:03d}.nii", mask, (1, 1), np.uint8)
        for number in range(1, SLICES + 1):
            bleeds = int(patient == 49 and 5 <= number <= 7)
            lines.append(f"{patient},{number},0,0,0,{bleeds},0,{1 - bleeds},1")
    (data / ct_ich.TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_ct_ich(tmp_path: Path, small: ModelSettings) -> None:
    write_ct_ich(tmp_path / "d")
    (folder,) = ct_ich.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None)
    bleeding, healthy = sorted(studies_of(folder, small), key=lambda study: -int(study.study_labels[0]))
    assert bleeding.study_labels.tolist() == [1, 1, 0, 0, 0, 0]
    assert bleeding.slice_labels[:, 1].tolist() == [0] * 4 + [1] * 3 + [0] * 3
    assert np.flatnonzero(bleeding.mask_bits.any(axis=(1, 2))).tolist() == [4, 5, 6]
    assert set(np.unique(bleeding.mask_bits)) == {0, 0b11}  # epidural, as the study's only kind
    assert not healthy.study_labels.any()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("No_Hemorrhage", "NoHemorrhage", "column 'No_Hemorrhage' is missing"),
        ("49,2,0,0,0,0,0,1,1", "49,2,0,0,0,0,0,,1", "line 3 holds what is no number"),
        ("49,2,0,0,0,0,0,1,1", "49,2,0,0,0,0,0,0,1", "line 3 contradicts itself"),
        ("49,2,0,0,0,0,0,1,1", "49,1,0,0,0,0,0,1,1", "line 3 repeats slice 1 of patient 49"),
        ("49,10,0,0,0,0,0,1,1\n", "", "049.nii: has not the 9 slices"),
        ("49,2,0,0,0,0,0,1,1\n", "", "slices of patient 049 are not numbered from 1 on"),
        ("66,1,0,0,0,0,0,1,1\n", "66,1,0,0,0,0,0,1,1\n67,1,0,0,0,0,0,1,1\n", "1 of 3 patients are not there, 067.nii"),
    ],
)
def test_ct_ich_in_disorder(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    write_ct_ich(tmp_path / "d")
    path = tmp_path / "d" / ct_ich.TABLE
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=sentence):
        ct_ich.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None)


def test_a_volume_that_breaks_off_and_names_that_were_changed(tmp_path: Path) -> None:
    write_ct_ich(tmp_path / "d")
    volume = tmp_path / "d" / "ct_scans" / "049.nii"
    volume.write_bytes(volume.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"049\.nii: breaks off"):
        ct_ich.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None)
    volume.write_bytes(b"<html>403 Forbidden</html>")
    with pytest.raises(DataError, match=r"049\.nii: cannot be read as NIfTI"):
        ct_ich.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None)
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        write_nifti(tmp_path / "b" / part / "001.nii.gz", blood())
    with pytest.raises(DataError, match="is not named ID_<patient>_ID_<study>"):
        bhsd.sites(tmp_path / "b", tmp_path / "sites", lambda *_: None)
    (tmp_path / "b" / "labelsTs" / "001.nii.gz").unlink()
    (tmp_path / "b" / "imagesTr" / "001.nii.gz").rename(tmp_path / "b" / "imagesTr" / "ID_a_ID_b.nii.gz")
    with pytest.raises(DataError, match="is in imagesTr or labelsTr and not in both; finish the download"):
        bhsd.sites(tmp_path / "b", tmp_path / "sites", lambda *_: None)


def test_a_mended_download_is_read_anew_and_an_unchanged_one_is_not(tmp_path: Path, small: ModelSettings) -> None:
    write_ct_ich(tmp_path / "d")
    made = tmp_path / "sites"
    (folder,) = ct_ich.sites(tmp_path / "d", made, lambda *_: None)
    before = {path: path.stat().st_mtime_ns for room in ("dicom", "masks") for path in (folder / room).rglob("*")}
    ct_ich.sites(tmp_path / "d", made, lambda *_: None)
    after = {path: path.stat().st_mtime_ns for room in ("dicom", "masks") for path in (folder / room).rglob("*")}
    assert before == after
    write_nifti(tmp_path / "d" / "ct_scans" / "066.nii", head_hu(66) + 5, (1, 1), np.int32)
    ct_ich.sites(tmp_path / "d", made, lambda *_: None)
    healthy = min(studies_of(folder, small), key=lambda study: int(study.study_labels[0]))
    assert healthy.slices == SLICES  # and none of the slices that were made of the other volume


def test_masks_and_volumes_that_cannot_be(tmp_path: Path) -> None:
    write_ct_ich(tmp_path / "d")
    mask = tmp_path / "d" / "masks" / "049.nii"
    whole = mask.read_bytes()
    mask.write_bytes(whole[:2000])
    with pytest.raises(DataError, match=r"masks/049\.nii: breaks off"):
        ct_ich.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None)
    mask.write_bytes(whole)
    volume = tmp_path / "d" / "ct_scans" / "049.nii"
    write_nifti(volume, head_hu()[..., :20])
    with pytest.raises(DataError, match=r"masks/049\.nii: has .* voxels and 049\.nii has"):
        ct_ich.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None)
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4), np.int16), np.eye(4)), volume)  # type: ignore[no-untyped-call]
    with pytest.raises(DataError, match="holds no grey volume of three axes"):
        ct_ich.sites(tmp_path / "d", tmp_path / "sites", lambda *_: None)


@pytest.mark.slow
def test_two_data_sets_in_one_federation(tmp_path: Path) -> None:
    write_ct_ich(tmp_path / "ct-ich")
    for number in range(1, 4):
        write_nifti(tmp_path / "instance" / "data" / f"{number:03d}.nii.gz", head_hu(number))
        write_nifti(tmp_path / "instance" / "label" / f"{number:03d}.nii.gz", blood())
    sources = {"ct-ich": str(tmp_path / "ct-ich"), "instance2022": str(tmp_path / "instance")}

    def run(name: str, **data: Any) -> dict[str, Any]:
        raw = {"rounds": 1, "local_epochs": 1, "data": {"sources": sources, "central": False, **data}}
        return simulate(simulation_settings(raw), tmp_path / "runs" / name, 2, Console(quiet=True))

    metrics = run("natural")
    assert metrics["run"]["data"] == "ct-ich, instance2022"
    assert list(metrics["sites"]) == ["ct-ich", "instance2022"]
    assert metrics["partition"]["ct-ich"]["labels"] == {"study": 2, "slice": 2, "mask": 1}
    assert metrics["partition"]["instance2022"]["labels"] == {"study": 3, "mask": 3}
    assert "Synthetic" not in (tmp_path / "runs" / "natural" / "report.html").read_text()
    metrics = run("dealt", partition="label-kind", sites=2, min_studies=1)
    assert set(metrics["partition"]["site-2"]["labels"]) == {"study"}
    assert "mask" in metrics["partition"]["site-1"]["labels"]
