"""Which series of a study is read, and what is said of the others."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bloodnet_model.reasons import REASONS
from client.series_selection import Selection, select_series
from client.series_slices import thickness_mm
from client.site_settings import SeriesRules
from client.slice_header import SliceHeader
from tests.client.dicom_factory import make_header, uid


def series(number: int = 1, slices: int = 10, **fields: Any) -> list[SliceHeader]:
    return [make_header(index, series=number, **fields) for index in range(slices)]


def select(*all_series: list[SliceHeader], **rules: Any) -> Selection:
    """The selection, after checking that each file and series has exactly one line or is read."""
    headers = [header for one in all_series for header in one]
    selection = select_series(headers, SeriesRules(**rules))
    lines = Counter(entry.item for entry in selection.entries)
    read = {str(header.path) for header in selection.slices}
    assert set(lines.values()) == {1}
    assert lines.keys() & read == set()
    assert lines.keys() | read == {str(header.path) for header in headers} | {header.series_uid for header in headers}
    assert all(entry.reason in {"", *REASONS} for entry in selection.entries)
    return selection


def reason_for(selection: Selection, number: int) -> str:
    return next(entry.reason for entry in selection.entries if entry.item == uid(1, number))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "localizer"),
        ({"image_type": ("DERIVED", "SECONDARY", "REF_SURVIEW")}, "secondary"),
        ({"image_type": ("DERIVED", "PRIMARY", "PERFUSION", "RCBF")}, "secondary"),
        ({"orientation": (1.0, 0, 0, 0, 0, -1)}, "not-axial"),
        ({"orientation": (1.0, 0, 0, 0, 0.7660444, -0.6427876)}, "not-axial"),  # 40 degrees
        ({"orientation": None}, "no-orientation"),
        ({"spacing_mm": None}, "no-spacing"),
        ({"contrast_agent": "ISOVUE300/100"}, "contrast"),
        ({"description": "4cc sec 150cc D3D on"}, "contrast"),
        ({"description": "POST CONTRAST"}, "contrast"),
        ({"description": "HEAD_CTA_1.0"}, "angiography"),
        ({"description": "CT Angio COW"}, "angiography"),
        ({"description": "Perfusion 4D"}, "angiography"),
        ({"image_type": ("DERIVED", "PRIMARY", "AXIAL")}, "derived"),
        ({"description": "Head +C"}, "contrast"),
        ({"description": "Brain POST 5mm"}, "contrast"),
        ({"description": "Contrast enhanced"}, "contrast"),
        ({"kernel": "BONEPLUS"}, "bone"),
        ({"kernel": "H60s"}, "bone"),
        ({"kernel": "Hr68h"}, "bone"),
        ({"kernel": "FC30"}, "bone"),
        ({"description": "2.5mm BONE"}, "bone"),
        ({"description": "Thin_Bone"}, "bone"),
    ],
    ids=str,
)
def test_a_series_is_rejected_by_name(fields: dict[str, Any], reason: str) -> None:
    selection = select(series(**fields))
    assert (selection.slices, selection.reason, reason_for(selection, 1)) == ((), reason, reason)


@pytest.mark.parametrize(
    "fields",
    [
        {"orientation": (1.0, 0, 0, 0, 0.9483237, -0.3173047)},
        {"orientation": (1.0, 0, 0, 0, 0.9271839, 0.3746066)},
        {"contrast_agent": "NONE"},
        {"description": "PRE CONTRAST 5MM STD"},
        {"description": "Head w/o contrast"},
        {"description": "NON-CONTRAST"},
        {"description": "Head without IV contrast"},
        {"description": "unenhanced"},
        {"description": "Post fossa 2.5"},
        {"description": "Head post-op"},
        {"description": "55mm Plain"},
        {"kernel": "H31s"},
        {"kernel": ""},
    ],
    ids=str,
)
def test_a_plain_series_is_kept(fields: dict[str, Any]) -> None:
    assert len(select(series(**fields)).slices) == 10


def test_preference_is_kernel_then_thickness_then_slices_then_uid() -> None:
    def chosen(*all_series: list[SliceHeader]) -> str:
        return select(*all_series).slices[0].series_uid

    assert chosen(series(1, kernel="DETAIL"), series(2, kernel="H31s", thickness_mm=1.0)) == uid(1, 2)
    assert chosen(series(1, thickness_mm=0.6), series(2, thickness_mm=4.0), series(3, thickness_mm=8.0)) == uid(1, 2)
    assert chosen(series(1, slices=9), series(2, slices=10)) == uid(1, 2)
    assert chosen(series(2), series(1)) == uid(1, 1)


def test_the_series_not_chosen_says_which_was() -> None:
    selection = select(series(1), series(2, thickness_mm=1.0))
    assert reason_for(selection, 1) == ""
    assert reason_for(selection, 2) == "other-series"
    assert Counter(entry.reason for entry in selection.entries if entry.kind == "file") == {"other-series": 10}


def test_a_study_is_skipped_for_the_reason_nearest_to_use() -> None:
    selection = select(series(1, slices=2), series(2, contrast_agent="X"), series(3, image_type=("LOCALIZER",)))
    assert selection.reason == "contrast"


def test_slices_come_from_inferior_to_superior_whatever_their_names_and_numbers() -> None:
    headers = [replace(header, instance_number=50 - index) for index, header in enumerate(series())]
    selection = select(headers[::-1][3:] + headers[::-1][:3])
    assert [header.position_mm for header in selection.slices] == [(-84.0, -96.0, 5.0 * index) for index in range(10)]


def test_tilted_slices_are_ordered_along_their_normal() -> None:
    """Positions whose z falls while they rise along the normal."""
    orientation = (1.0, 0, 0, 0, 0.866, -0.5)
    headers = [make_header(i, orientation=orientation, position_mm=(0.0, 20.0 * i, -5.0 * i)) for i in range(10)]
    assert [h.instance_number for h in select(headers[::-1]).slices] == list(range(1, 11))


def test_too_few_distinct_positions() -> None:
    assert select(series(slices=7)).reason == "too-few-slices"
    again = [replace(header, sop_uid=f"{header.sop_uid}.9", path=header.path / "b") for header in series(slices=5)]
    assert select(series(slices=5) + again).reason == "too-few-slices"


def test_duplicates_are_dropped_by_uid_and_by_position() -> None:
    copy = replace(make_header(3), path=make_header(3).path.with_name("copy.dcm"))
    beside = make_header(20, position_mm=(-84.0, -96.0, 20.04))
    selection = select([*series(), copy, beside])
    assert len(selection.slices) == 10
    assert {entry.item: entry.reason for entry in selection.entries if entry.kind == "file"} == {
        str(copy.path): "duplicate-file",
        str(beside.path): "duplicate-position",
    }


def test_the_majority_geometry_stays() -> None:
    odd = [
        make_header(20, rows=64),
        make_header(21, spacing_mm=(3.0, 3.0)),
        make_header(22, orientation=(1.0, 0, 0, 0, 0.9, -0.43589)),
    ]
    selection = select([*odd, *series()])
    assert len(selection.slices) == 10
    assert [entry.reason for entry in selection.entries if entry.kind == "file"] == ["mixed-geometry"] * 3


def test_without_positions_the_instance_number_orders() -> None:
    headers = series(position_mm=None)
    selection = select([*headers[::-1], make_header(30, position_mm=None, instance_number=None)])
    assert [header.instance_number for header in selection.slices] == list(range(1, 11))
    assert reason_for(selection, 1) == "by-instance-number"
    assert [entry.reason for entry in selection.entries if entry.kind == "file"] == ["no-position"]


def test_a_slice_without_position_among_others_is_quarantined() -> None:
    selection = select([*series(), make_header(30, position_mm=None)])
    assert len(selection.slices) == 10
    assert [(entry.reason, entry.status) for entry in selection.entries if entry.kind == "file"] == [
        ("no-position", "quarantined")
    ]


def test_thickness_falls_back_on_the_distance_between_slices() -> None:
    assert thickness_mm(series(thickness_mm=2.5)) == 2.5
    assert thickness_mm(series(thickness_mm=None)) == 5.0
    assert thickness_mm(series(slices=1, thickness_mm=None)) == 0.0


def test_the_site_sets_the_rules() -> None:
    tilted = series(orientation=(1.0, 0, 0, 0, 0.9483237, -0.3173047))
    assert select(tilted, largest_tilt_degrees=15).reason == "not-axial"
    assert select(series(image_type=("DERIVED", "PRIMARY")), derived=True).reason == ""
    assert select(series(slices=4), minimum_slices=4).reason == ""
    assert select(series(1), series(2, thickness_mm=1.0), preferred_thickness_mm=1).slices[0].series_uid == uid(1, 2)


def test_words_of_the_site_exclude_and_prefer_whole_words() -> None:
    stroke = series(1, description="Head_MAR 5mm")
    assert select(stroke, exclude=["mar"]).reason == "excluded"
    assert select(series(description="Market"), exclude=["mar"]).reason == ""
    thin = series(2, description="RECON thin", thickness_mm=1.0)
    assert select(stroke, thin, prefer=["recon"]).slices[0].series_uid == uid(1, 2)


def test_frames_of_one_file_are_slices_of_their_own() -> None:
    path = make_header().path
    frames = [replace(make_header(i), path=path, sop_uid="1.2.3", frame=i) for i in range(10)]
    copy = [replace(frame, path=path.with_name("copy.dcm")) for frame in frames]
    selection = select_series([*frames, *copy], SeriesRules())
    assert len(selection.slices) == 10
    assert {entry.reason for entry in selection.entries if entry.kind == "file"} == {"duplicate-file"}
