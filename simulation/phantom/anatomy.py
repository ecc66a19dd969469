"""One subject: the numbers that make a head this head, drawn once a patient, and how it lay on the table.

Distributions follow measurements on real non-contrast head CT: grey matter 37.5 HU, white matter 29.5 HU,
cerebrospinal fluid 7 HU, venous sinuses up to 66 HU. Calcifications, dense vessels and meningiomas occur with
and without hemorrhage, so that bright voxels alone do not give the label away.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulation.phantom.fields import FieldGrid, Plane, Point, Points, SmoothField

VAULT_HALF_AXES_MM: Point = (66.0, 84.0, 80.0)


@dataclass(frozen=True)
class Calcification:
    centre_mm: Point
    radius_mm: float
    hu: float


@dataclass(frozen=True)
class DenseVessel:
    """A middle cerebral artery that looks like clot."""

    side: int  # −1 right, 1 left
    hu: float


@dataclass(frozen=True)
class Meningioma:
    """A dense mass on the dura."""

    centre_mm: Point
    radius_mm: float
    hu: float


@dataclass(frozen=True)
class Head:
    """The drawn anatomy of one subject; lengths are for a head of standard size, which `scale` stretches."""

    texture_seed: int  # of the smooth fields that shape skull, cortex and sulci
    scale: Point
    atrophy: float  # 0 young, 1 atrophic
    grey_hu: float
    white_hu: float
    csf_hu: float
    sinus_hu: float
    falx_hu: float
    ventricle_scale: float
    ventricle_asymmetry: float
    calcifications: tuple[Calcification, ...]
    vessel: DenseVessel | None
    meningioma: Meningioma | None

    @cached_property
    def sulcus_width(self) -> float:
        """Half width of a sulcus, in units of the sulcal field."""
        return 0.20 + 0.22 * self.atrophy

    @cached_property
    def subarachnoid_mm(self) -> float:
        """Width of the fluid between brain and inner table."""
        return 0.8 + 2.0 * self.atrophy


@dataclass(frozen=True)
class Pose:
    """How the head lay in the gantry: angles in radians, lengths in mm."""

    pitch: float
    yaw: float
    roll: float
    shift_mm: Point
    lowest_mm: float  # height of the first slice's centre in the head

    def points(
        self, across_mm: Plane, up_mm: Plane, height_mm: float, tilt: float, bend: tuple[Plane, Plane, Plane]
    ) -> Points:
        """Head coordinates of one plane's pixels.

        across_mm, up_mm: place in the plane, from its centre, to the patient's left and to the front
        height_mm:        of the plane's centre above that of the first slice, along the table's axis
        tilt:             of the gantry, radians; positive lifts the front
        bend:             displacement of every pixel, mm, which makes heads differ in shape
        """
        incline = self.pitch + tilt
        x = across_mm * math.cos(self.yaw) - up_mm * math.sin(self.yaw)
        y = across_mm * math.sin(self.yaw) + up_mm * math.cos(self.yaw)
        z = y * math.sin(incline) + (height_mm + self.lowest_mm) + bend[2]
        y = y * math.cos(incline) + bend[1] + self.shift_mm[1]
        x = (x + bend[0] + self.shift_mm[0]) * math.cos(self.roll) + z * math.sin(self.roll)
        return Points(x, y, z)


@dataclass(frozen=True)
class Textures:
    """The smooth random fields of one subject on the planes of one series."""

    bend: tuple[SmoothField, SmoothField, SmoothField]
    bone: SmoothField
    sulci: SmoothField  # a sulcus runs where this field is 0
    fine: SmoothField

    @classmethod
    def of(cls, head: Head, grid: FieldGrid) -> "Textures":
        rng = np.random.default_rng(head.texture_seed)
        bend = (grid.draw(rng, 38, 1.6), grid.draw(rng, 38, 1.6), grid.draw(rng, 38, 1.3))
        return cls(bend, bone=grid.draw(rng, 28), sulci=grid.draw(rng, 8), fine=grid.draw(rng, 5))


def draw_head(rng: np.random.Generator) -> Head:
    """One subject of either sex and any adult age."""
    atrophy = float(rng.beta(2, 1.6))
    ventricle_scale = (0.62 + 0.75 * atrophy) * math.exp(rng.normal(0, 0.14))
    return Head(
        texture_seed=int(rng.integers(2**62)),
        scale=(rng.normal(1, 0.035), rng.normal(1, 0.035), rng.normal(1, 0.035)),
        atrophy=atrophy,
        grey_hu=rng.normal(37.5, 1.2),
        white_hu=rng.normal(29.5, 1.2),
        csf_hu=rng.normal(7, 1.5),
        sinus_hu=rng.uniform(46, 66),
        falx_hu=rng.uniform(42, 56),
        ventricle_scale=ventricle_scale,
        ventricle_asymmetry=math.exp(rng.normal(0, 0.08)),
        calcifications=tuple(_draw_calcifications(rng, ventricle_scale)),
        vessel=DenseVessel(draw_side(rng), rng.uniform(44, 58)) if rng.random() < 0.18 else None,
        meningioma=_draw_meningioma(rng) if rng.random() < 0.06 else None,
    )


def draw_pose(rng: np.random.Generator) -> Pose:
    """A head in the holder: a few degrees and millimetres off the ideal."""
    return Pose(
        pitch=math.radians(rng.normal(0, 3)),
        yaw=math.radians(rng.normal(0, 4)),
        roll=math.radians(rng.normal(0, 2.5)),
        shift_mm=(rng.normal(0, 3), rng.normal(-4, 4), 0.0),
        lowest_mm=rng.normal(-62, 5),
    )


def draw_side(rng: np.random.Generator) -> int:
    """−1 right, 1 left."""
    return 1 if rng.random() < 0.5 else -1


def _draw_calcifications(rng: np.random.Generator, ventricle_scale: float) -> Iterator[Calcification]:
    """Pineal gland, choroid plexus, basal ganglia and falx, each in the share of adults that has them."""
    if rng.random() < 0.6:
        pineal = (rng.normal(0, 0.8), rng.normal(-28, 1), rng.normal(2, 1.5))
        yield Calcification(pineal, rng.uniform(1.4, 3.6), rng.uniform(70, 260))
    if rng.random() < 0.5:
        for side in (-1, 1):
            if rng.random() < 0.85:
                plexus = (side * 21 * ventricle_scale**0.3 + rng.normal(), rng.normal(-33, 2), rng.normal(8, 2))
                yield Calcification(plexus, rng.uniform(1.6, 4.2), rng.uniform(60, 200))
    if rng.random() < 0.12:
        for side in (-1, 1):
            pallidum = (rng.normal(side * 19, 1), rng.normal(3, 1), rng.normal(3, 1))
            yield Calcification(pallidum, rng.uniform(2, 4.5), rng.uniform(50, 85))
    if rng.random() < 0.15:
        falx = (0.0, rng.uniform(20, 60), rng.uniform(25, 55))
        yield Calcification(falx, rng.uniform(1.5, 3.5), rng.uniform(80, 300))


def _draw_meningioma(rng: np.random.Generator) -> Meningioma:
    azimuth, elevation = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 1.1)
    a, b, c = (0.9 * half_axis for half_axis in VAULT_HALF_AXES_MM)
    centre = (
        a * math.cos(azimuth) * math.cos(elevation),
        b * math.sin(azimuth) * math.cos(elevation),
        c * math.sin(elevation),
    )
    return Meningioma(centre, rng.uniform(5, 9), rng.uniform(42, 52))
