"""Do these HU show a head? A judgement by HU alone, for what headers say of the body part is often wrong.

From the middle of each slice's soft tissue rays are cast outwards until they meet bone or air. Through the vault of a
skull all of them cross soft tissue and meet bone at much the same distance. Air in the lungs ends the rays of a chest;
an abdomen has gaps between its bones, fat, and bone at uneven distances; a limb's bone is narrow; the shell of a
phantom without tissue holds air.

What real slices gave: through five heads of three makers (some with blood, one lossily compressed), every ray met bone,
the farther quarter 1.04 to 1.3 times as far as the nearer one, and 0.92 to 1.00 of the area within was soft tissue;
at the base of a skull, the petrous bones made that 1.5 to 4 times, and 0.95 to 0.99. In a chest, shoulders, two spines
and an abdomen with contrast agent 0.3 to 0.9 of the rays met bone, half of them within 21 mm, and 0.01 to 0.72 was
soft. The limits lie far from the heads, and one slice in eight is enough, for to refuse a patient is worse than to let
a phantom pass: a real head passes with a third of its skull taken off, 60 HU of noise, or cropped to 120 mm.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

AIR_HU: Final = -300.0
"""Below lies air; fat ends at -150."""
SKULL_HU: Final = 150.0
"""Above lies bone: a thin skull in a thick slice reaches 300, clotted blood 100."""
SOFT_HU: Final = (-20.0, 110.0)
"""Cerebrospinal fluid, brain and blood with a noise of 15 HU."""
CONTENT_HU: Final = (3.0, 85.0)
"""Median within a skull: 7 where cerebrospinal fluid is all there is, 25 to 40 in most, 75 in a bleed; water has 0."""
BASE_MM, VAULT_MM, LARGEST_MM = 18.0, 27.0, 125.0
"""Median distance of the bone: 20 at the base, 30 in a premature child, 65 to 80 in adults, 110 in a hydrocephalus."""

_LEAST_VAULTS: Final = 0.125
_LEAST_AIR: Final = 0.005
_MOST_BRIGHT_EDGE: Final = 0.5
"""Of the picture's edge, which a skull may cross in a narrow field of view; inverted values make all of it bright."""
_RAYS: Final = 64
_STEP_MM: Final = 2.0
_HEART_MM: Final = 15.0
"""Nearer bone is none: a calcified pineal gland, a clip, a shunt."""
_MOST_SLICES: Final = 32


@dataclass(frozen=True)
class Contours:
    """What the rays of each slice meet; all arrays are (slices,), and hold zeros where no ray meets bone.

    closure:    share of the rays that meet bone before air or the picture's edge
    radius_mm:  median distance at which they do
    unevenness: upper to lower quartile of these distances
    soft:       share of the area within that is soft tissue
    content_hu: median of that area
    """

    closure: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    unevenness: NDArray[np.float64]
    soft: NDArray[np.float64]
    content_hu: NDArray[np.float64]

    @property
    def skulls(self) -> NDArray[np.bool_]:
        """Which slices cross a skull that holds soft tissue: round and half closed, or uneven and wholly closed."""
        vault = (self.closure >= 0.5) & (self.soft >= 0.8) & (self.unevenness <= 1.8) & (self.radius_mm >= VAULT_MM)
        base = (self.closure >= 0.9) & (self.soft >= 0.9) & (self.radius_mm >= BASE_MM)
        return (vault | base) & (self.radius_mm <= LARGEST_MM)

    @property
    def enough(self) -> bool:
        return bool(np.mean(self.skulls) >= _LEAST_VAULTS)


def not_a_head(hu: NDArray[np.floating], spacing_mm: tuple[float, float]) -> str:
    """Why `hu`, (slices, rows, columns), cannot be a head's; empty where it can. At least one slice."""
    coarse, spacing_mm = _coarse(hu[:: -(-len(hu) // _MOST_SLICES)], spacing_mm)
    contours = contours_of(coarse, spacing_mm)
    if not contours.enough:
        for shift, direction in ((1024, "high"), (-1024, "low")):
            shifted = coarse - shift
            if not (_fault_around(shifted) or _fault_within(contours_of(shifted, spacing_mm))):
                return f"HU about 1024 too {direction}: RescaleIntercept is wrong"
    return _fault_around(coarse) or _fault_within(contours)


def contours_of(hu: NDArray[np.floating], spacing_mm: tuple[float, float]) -> Contours:
    """Cast the rays of every slice of `hu`, (slices, rows, columns)."""
    radii_mm = np.arange(0, LARGEST_MM + 10, _STEP_MM)
    rays = _along_rays(hu, spacing_mm, radii_mm)  # (slices, rays, radii)
    bone = (rays > SKULL_HU) & (radii_mm >= _HEART_MM)
    end = bone | (rays < AIR_HU)
    end[..., -1] = True
    at = end.argmax(axis=2)  # (slices, rays)
    closed = np.take_along_axis(bone, at[..., None], axis=2)[..., 0]
    within = (np.arange(len(radii_mm)) < at[..., None]) & closed[..., None]
    soft = within & (rays > SOFT_HU[0]) & (rays < SOFT_HU[1])
    ring = radii_mm + _STEP_MM / 2  # a ring's area grows with its radius
    quartiles = np.array([_quartiles(radii_mm[a[c]]) for a, c in zip(at, closed, strict=True)])  # (slices, 3)
    return Contours(
        closure=closed.mean(axis=1),
        radius_mm=quartiles[:, 1],
        unevenness=quartiles[:, 2] / np.maximum(quartiles[:, 0], _STEP_MM),
        soft=(soft @ ring).sum(axis=1) / np.maximum((within @ ring).sum(axis=1), _STEP_MM),
        content_hu=np.array([_quartiles(r[w])[1] for r, w in zip(rays, within, strict=True)]),
    )


def _fault_around(hu: NDArray[np.floating]) -> str:
    air = np.mean(hu < AIR_HU)
    if air < _LEAST_AIR:
        return f"no air around a body: {air:.1%} of the picture lies below {AIR_HU:g} HU"
    edge = np.concatenate([hu[:, (0, -1)].ravel(), hu[:, :, (0, -1)].ravel()])
    bright = np.mean(edge > SKULL_HU)
    return f"{bright:.0%} of the picture's edge is as bright as bone" if bright > _MOST_BRIGHT_EDGE else ""


def _fault_within(contours: Contours) -> str:
    skulls = contours.skulls
    if not contours.enough:
        return f"soft tissue within a skull shows in {np.sum(skulls)} of {len(skulls)} slices looked at"
    content_hu = np.median(contours.content_hu[skulls])
    if CONTENT_HU[0] <= content_hu <= CONTENT_HU[1]:
        return ""
    return f"{content_hu:.0f} HU within the skull, where a brain has {CONTENT_HU[0]:g} to {CONTENT_HU[1]:g}"


def _coarse(
    hu: NDArray[np.floating], spacing_mm: tuple[float, float]
) -> tuple[NDArray[np.floating], tuple[float, float]]:
    """Blocks of pixels averaged to at most 2 mm, which takes the noise of thin slices out, and their spacing."""
    size = [
        max(1, min(int(_STEP_MM / spacing), pixels // 16))
        for pixels, spacing in zip(hu.shape[1:], spacing_mm, strict=True)
    ]
    rows, columns = (pixels // step for pixels, step in zip(hu.shape[1:], size, strict=True))
    bands = hu[:, : rows * size[0], : columns * size[1]].reshape(len(hu), rows, size[0], -1).mean(axis=2)
    clipped = np.clip(bands, -3072, 3071)  # a detector's outlier is no skull
    blocks = clipped.reshape(len(hu), rows, columns, size[1]).mean(axis=3)
    return blocks, (spacing_mm[0] * size[0], spacing_mm[1] * size[1])


def _along_rays(
    hu: NDArray[np.floating], spacing_mm: tuple[float, float], radii_mm: NDArray[np.float64]
) -> NDArray[np.floating]:
    """HU along the rays of each slice, (slices, rays, radii), by the nearest pixel; air beyond the picture."""
    centres = np.array([_soft_centre(plane) for plane in hu])  # (slices, 2)
    angles = np.arange(_RAYS) * (2 * np.pi / _RAYS)
    rows, columns = (
        np.rint(centres[:, axis, None, None] + direction[:, None] * (radii_mm / spacing_mm[axis])).astype(np.intp)
        for axis, direction in enumerate((np.sin(angles), np.cos(angles)))
    )
    inside = (rows >= 0) & (rows < hu.shape[1]) & (columns >= 0) & (columns < hu.shape[2])
    slices = np.arange(len(hu))[:, None, None]
    return np.where(inside, hu[slices, np.where(inside, rows, 0), np.where(inside, columns, 0)], -1000)


def _soft_centre(plane: NDArray[np.floating]) -> tuple[float, float]:
    """Median row and column of the soft tissue of (rows, columns); the picture's middle where there is none."""
    rows, columns = np.nonzero((plane > SOFT_HU[0]) & (plane < SOFT_HU[1]))
    if not len(rows):
        return (plane.shape[0] - 1) / 2, (plane.shape[1] - 1) / 2
    return float(np.median(rows)), float(np.median(columns))


def _quartiles(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.percentile(values, (25, 50, 75)) if values.size else np.zeros(3)
