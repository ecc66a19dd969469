"""The bleedings of one study: kinds, places, sizes and densities, drawn as numbers.

Statistics measured on public data: volume log-normal with median 6 ml (0.7 to 110 ml here), density of acute blood
about 57 ± 8 HU before partial volume, an eighth of subdural clots nearly isodense with cortex.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from simulation.phantom.anatomy import draw_side
from simulation.phantom.fields import Point

_VOLUME_ML = (0.7, 110.0)
_CAP_RADIUS_MM = 74.0  # of the sphere that stands for the inner table when a clot's thickness is worked out
_CAP_LOSS = 1.5  # what is drawn for each ml that remains: the rest falls to the skull base and the falx


@dataclass(frozen=True)
class Intraparenchymal:
    """A ragged ellipsoid with a rim of oedema."""

    centre_mm: Point
    radius_mm: float
    aspect: Point  # its three half axes in units of the radius
    hu: float
    oedema_hu: float  # by how much the oedema is darker than brain
    oedema_width: float  # in units of the radius


@dataclass(frozen=True)
class ExtraAxial:
    """Blood between brain and skull: biconvex (epidural), or a crescent that keeps to its hemisphere (subdural)."""

    subdural: bool
    side: int  # −1 right, 1 left
    apex: Point  # unit vector from the head's centre to where the clot is thickest
    edge_cosine: float  # of the angle between the apex and the clot's edge
    thickness_mm: float
    hu: float


@dataclass(frozen=True)
class Intraventricular:
    """Blood that has settled in the back of the lateral ventricles of a patient lying on the back."""

    side: int
    both: bool
    level_mm: float  # y up to which the ventricle is filled
    hu: float


@dataclass(frozen=True)
class Subarachnoid:
    """Blood in place of the cerebrospinal fluid of cisterns and sulci, within a ball."""

    centre_mm: Point
    radius_mm: float
    swelling: float  # by how much the blood widens a sulcus
    hu: float


Lesion = Intraparenchymal | ExtraAxial | Intraventricular | Subarachnoid


def subtype(lesion: Lesion) -> str:
    """Its name in `bloodnet_model.labels.CLASSES`."""
    match lesion:
        case ExtraAxial(subdural=True):
            return "subdural"
        case ExtraAxial():
            return "epidural"
        case Intraparenchymal():
            return "intraparenchymal"
        case Intraventricular():
            return "intraventricular"
        case Subarachnoid():
            return "subarachnoid"


def draw_lesions(rng: np.random.Generator) -> tuple[Lesion, ...]:
    """The bleedings of one positive study: one in most, up to three; those after the first are smaller."""
    lesions = []
    for place, name in enumerate(_draw_subtypes(rng)):
        volume_ml = _draw_volume_ml(rng)
        hu = min(max(rng.normal(57, 8), 40.0), 80.0)
        lesions.append(_DRAW[name](rng, max(volume_ml / 2, _VOLUME_ML[0]) if place else volume_ml, hu))
    return tuple(lesions)


def _draw_subtypes(rng: np.random.Generator) -> Iterator[str]:
    """Deep blood breaks into the ventricles in a third, trauma is often subarachnoid too, some have a third kind."""
    names = tuple(_DRAW)
    first = names[rng.choice(5, p=(0.08, 0.34, 0.14, 0.20, 0.24))]
    present = [first]
    if first == "intraparenchymal" and rng.random() < 0.35:
        present.append("intraventricular")
    if first in ("epidural", "subdural") and rng.random() < 0.25:
        present.append("subarachnoid")
    if rng.random() < 0.08:
        other = names[rng.integers(5)]
        if other not in present:
            present.append(other)
    yield from present


def _draw_volume_ml(rng: np.random.Generator) -> float:
    while True:
        volume_ml = math.exp(rng.normal(math.log(6.0), 1.25))
        if _VOLUME_ML[0] <= volume_ml <= _VOLUME_ML[1]:
            return volume_ml


def _intraparenchymal(rng: np.random.Generator, volume_ml: float, hu: float) -> Lesion:
    stretch = [math.exp(rng.normal(0, 0.18)) for _ in range(3)]
    size = math.prod(stretch) ** (1 / 3)
    return Intraparenchymal(
        centre_mm=_intraparenchymal_centre(rng),
        radius_mm=(3 * volume_ml * 1000 / (4 * math.pi)) ** (1 / 3),
        aspect=(stretch[0] / size, stretch[1] / size, stretch[2] / size),
        hu=hu,
        oedema_hu=rng.uniform(4, 10.5),
        oedema_width=rng.uniform(0.25, 0.6),
    )


def _intraparenchymal_centre(rng: np.random.Generator) -> Point:
    """Putamen, thalamus, cerebellum, or a lobe."""
    side, where = draw_side(rng), rng.random()
    if where < 0.30:
        return rng.normal(side * 27, 3), rng.normal(2, 6), rng.normal(4, 4)
    if where < 0.48:
        return rng.normal(side * 13, 2), rng.normal(-13, 4), rng.normal(5, 3)
    if where < 0.58:
        return rng.normal(side * 22, 7), rng.normal(-48, 8), rng.normal(-44, 6)
    azimuth, z = rng.uniform(0, 2 * math.pi), rng.uniform(0, 52)
    out = rng.uniform(0.5, 0.82) * math.sqrt(1 - (z / 80) ** 2)
    return side * max(10.0, abs(66 * out * math.cos(azimuth))), 84 * out * math.sin(azimuth), z


def _epidural(rng: np.random.Generator, volume_ml: float, hu: float) -> Lesion:
    half_angle, thinnest_mm = math.radians(rng.uniform(17, 28)), rng.uniform(5, 9)
    thickness_mm, edge_cosine = _cap(volume_ml, half_angle, mean_share=0.50, limits_mm=(thinnest_mm, 24))
    side = draw_side(rng)
    return ExtraAxial(False, side, _draw_apex(rng, side, 1.2), edge_cosine, thickness_mm, hu)


def _subdural(rng: np.random.Generator, volume_ml: float, hu: float) -> Lesion:
    if rng.random() < 0.12:
        hu = rng.uniform(38, 48)
    half_angle, thinnest_mm = math.radians(rng.uniform(38, 68)), rng.uniform(4.5, 8)
    thickness_mm, edge_cosine = _cap(volume_ml, half_angle, mean_share=0.62, limits_mm=(thinnest_mm, 14))
    side = draw_side(rng)
    return ExtraAxial(True, side, _draw_apex(rng, side, 1.1), edge_cosine, thickness_mm, hu)


def _cap(volume_ml: float, half_angle: float, mean_share: float, limits_mm: tuple[float, float]) -> tuple[float, float]:
    """(greatest thickness, cosine of the half angle) of a clot on a spherical cap.

    It covers `half_angle` (radians) unless it would be thinner or thicker than clots of its kind are, in which case
    it covers less or more; `mean_share` is the mean thickness in units of the greatest.
    """
    sphere_mm3 = 2 * math.pi * _CAP_RADIUS_MM**2 * mean_share
    volume_mm3 = volume_ml * 1000 * _CAP_LOSS
    thickness_mm = volume_mm3 / (sphere_mm3 * (1 - math.cos(half_angle)))
    thickness_mm = min(max(thickness_mm, limits_mm[0]), limits_mm[1])
    return thickness_mm, 1 - volume_mm3 / (sphere_mm3 * thickness_mm)


def _draw_apex(rng: np.random.Generator, side: int, azimuth: float) -> Point:
    """Unit vector to the side, up to `azimuth` (radians) to the front or the back, and upwards if anything."""
    turn, rise = rng.uniform(-azimuth, azimuth), rng.uniform(-0.05, 0.75)
    return side * math.cos(turn) * math.cos(rise), math.sin(turn) * math.cos(rise), math.sin(rise)


def _intraventricular(rng: np.random.Generator, volume_ml: float, hu: float) -> Lesion:
    return Intraventricular(
        side=draw_side(rng),
        both=rng.random() < 0.6 or volume_ml > 8,
        level_mm=min(-54 + 11 * volume_ml**0.55, 5.0),
        hu=min(max(hu - 9, 38.0), 60.0),  # diluted by the fluid
    )


def _subarachnoid(rng: np.random.Generator, volume_ml: float, hu: float) -> Lesion:
    """Around the circle of Willis, in one Sylvian fissure, or in the sulci of the convexity."""
    where = rng.random()
    centre: Point
    if where < 0.4:
        centre = (rng.normal(0, 4), rng.normal(2, 4), rng.normal(-22, 4))
    elif where < 0.6:
        centre = (rng.normal(draw_side(rng) * 40, 4), rng.normal(8, 4), rng.normal(0, 4))
    else:
        azimuth, z = rng.uniform(0, 2 * math.pi), rng.uniform(5, 55)
        out = math.sqrt(1 - (z / 80) ** 2)
        centre = (60 * out * math.cos(azimuth), 76 * out * math.sin(azimuth), z)
    return Subarachnoid(
        centre_mm=centre,
        radius_mm=11.2 * volume_ml ** (1 / 3),
        swelling=rng.uniform(0.4, 1.2),
        hu=min(max(hu - 4, 42.0), 64.0),
    )


_DRAW: dict[str, Callable[[np.random.Generator, float, float], Lesion]] = {
    "epidural": _epidural,
    "intraparenchymal": _intraparenchymal,
    "intraventricular": _intraventricular,
    "subarachnoid": _subarachnoid,
    "subdural": _subdural,
}
