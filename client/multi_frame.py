"""Enhanced multi-frame CT: every frame a slice, its geometry and rescaling from functional groups (PS3.3 C.7.6.16)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from pydicom import Dataset

from bloodnet_model.errors import UnusableSlice
from client.archives import reading
from client.elements import finite_numbers
from client.header_reference import quiet, read_dataset
from client.slice_header import SliceHeader

LARGEST_FRAME_COUNT: Final = 1 << 14
_SECONDARY_CAPTURES: Final = "1.2.840.10008.5.1.4.1.1.7"


def frames_of(header: SliceHeader, sop_class: str) -> tuple[SliceHeader, ...]:
    """A header a frame, from the header of the file that holds them.

    Raises UnusableSlice: "secondary" for a multi-frame secondary capture, "no-position" for a file that says of no
    frame where it lies, "bad-header" for groups that cannot be read or that do not match the frames.
    """
    name, frames = header.path.name, header.pixels.frames
    if sop_class.startswith(_SECONDARY_CAPTURES):
        raise UnusableSlice("secondary", f"{name}: a secondary capture of {frames} frames.")
    try:
        with quiet(), reading(header.path, checked=True) as file:
            dataset = read_dataset(file)
            shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or ()), Dataset())
            groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
            if not groups:
                raise UnusableSlice(
                    "no-position",
                    f"{name}: holds {frames} frames and says of none where it lies; export single slices.",
                )
            if len(groups) != frames or frames > LARGEST_FRAME_COUNT:
                raise UnusableSlice("bad-header", f"{name}: describes {len(groups)} of its {frames} frames.")
            return tuple(_frame(header, k, (group, shared, dataset)) for k, group in enumerate(groups))
    except UnusableSlice:
        raise
    except Exception as error:  # pydicom raises whatever a malformed sequence leads to
        raise UnusableSlice(
            "bad-header", f"{name}: its functional groups cannot be read ({type(error).__name__})."
        ) from None


def _frame(header: SliceHeader, k: int, levels: tuple[Dataset, ...]) -> SliceHeader:
    """One frame: each macro from its own group, else the shared one, else the plain header."""

    def find(macro: str, keyword: str) -> Any:
        items = (next(iter(level.get(macro) or ()), None) for level in levels)
        return _first(item.get(keyword) for item in items if item is not None)

    frame_type = find("CTImageFrameTypeSequence", "FrameType")
    slope = _numbers(find("PixelValueTransformationSequence", "RescaleSlope"), 1)
    intercept = _numbers(find("PixelValueTransformationSequence", "RescaleIntercept"), 1)
    thickness = _numbers(find("PixelMeasuresSequence", "SliceThickness"), 1)
    layout = header.pixels
    return replace(
        header,
        frame=k,
        instance_number=k + 1,
        image_type=tuple(str(part).strip().upper() for part in _list(frame_type)) or header.image_type,
        kernel=_text(find("CTReconstructionSequence", "ConvolutionKernel")) or header.kernel,
        contrast_agent=header.contrast_agent or _contrast(levels),
        thickness_mm=thickness[0] if thickness else header.thickness_mm,
        position_mm=_numbers(find("PlanePositionSequence", "ImagePositionPatient"), 3) or header.position_mm,
        orientation=_numbers(find("PlaneOrientationSequence", "ImageOrientationPatient"), 6) or header.orientation,
        spacing_mm=_numbers(find("PixelMeasuresSequence", "PixelSpacing"), 2) or header.spacing_mm,
        pixels=replace(
            layout,
            slope=slope[0] if slope else layout.slope,
            intercept=intercept[0] if intercept else layout.intercept,
        ),
    )


def _contrast(levels: tuple[Dataset, ...]) -> str:
    """The agent's name where a frame was taken with one: ContrastBolusUsage says by frame which agents were given."""
    group, shared, dataset = levels
    agents = dataset.get("ContrastBolusAgentSequence") or ()
    for usage in group.get("ContrastBolusUsageSequence") or shared.get("ContrastBolusUsageSequence") or ():
        if str(usage.get("ContrastBolusAgentAdministered") or "").upper() == "YES":
            names = (agent.get("CodeMeaning") for agent in agents)
            return _text(_first(names)) or "administered"
    return ""


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None and value != ""), None)


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    return None if value is None else finite_numbers([str(part) for part in _list(value)], count)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)


def _text(value: Any) -> str:
    return "\\".join(str(part).strip() for part in _list(value))
