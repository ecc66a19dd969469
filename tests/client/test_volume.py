"""A series as one volume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from client.dicom import read_headers
from client.series_selection import select_series
from client.site_settings import SeriesRules
from client.volume import Volume, read_volume
from tests.client.dicom_factory import head_hu, write_series, write_slice

HEAD = head_hu()


def volume_of(files: list[Path]) -> Volume:
    headers = [header for path in files for header in read_headers(path)]
    return read_volume(select_series(headers, SeriesRules(minimum_slices=3)).slices)


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


@pytest.mark.parametrize(("padding_hu", "read_as"), [(3071, -1000), (-3024, -3024), (30, 30)])
def test_padding_as_bright_as_metal_is_air(tmp_path: Path, padding_hu: int, read_as: int) -> None:
    padded = HEAD.copy()
    padded[:, :2] = padding_hu
    volume = volume_of(write_series(tmp_path, padded, PixelPaddingValue=padding_hu + 1024))
    assert (volume.hu[:, :2] == read_as).all()
    assert_array_equal(volume.hu[:, 2:], HEAD[:, 2:])
