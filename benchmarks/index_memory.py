"""Peak memory and seconds of `bloodnet-client index`, with a thousand and with ten thousand studies."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

_STUDIES = (1_000, 10_000)
_SLICES, _SIDE = 8, 32


def _uid(number: int) -> str:
    """All of one width, so that a file is its template with other digits."""
    return f"1.2.826.0.1.3680043.10.{10**8 + number}"


def measure() -> dict[str, float]:
    """Resident MiB of the command and its workers at their peak, and what the second run over the same files takes."""
    figures: dict[str, float] = {}
    for studies in _STUDIES:
        with tempfile.TemporaryDirectory() as folder:
            _write_site(Path(folder), studies)
            peak, seconds = _index(Path(folder))
            _, again = _index(Path(folder))
        print(f"  {studies:>6} studies  {peak:>5.0f} MiB  {seconds:>6.1f} s, unchanged again {again:.1f} s")
        figures[f"mib_{studies}"] = round(peak)
        figures |= {f"s_{studies}": round(seconds, 1), f"again_s_{studies}": round(again, 1)}
    few, many = _STUDIES
    ratio = figures[f"mib_{many}"] / figures[f"mib_{few}"]
    print(f"  ratio {ratio:.2f} (aim: under 1,024 MiB)")
    return {**figures, "ratio": round(ratio, 3)}


def _index(folder: Path) -> tuple[float, float]:
    command = [str(Path(sys.executable).parent / "bloodnet-client"), "index", str(folder), "--json"]
    started, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, _resident(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError("the index failed")
    return peak / 2**20, time.perf_counter() - started


def _resident(pid: int) -> int:
    try:
        root = psutil.Process(pid)
        return sum(process.memory_info().rss for process in [root, *root.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0


def _write_site(folder: Path, studies: int) -> None:
    (folder / "site.yaml").write_text("name: many\ndicom: [dicom]\n")
    rows = (f"{_uid(number)},{number % 2},,,,,\n" for number in range(studies))
    header = "study_instance_uid,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n"
    (folder / "labels.csv").write_text(header + "".join(rows))
    template = list(_template(folder / "template.dcm"))
    for number in range(studies):
        study = folder / "dicom" / f"{number:05d}"
        study.mkdir(parents=True)
        for index, content in enumerate(template):
            slice_uid = _uid(1_000_000 + number * _SLICES + index)
            content = content.replace(_uid(0).encode(), _uid(number).encode())
            content = content.replace(_uid(9).encode(), slice_uid.encode())
            plane = np.frombuffer(content[-2 * _SIDE**2 :], "<i2").reshape(_SIDE, _SIDE).copy()
            plane[12:20, 12:20] = 20 + 4 * (number // 10**index % 10)  # or the heads would be one, seen again
            (study / f"{index}.dcm").write_bytes(content[: -2 * _SIDE**2] + plane.tobytes())


def _template(path: Path) -> Iterator[bytes]:
    """The slices of a round head; its study is number 0, its series and slices are number 9."""
    row, column = np.mgrid[:_SIDE, :_SIDE]
    radius = np.hypot(row - (_SIDE - 1) / 2, column - (_SIDE - 1) / 2) / (_SIDE / 2.3)
    plane = np.where(radius < 0.85, 30, np.where(radius < 1, 900, -1000)).astype("<i2")
    for index in range(_SLICES):
        dataset = pydicom.Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, _uid(9)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid(0), _uid(0) + ".1"
        dataset.PatientID, dataset.Modality, dataset.ImageType = _uid(0), "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SliceThickness, dataset.InstanceNumber = 5, index + 1
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-96, -96, 10 * index], [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.Rows, dataset.Columns = [6, 6], _SIDE, _SIDE
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 1, 1
        dataset.PhotometricInterpretation, dataset.RescaleSlope, dataset.RescaleIntercept = "MONOCHROME2", 1, 0
        dataset.PixelData = (plane + index).astype("<i2").tobytes()
        dataset.save_as(path, enforce_file_format=True)
        yield path.read_bytes()
