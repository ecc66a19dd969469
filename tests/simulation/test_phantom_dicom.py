"""The synthetic series on disk: exact HU in every encoding, valid files, true geometry, a mask that lies on it."""

import io
import math
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from simulation.phantom import SCANNERS, DrawnStudy, draw_study
from simulation.phantom.dicom_writer import UID_ROOT, Identity, write_dicom, write_mask
from simulation.phantom.scanner import EXPLICIT_VR, IMPLICIT_VR, JPEG_LS, RLE

SLICES = 9


def study_of(scanner: int) -> DrawnStudy:
    return draw_study(np.random.default_rng(11), SCANNERS[scanner], SLICES, 64, positive=True)


def write(folder: Path, scanner: int) -> tuple[DrawnStudy, list[FileDataset], list[FileDataset]]:
    """(study, its axial images from the lowest up, its localizers), read back with warnings as errors."""
    folder.mkdir()
    study = study_of(scanner)
    identity = Identity(f"H{scanner}-P1", "a hospital", ("7", str(scanner)))
    write_dicom(folder, study, SCANNERS[scanner], identity, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
        for image in images:
            str(image)  # parses every element
    axial = [image for image in images if image.ImageType[2] == "AXIAL"]
    return (
        study,
        sorted(axial, key=lambda image: float(image.ImagePositionPatient[2])),
        [image for image in images if image.ImageType[2] == "LOCALIZER"],
    )


def hu(image: FileDataset) -> NDArray[np.float64]:
    return image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)


scanners = pytest.mark.parametrize("scanner", range(len(SCANNERS)))


@scanners
def test_hu_read_back_exactly(tmp_path: Path, scanner: int) -> None:
    study, axial, _ = write(tmp_path / "study", scanner)
    assert len(axial) == SLICES
    assert (np.stack([hu(image) for image in axial]) == study.volume_hu).all()


@scanners
def test_the_padding_value_is_what_lies_outside_the_field_of_view(tmp_path: Path, scanner: int) -> None:
    _, axial, _ = write(tmp_path / "study", scanner)
    for image in axial:
        spelt = int(image.PixelPaddingValue)
        stored = spelt - 65536 if image.PixelRepresentation == 1 and spelt > 32767 else spelt
        assert (image.pixel_array[0, :4] == stored).all()


def test_each_scanner_stores_in_its_own_way(tmp_path: Path) -> None:
    habits = []
    for scanner in range(len(SCANNERS)):
        image = write(tmp_path / str(scanner), scanner)[1][0]
        syntax = str(image.file_meta.TransferSyntaxUID)
        stored_as = (image.BitsStored, image.PixelRepresentation)
        habits.append((syntax, int(image.RescaleIntercept), *stored_as, int(image.PixelPaddingValue)))
    assert habits == [
        (EXPLICIT_VR, -1024, 12, 0, 0),
        (IMPLICIT_VR, 0, 16, 1, -1500),
        (JPEG_LS, -1024, 16, 1, 63536),
        (RLE, -1024, 12, 0, 0),
    ]


@scanners
def test_a_standard_writer_accepts_what_was_read(tmp_path: Path, scanner: int) -> None:
    for image in write(tmp_path / "study", scanner)[1]:
        pydicom.dcmwrite(io.BytesIO(), image, enforce_file_format=True)
        assert image.SOPClassUID == image.file_meta.MediaStorageSOPClassUID
        assert image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID
        for element in image:
            if element.VR == "DS" and element.value is not None:
                values = element.value if element.VM > 1 else [element.value]
                assert all(len(str(value.original_string)) <= 16 for value in values), element


@scanners
def test_uids_are_unique_valid_and_of_one_root(tmp_path: Path, scanner: int) -> None:
    _, axial, localizers = write(tmp_path / "study", scanner)
    images = axial + localizers
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert len({image.StudyInstanceUID for image in images}) == 1
    assert len({image.SeriesInstanceUID for image in axial}) == 1
    for image in images:
        for uid in (image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID):
            assert uid.is_valid
            assert uid.startswith(UID_ROOT)


@scanners
def test_image_positions_step_by_the_slice_step_along_the_normal(tmp_path: Path, scanner: int) -> None:
    study, axial, _ = write(tmp_path / "study", scanner)
    orientation = np.array(axial[0].ImageOrientationPatient, float)
    normal = np.cross(orientation[:3], orientation[3:])
    positions = np.array([image.ImagePositionPatient for image in axial], float)
    assert np.diff(positions @ normal) == pytest.approx(study.slice_step_mm, abs=1e-4)
    assert (positions[:, :2] == positions[0, :2]).all()  # the table moves along its own axis
    assert [int(image.InstanceNumber) for image in axial] == list(range(1, SLICES + 1))
    assert np.array(axial[0].PixelSpacing, float) == pytest.approx(study.spacing_mm)


@scanners
def test_the_gantry_tilt_is_in_the_orientation(tmp_path: Path, scanner: int) -> None:
    study, axial, _ = write(tmp_path / "study", scanner)
    row_x, row_y, row_z, column_x, column_y, column_z = map(float, axial[0].ImageOrientationPatient)
    assert (row_x, row_y, row_z, column_x) == (1, 0, 0, 0)
    tilt = math.radians(study.tilt_degrees)
    assert (column_y, column_z) == pytest.approx((math.cos(tilt), -math.sin(tilt)), abs=1e-6)
    assert float(axial[0].GantryDetectorTilt) == study.tilt_degrees
    assert (study.tilt_degrees > 5) == (SCANNERS[scanner].tilt_degrees > 0)


@scanners
def test_file_names_do_not_tell_the_order(tmp_path: Path, scanner: int) -> None:
    write(tmp_path / "study", scanner)
    by_name = [pydicom.dcmread(path).InstanceNumber for path in sorted((tmp_path / "study").iterdir())]
    assert by_name != sorted(by_name)


def test_a_localizer_is_a_series_of_its_own_at_one_hospital(tmp_path: Path) -> None:
    found = {scanner: write(tmp_path / str(scanner), scanner) for scanner in range(len(SCANNERS))}
    assert [len(localizers) for _, _, localizers in found.values()] == [0, 1, 0, 0]
    _, axial, (localizer,) = found[1]
    assert localizer.SeriesInstanceUID != axial[0].SeriesInstanceUID
    assert localizer.StudyInstanceUID == axial[0].StudyInstanceUID
    assert hu(localizer).max() > -200  # it shows a head


@scanners
def test_the_mask_lies_on_the_images_by_its_affine_alone(tmp_path: Path, scanner: int) -> None:
    study, axial, _ = write(tmp_path / "study", scanner)
    write_mask(tmp_path / "mask.nii.gz", study)
    mask: Any = nib.load(tmp_path / "mask.nii.gz")
    voxels = np.asarray(mask.dataobj)
    assert mask.get_data_dtype() == np.uint8
    orientation = np.array(axial[0].ImageOrientationPatient, float)
    spacing = np.array(axial[0].PixelSpacing, float)
    for column, row, index in np.argwhere(voxels)[::37]:
        image = axial[index]
        lps = np.array(image.ImagePositionPatient, float)
        lps += orientation[:3] * spacing[1] * column + orientation[3:] * spacing[0] * row
        ras = (mask.affine @ [column, row, index, 1])[:3]
        assert ras == pytest.approx(lps * [-1, -1, 1], abs=1e-3)
        assert voxels[column, row, index] == study.voxel_classes[index, row, column] > 0
    assert (voxels > 0).sum() == (study.voxel_classes > 0).sum()


def test_equal_masks_are_equal_bytes(tmp_path: Path) -> None:
    study = study_of(1)
    write_mask(tmp_path / "a.nii.gz", study)
    write_mask(tmp_path / "b.nii.gz", study)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert content[4:8] == bytes(4)  # no time in the gzip header
