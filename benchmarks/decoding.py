"""One CT slice of each compressed syntax to stored values: ours, file and HU included, against pydicom's plugins."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import pydicom
from pydicom.pixels.decoders.base import get_decoder

from benchmarks.files import PLANE_HU
from client.dicom import decode_hu, read_headers
from tests.client.dicom_syntaxes import LOSSLESS, write_compressed

_RUNS = 15


def measure() -> dict[str, float]:
    """By syntax, how long ours takes over the fastest plugin that decodes it; on one core, for some would use all."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        return _measure()
    finally:
        os.sched_setaffinity(0, allowed)


def _measure() -> dict[str, float]:
    figures: dict[str, float] = {}
    for syntax in LOSSLESS:
        with tempfile.TemporaryDirectory() as folder:
            path = write_compressed(Path(folder) / "slice", PLANE_HU, syntax, dtype="<u2", intercept=-1500)
            header, dataset = read_headers(path)[0], pydicom.dcmread(path)
            dataset.PixelData  # noqa: B018  # read before the clock runs
            decoder = get_decoder(pydicom.uid.UID(syntax))
            taken = {"ours": _fastest(lambda: decode_hu(header))}  # noqa: B023  # called at once
            for plugin in decoder.available_plugins:
                taken[plugin] = _fastest(lambda: decoder.as_array(dataset, raw=True, decoding_plugin=plugin))  # noqa: B023
        best = min((name for name in taken if name != "ours"), key=lambda name: taken[name], default="ours")
        figures[syntax] = round(taken["ours"] / taken[best], 2)
        listed = "  ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in taken.items())
        print(f"  {pydicom.uid.UID(syntax).name[:44]:<45}{figures[syntax]:>5.2f} of {best}   {listed}")
    print("  (aim: at most 1.25 each)")
    return figures


def _fastest(decode: Callable[[], object]) -> float:
    taken = []
    for _ in range(_RUNS):
        started = perf_counter()
        decode()
        taken.append(perf_counter() - started)
    return min(taken)
