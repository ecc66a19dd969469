"""A series as one volume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from client.dicom import read_header
from client.series_selection import select_series
from client.volume import Volume, read_volume
from tests.client.dicom_factory import head_hu, write_series, write_slice

HEAD = head_hu()


def volume_of(files: list[Path]) -> Volume:
    return read_volume(select_series([read_header(path) for path in files], 3).slices)


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        ((1, 0, 0, 0, 1, 0), HEAD),
        ((-1, 0, 0, 0, 1, 0), HEAD[:, :, ::-1]),
        ((1, 0, 0, 0, -1, 0), HEAD[:, ::-1]),
        ((-1, 0, 0, 0, -1, 0), HEAD[:, ::-1, ::-1]),
        ((0, 1, 0, 1, 0, 0), HEAD.transpose(0, 2, 1)),
        ((1, 0, 0, 0, 0.9483237, -0.3173047), HEAD),
    ],
    ids=str,
)
def test_one_head_however_it_is_stored(
    tmp_path: Path, orientation: tuple[float, ...], stored: np.ndarray[Any, Any]
) -> None:
    between_rows, between_columns = (3, 4) if orientation[1] else (4, 3)
    tags: dict[str, Any] = {
        "ImageOrientationPatient": list(orientation),
        "PixelSpacing": [between_rows, between_columns],
    }
    volume = volume_of(write_series(tmp_path, stored, **tags))
    assert_array_equal(volume.hu, HEAD)
    assert volume.spacing_mm == (4.0, 3.0)
    assert volume.failures == ()


def test_a_slice_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    files = write_series(tmp_path)
    write_slice(files[4], HEAD[4], index=4, PixelData=b"\0" * 8)
    volume = volume_of(files)
    assert [(header.path, failure.reason) for header, failure in volume.failures] == [(files[4], "truncated")]
    assert_array_equal(volume.hu, np.delete(HEAD, 4, axis=0))
    assert [header.path for header in volume.headers] == [path for path in files if path != files[4]]
