"""What fills the cranial cavity of a healthy head: parenchyma, cerebrospinal fluid, dura and veins."""

from dataclasses import dataclass

import numpy as np

from simulation.phantom.anatomy import Head
from simulation.phantom.fields import Plane, Point, Points, bell, ellipsoid, paint, segment, soft_step
from simulation.phantom.skull import Enclosure

# Axes of the lateral ventricle's horns on the left: (start, end, radius at start, radius at end), mm.
_HORNS: tuple[tuple[Point, Point, float, float], ...] = (
    ((7, 30, 4), (9, 6, 17), 4.6, 4.4),
    ((9, 6, 17), (17, -24, 17), 4.4, 5.2),
    ((17, -24, 17), (24, -36, 6), 5.4, 6.4),
    ((24, -36, 6), (23, -56, 3), 5.8, 2.0),
    ((24, -36, 4), (32, -10, -18), 3.0, 1.4),
)
# Thalamus, lentiform nucleus and head of the caudate on the left: (centre, half axes), mm.
_DEEP_GREY: tuple[tuple[Point, Point], ...] = (
    ((12, -13, 6), (8, 13, 10)),
    ((26, 3, 4), (8, 17, 13)),
    ((13, 18, 9), (5, 9, 13)),
)


@dataclass(frozen=True)
class Brain:
    """One plane of a brain, after clots have pushed its tissue aside."""

    points: Points  # where the tissue of each pixel would lie in a healthy head
    enclosure: Enclosure
    depth: Plane  # mm below the brain's surface
    clot: Plane  # thickness (mm) of extra-axial blood over the tissue
    sulcus: Plane  # half width of sulci, in units of the sulcal field
    off_sulcus: Plane  # distance from the nearest sulcus, in the same units
    grain: Plane  # the sulcal field itself
    fine: Plane  # finer texture


@dataclass(frozen=True)
class Fluid:
    """Share of cerebrospinal fluid in each pixel: all of it, and of that the ventricles."""

    all: Plane
    ventricles: Plane | None


def draw_parenchyma(head: Head, brain: Brain) -> Plane:
    """HU of grey and white matter, without fluid."""
    depth, texture = brain.depth, brain.fine
    gyrus = soft_step(brain.off_sulcus - 0.30 - (depth < 14) * np.float32(0.12), 0.25)
    white = soft_step(depth - 4.0 - 1.2 * texture, 2.5) * gyrus
    hu = head.grey_hu + (head.white_hu - head.grey_hu) * white + 0.9 * texture
    if brain.points.reach(-20, 25):
        nuclei = np.minimum.reduce(
            [ellipsoid(brain.points.folded, centre, half_axes) for centre, half_axes in _DEEP_GREY]
        )
        paint(hu, soft_step(1 - nuclei, 0.7), head.grey_hu + 0.5)
    return hu


def draw_fluid(head: Head, brain: Brain) -> Fluid:
    """Sulci, fissures, cisterns and ventricles."""
    points = brain.points
    fluid = soft_step(brain.sulcus - brain.off_sulcus, 0.10)
    crowding = 0.85 if not brain.clot.any() else 0.64
    np.maximum(fluid, crowding * soft_step(head.subarachnoid_mm - brain.depth + 0.5 * brain.fine, 1.2), out=fluid)
    np.maximum(fluid, _interhemispheric_fissure(head, brain), out=fluid)
    if points.reach(-16, 20):
        np.maximum(fluid, _sylvian_fissures(head, brain), out=fluid)
    if points.reach(-52, 4):
        np.maximum(fluid, _basal_cisterns(head, brain), out=fluid)
    ventricles = None
    if points.reach(-58, 40):
        ventricles = soft_step(_ventricle_depth(head, points), 1.3)
        np.maximum(fluid, ventricles, out=fluid)
    return Fluid(fluid, ventricles)


def _interhemispheric_fissure(head: Head, brain: Brain) -> Plane:
    half_width = 0.7 + 0.8 * head.atrophy + 0.25 * brain.fine
    cleft = soft_step(half_width - brain.points.aside, 0.9)
    return cleft * soft_step(brain.enclosure.radius - 0.50, 0.06) * soft_step(brain.points.z + 14, 4)


def _sylvian_fissures(head: Head, brain: Brain) -> Plane:
    """A cleft over the convex insula and, from its front rising backwards, the cleft that opens to the surface."""
    aside, y, z = brain.points.aside, brain.points.y, brain.points.z
    half_width = 0.6 + 1.2 * head.atrophy + 0.5 * brain.fine
    insula = 39 - 0.010 * (y - 4) ** 2 + 0.9 * brain.grain
    opening = 17 - 1.3 * (z + 8) - 0.45 * (aside - 40) + 1.5 * brain.grain
    over_insula = soft_step(half_width - np.abs(aside - insula), 1.2) * soft_step(21 - np.abs(y - 2), 4)
    outwards = soft_step(half_width + 0.3 - np.abs(y - opening), 1.2) * soft_step(aside - insula, 2)
    outwards *= soft_step(20 - np.abs(y - 6), 4)
    return np.maximum(over_insula, outwards) * soft_step(15 - np.abs(z - 2), 4)


def _basal_cisterns(head: Head, brain: Brain) -> Plane:
    """Suprasellar star, the cisterns around the brain stem, and the quadrigeminal cistern behind it."""
    points, wide = brain.points, head.atrophy
    x, y, z = points.x, points.y, points.z
    ahead = y - 4
    star = np.sqrt(x * x + ahead * ahead) * (1 + 0.28 * np.cos(5 * np.arctan2(x, ahead)))
    suprasellar = soft_step(9.5 + 3 * wide - star, 2) * soft_step(7 - np.abs(z + 22), 3)
    around = _perimesencephalic(head, brain) * soft_step(z + 48, 4) * soft_step(-6 - z, 4)
    behind = 1 - np.sqrt(ellipsoid(points, (0, -31, -6), (11 + 3 * wide, 3.2 + 2 * wide, 6)))
    return np.maximum(np.maximum(suprasellar, around), soft_step(behind, 0.4))


def _perimesencephalic(head: Head, brain: Brain) -> Plane:
    """The gap around the brain stem: notched in front between the peduncles, wide in front and behind, thin aside."""
    x, y, z = brain.points.x, brain.points.y, brain.points.z
    across, forward = x * (1 / 16), (y + 16) * (1 / 13)
    stem = np.sqrt(across**2 + forward**2)
    stem += 0.34 * bell(across, 0.30) * (forward > 0) * soft_step(z + 30, 8)
    stem -= 0.12 * bell(np.abs(across) - 0.62, 0.3) * (forward > 0)
    half_width = 0.02 + 0.08 * head.atrophy + 0.06 * brain.fine + 0.07 * np.abs(forward)
    gap = soft_step(half_width - np.abs(stem - 1.12), 0.12)
    return gap * np.where((z < -26) & (forward < -0.3), np.float32(0.25), np.float32(0.9))


def _ventricle_depth(head: Head, points: Points) -> Plane:
    """Mm inside the lateral, third or fourth ventricle."""
    scale = head.ventricle_scale
    widening = scale * np.where(
        points.x > 0, np.float32(head.ventricle_asymmetry), np.float32(1 / head.ventricle_asymmetry)
    )
    third = np.minimum(0.8 + 2.2 * head.atrophy * scale - points.aside, 13 - np.abs(points.y + 4))
    depth: Plane = np.minimum(third, 9 - np.abs(points.z + 1))
    for start, end, first_mm, last_mm in _HORNS:
        if points.reach(min(start[2], end[2]) - 13, max(start[2], end[2]) + 13):
            distance, along = segment(points.folded, start, end)
            np.maximum(depth, (first_mm + (last_mm - first_mm) * along) * widening - distance, out=depth)
    fourth = ellipsoid(points, (0, -37, -36), (7 * scale**0.5, 4 * scale**0.5, 9))
    np.maximum(depth, (1 - np.sqrt(fourth)) * 5, out=depth)
    septum = soft_step(0.8 - points.aside, 0.8) * (points.z > 8)
    depth -= 4 * septum
    return depth


def tentorium(points: Points) -> Plane:
    """Height (mm) of the dural roof of the posterior fossa, rising to the midline."""
    return -12 - 0.42 * points.aside - 0.16 * (points.y + 20)


def paint_dura(hu: Plane, head: Head, points: Points, brain: Brain) -> None:
    """Falx, tentorium, superior sagittal and transverse sinuses; `points` are undisplaced, for dura yields little."""
    falx = soft_step(0.75 - points.aside, 0.9) * soft_step(brain.enclosure.radius - 0.55, 0.05)
    paint(hu, 0.8 * falx * soft_step(points.z + 10, 6), head.falx_hu)
    if brain.enclosure.base is not None:
        _paint_tentorium(hu, head, brain)
    depth = brain.enclosure.vault
    sagittal = soft_step(4.4 - brain.points.aside - 0.55 * np.maximum(depth - 0.5, 0), 1.5)
    sagittal *= soft_step(5.5 - depth, 1.5)
    above = points.z + np.where(points.y < -40, np.float32(25), np.float32(-25))
    paint(hu, sagittal * soft_step(above, 10), head.sinus_hu)


def _paint_tentorium(hu: Plane, head: Head, brain: Brain) -> None:
    points = brain.points
    off_leaf = points.z - tentorium(points) + 1.2 * brain.grain
    leaf = soft_step(1.0 - np.abs(off_leaf), 1.3) * soft_step(-16 - points.y - 0.15 * points.aside, 4)
    paint(hu, 0.6 * leaf * soft_step(points.aside - 6, 6), head.falx_hu)
    from_wall = np.maximum(brain.enclosure.cavity - 2, 0)
    transverse = soft_step(4.2 - np.sqrt(from_wall**2 + off_leaf**2), 2) * soft_step(-30 - points.y, 6)
    paint(hu, transverse, head.sinus_hu)
