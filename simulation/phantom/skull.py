"""The closed box around the brain: scalp, calvaria with its sutures, skull base, orbits and sinuses.

Every structure is an implicit function of head coordinates, so that a plane at any height and tilt can be drawn.
"""

from dataclasses import dataclass

import numpy as np

from simulation.phantom.anatomy import VAULT_HALF_AXES_MM
from simulation.phantom.fields import Plane, Points, bell, paint, soft_step

_BELOW_VAULT_MM = 125.0  # vertical half axis below the equator
_OPEN = 1e-4  # keeps the centre of the ellipsoid off a division by zero


@dataclass(frozen=True)
class Enclosure:
    """Depths (mm, positive inside) that say where a pixel of one plane lies in the skull."""

    radius: Plane  # 0 at the head's centre, 1 at the inner table
    vault: Plane  # below the inner table of the calvaria
    base: Plane | None  # above the floor of the cranial cavity; None where the plane runs clear of it
    cavity: Plane  # inside the cranial cavity
    thickness: Plane  # of the calvaria
    forward: Plane  # y in units of the vault's half axis


def enclose(points: Points, bone_texture: Plane) -> Enclosure:
    """Depths of one plane below the tables of the skull; `bone_texture` varies the calvaria's thickness."""
    across = points.x / (VAULT_HALF_AXES_MM[0] - 0.06 * points.y)  # wider at the back
    forward = points.y * (1 / VAULT_HALF_AXES_MM[1])
    per_mm = np.where(points.z > 0, np.float32(1 / VAULT_HALF_AXES_MM[2]), np.float32(1 / _BELOW_VAULT_MM))
    upward = points.z * per_mm
    radius = np.sqrt(across**2 + forward**2 + upward**2) + _OPEN
    slope = np.sqrt(
        (across * (1 / VAULT_HALF_AXES_MM[0])) ** 2
        + (forward * (1 / VAULT_HALF_AXES_MM[1])) ** 2
        + (upward * per_mm) ** 2
    )
    vault = np.clip(radius * (1 - radius) / (slope + _OPEN), -60, 90)  # first-order distance to the ellipsoid
    thickness = np.clip(5.2 + 1.1 * bone_texture + 1.2 * forward**2, 3, 9)
    base = (points.z - _floor(points)) * 0.85 if points.z_range[0] < -8 else None
    cavity = vault if base is None else np.minimum(vault, base)
    return Enclosure(radius, vault, base, cavity, thickness, forward)


def _floor(points: Points) -> Plane:
    """Height of the cranial floor: anterior, middle and posterior fossa, clivus, petrous ridges, foramen magnum."""
    front, back = soft_step(points.y - 24, 7), soft_step(-20 - points.y, 7)
    orbital_roofs = -22 + 6 * bell(points.aside - 28, 13)
    middle_fossa = -42 + 17 * bell(points.x, 11)  # raised to the clivus and the sella
    floor = front * orbital_roofs + back * -66 + (1 - front - back) * middle_fossa
    along_ridge = np.clip((points.aside - 10) * (1 / 48), 0, 1)
    off_ridge = points.y + 2 + 27 * along_ridge
    floor += 17 * bell(off_ridge, 6.5) * soft_step(points.aside - 10, 8)
    floor -= 40 * np.exp((points.x**2 + (points.y + 26) ** 2) * (-1 / 150))
    return floor


def draw_skull(points: Points, enclosure: Enclosure, grain: Plane, fine: Plane) -> Plane:
    """HU of one plane with everything but the cavity's content; `grain` and `fine` are textures (mean 0, SD 1)."""
    hu = np.full(grain.shape, np.float32(-1000))
    outside = enclosure.vault + enclosure.thickness  # mm below the outer table
    _paint_scalp(hu, outside, 5.5 + 1.5 * enclosure.forward**2)
    diploe = soft_step(np.minimum(outside - 1.6, -enclosure.vault - 1.6), 0.8)
    bone = 1150 - 560 * diploe + 60 * grain
    if points.z_range[1] > 5:
        bone -= 650 * (1 - soft_step(_off_suture(points, grain) - 0.5, 0.7))
    paint(hu, soft_step(outside, 0.8), bone)
    if enclosure.base is not None:
        _paint_base(hu, points, enclosure, enclosure.base, grain, fine)
    return hu


def _paint_scalp(hu: Plane, outside: Plane, thickness: Plane) -> None:
    """Skin, subcutaneous fat and galea, from outside in."""
    surface = outside + thickness
    paint(hu, soft_step(surface, 1.0), -70.0)
    paint(hu, soft_step(surface, 0.7) - soft_step(surface - 1.8, 0.7), 30.0)
    paint(hu, soft_step(outside + 1.6, 1.0), 35.0)


def _off_suture(points: Points, grain: Plane) -> Plane:
    """Distance (mm) from the nearer of the coronal and the lambdoid suture."""
    jagged = 1.2 * grain
    coronal = np.abs(points.y - 14 + 0.25 * points.z + jagged)
    lambdoid = np.abs(points.y + 62 - 0.35 * points.z + 0.3 * points.aside + jagged)
    nearer: Plane = np.minimum(coronal, lambdoid)
    return nearer


def _paint_base(hu: Plane, points: Points, enclosure: Enclosure, base: Plane, grain: Plane, fine: Plane) -> None:
    """Everything under the cranial floor: bone, face, mastoid cells, nasal cavity, orbits, frontal sinus."""
    aside, y, z = points.aside, points.y, points.z
    face = np.where(fine + 0.8 * grain > 0.9, np.float32(600), 45 + 6 * fine)
    content = np.where(base > -5, 750 + 140 * fine, face)
    mastoid = ((aside - 52) / 11) ** 2 + ((y + 26) / 13) ** 2 + ((z + 40) / 15) ** 2 < 1.05
    content = np.where(mastoid, np.where(fine > 0, np.float32(-700), np.float32(650)), content)
    nose = (aside < 13) & (y > 28) & (z < -24)
    content = np.where(nose, np.where(np.abs(grain) > 0.35, np.float32(-850), np.float32(250)), content)
    orbit = np.sqrt((aside - 31) ** 2 + ((y - 58) * 0.8) ** 2 + (z + 38) ** 2)
    eyeball = np.sqrt((aside - 31) ** 2 + (y - 68) ** 2 + (z + 38) ** 2)
    content = np.where(orbit < 20, np.where(orbit < 18, np.float32(-75), np.float32(500)), content)
    content = np.where(eyeball < 11.5, np.float32(18), content)
    below = soft_step(-base, 1.2) * soft_step(enclosure.vault + 0.3 * enclosure.thickness, 1.0)
    paint(hu, below, content)
    frontal_sinus = ((aside - 9) / 10) ** 2 + ((y - 80) / 5) ** 2 + ((z + 14) / 13) ** 2 < 1
    hu[frontal_sinus] = -900
