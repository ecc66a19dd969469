"""Header scan of CT files on one core: ours against pydicom's `specific_tags` scan, and dicomsdl where it is there."""

import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter

import pydicom

from benchmarks.files import series
from client.dicom import read_headers
from client.elements import WANTED

_FILES, _PAIRS = 300, 7


def measure() -> dict[str, float]:
    """Files a second of each reader, and how many times pydicom's rate ours is."""
    with tempfile.TemporaryDirectory() as folder:
        files = series(Path(folder), _FILES)
        readers: dict[str, Callable[[Path], object]] = {"ours": read_headers, "pydicom": _pydicom}
        readers |= _dicomsdl()
        seconds: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(_PAIRS):
            for name, reader in readers.items():
                seconds[name].append(_seconds(reader, files))
    rates = {name: _FILES / median(taken) for name, taken in seconds.items()}
    ratio = median(theirs / mine for theirs, mine in zip(seconds["pydicom"], seconds["ours"], strict=True))
    for name, rate in rates.items():
        print(f"  {name:<10}{rate:>8.0f} files/s")
    print(f"  ratio {ratio:.2f} of pydicom's (aim: at least 2.5)")
    return {**{f"{name}_files_s": round(rate) for name, rate in rates.items()}, "ratio": round(ratio, 2)}


def _pydicom(path: Path) -> object:
    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=sorted(WANTED))


def _dicomsdl() -> dict[str, Callable[[Path], object]]:
    if find_spec("dicomsdl") is None:
        return {}
    dicomsdl = import_module("dicomsdl")  # it has no types, and need not be there

    def read(path: Path) -> object:
        dataset = dicomsdl.open(str(path), load_until=0x7FE00000)
        return [dataset.getDataElement(f"{tag:08X}").value() for tag in WANTED]

    return {"dicomsdl": read}


def _seconds(reader: Callable[[Path], object], files: Sequence[Path]) -> float:
    started = perf_counter()
    for path in files:
        reader(path)
    return perf_counter() - started
