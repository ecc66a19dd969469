"""What bleedings do to one plane: they push tissue aside, efface sulci, and cover pixels with blood."""

from typing import assert_never

import numpy as np

from simulation.phantom.anatomy import VAULT_HALF_AXES_MM, Head
from simulation.phantom.brain import Brain, Fluid, tentorium
from simulation.phantom.fields import Plane, Points, paint, soft_step
from simulation.phantom.lesions import ExtraAxial, Intraparenchymal, Intraventricular, Lesion, Subarachnoid
from simulation.phantom.skull import Enclosure

_SHIFT_REACH_MM = 38.0


def displaced_brain(
    head: Head,
    lesions: tuple[Lesion, ...],
    points: Points,
    enclosure: Enclosure,
    bone: Plane,
    grain: Plane,
    fine: Plane,
) -> Brain:
    """The brain on one plane after the mass effect of its lesions."""
    clot, source = np.zeros_like(points.x), points
    effacement = np.zeros_like(points.x)
    for lesion in lesions:
        if isinstance(lesion, ExtraAxial):
            np.maximum(clot, _thickness(lesion, points, bone), out=clot)
            source = _shifted(lesion, points, source)
    for lesion in lesions:
        if isinstance(lesion, Intraparenchymal) and _near(lesion, source):
            source, around = _pushed(lesion, source, enclosure.cavity)
            np.maximum(effacement, around, out=effacement)
    depth = enclosure.cavity - clot
    sulcus = head.sulcus_width * np.clip(1.15 - depth * (1 / 19), 0, 1)
    sulcus *= (1 - 0.8 * effacement) * (1 - np.clip(0.12 * clot, 0, 0.8))
    if enclosure.base is not None:
        below_tentorium = (source.y < -14) & (source.z < tentorium(source))
        sulcus *= np.where(below_tentorium, np.float32(0.25), np.float32(1))
    return Brain(source, enclosure, depth, clot, sulcus, np.abs(grain), grain, fine)


def _thickness(lesion: ExtraAxial, points: Points, bone: Plane) -> Plane:
    """Thickness (mm) of extra-axial blood in the direction of each pixel."""
    out = np.sqrt(points.squared_distance((0, 0, 0))) + 1e-3
    cosine = (points.x * lesion.apex[0] + points.y * lesion.apex[1] + points.z * lesion.apex[2]) / out
    inwards = np.clip((cosine - lesion.edge_cosine) * (1 / (1 - lesion.edge_cosine)), 0, 1)
    if lesion.subdural:  # a crescent, which the falx stops
        profile: Plane = np.sqrt(inwards) * (1 + 0.12 * bone) * soft_step(points.x * lesion.side - 2, 2)
    else:
        profile = inwards * (1.15 - 0.15 * inwards)
    return lesion.thickness_mm * profile


def _shifted(lesion: ExtraAxial, points: Points, source: Points) -> Points:
    """Midline shift: the tissue near a clot has come from farther out on its side."""
    x, y, z = (0.8 * half_axis * part for half_axis, part in zip(VAULT_HALF_AXES_MM, lesion.apex, strict=True))
    away = 0.35 * (points.x - x) ** 2 + (points.y - y) ** 2 + (points.z - z) ** 2
    shift = (lesion.side * 0.55 * lesion.thickness_mm) * np.exp(away * (-1 / (2 * _SHIFT_REACH_MM**2)))
    return Points(source.x + shift, source.y, source.z)


def _near(lesion: Intraparenchymal, source: Points) -> bool:
    reach = 4 * lesion.radius_mm
    return source.reach(lesion.centre_mm[2] - reach, lesion.centre_mm[2] + reach)


def _pushed(lesion: Intraparenchymal, source: Points, cavity: Plane) -> tuple[Points, Plane]:
    """Tissue pushed outwards as if three quarters of the blood's volume were added; and its closeness (0 to 1)."""
    distance = source.distance(lesion.centre_mm) + 0.01
    outside = np.maximum(distance, lesion.radius_mm)
    share = 1 - np.cbrt(np.maximum(1 - 0.75 * (lesion.radius_mm / outside) ** 3, 0))
    share *= soft_step(cavity - 3, 8)
    x, y, z = lesion.centre_mm
    moved = Points(
        source.x - (source.x - x) * share, source.y - (source.y - y) * share, source.z - (source.z - z) * share
    )
    return moved, np.exp(-((distance * (1 / (2.2 * lesion.radius_mm))) ** 2))


def paint_blood(
    hu: Plane, lesion: Lesion, points: Points, brain: Brain, fluid: Fluid, bone: Plane, ragged: Plane
) -> Plane | None:
    """Paint one lesion over a plane of brain; returns the share of blood in each pixel, None where it is elsewhere."""
    cavity = brain.enclosure.cavity
    match lesion:
        case ExtraAxial():
            cover = _extra_axial_cover(lesion, points, cavity, bone)
        case Intraparenchymal():
            if not _near(lesion, points):
                return None
            cover = _intraparenchymal_cover(hu, lesion, points, cavity, fluid, ragged)
        case Intraventricular():
            if fluid.ventricles is None:
                return None
            cover = _intraventricular_cover(lesion, brain.points, fluid.ventricles, ragged)
        case Subarachnoid():
            reach = 1.6 * lesion.radius_mm
            if not points.reach(lesion.centre_mm[2] - reach, lesion.centre_mm[2] + reach):
                return None
            cover = _subarachnoid_cover(lesion, points, brain, fluid, ragged)
        case _:
            assert_never(lesion)
    cover *= soft_step(cavity, 0.9)
    paint(hu, cover, lesion.hu + 1.5 * brain.fine)
    return cover


def _extra_axial_cover(lesion: ExtraAxial, points: Points, cavity: Plane, bone: Plane) -> Plane:
    thickness = _thickness(lesion, points, bone)
    return soft_step(thickness - cavity - 0.2, 1.0) * soft_step(thickness - 0.6, 0.8)


def _intraparenchymal_cover(
    hu: Plane, lesion: Intraparenchymal, points: Points, cavity: Plane, fluid: Fluid, ragged: Plane
) -> Plane:
    """Also darkens the oedema around the blood."""
    x, y, z = lesion.centre_mm
    squared: Plane = ((points.x - x) * (1 / lesion.aspect[0])) ** 2
    squared += ((points.y - y) * (1 / lesion.aspect[1])) ** 2
    squared += ((points.z - z) * (1 / lesion.aspect[2])) ** 2
    distance = np.sqrt(squared) * (1 + 0.16 * ragged)
    oedema = soft_step(lesion.radius_mm * (1 + lesion.oedema_width) - distance, 3) * (1 - fluid.all)
    hu -= lesion.oedema_hu * oedema
    return soft_step(lesion.radius_mm - distance, 1.6) * soft_step(cavity - 0.5, 1.5)


def _intraventricular_cover(lesion: Intraventricular, source: Points, ventricles: Plane, ragged: Plane) -> Plane:
    settled = ventricles * soft_step(lesion.level_mm - source.y + 1.5 * ragged, 3) * (source.z > -30)
    return settled if lesion.both else settled * soft_step(source.x * lesion.side + 1, 1)


def _subarachnoid_cover(lesion: Subarachnoid, points: Points, brain: Brain, fluid: Fluid, ragged: Plane) -> Plane:
    within = soft_step(lesion.radius_mm * (1 + 0.25 * ragged) - points.distance(lesion.centre_mm), 4)
    swollen = soft_step(brain.sulcus + 0.08 * lesion.swelling - brain.off_sulcus, 0.12) * (brain.depth < 16)
    spaces = np.maximum(fluid.all, swollen)
    if fluid.ventricles is not None:
        spaces *= 1 - fluid.ventricles
    return spaces * within
