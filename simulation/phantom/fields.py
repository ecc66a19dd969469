"""The brushes of the phantom: soft edges, segments and smooth random fields, all in millimetres and float32."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]  # (rows, columns), float32
Point = tuple[float, float, float]  # x to the patient's left, y to the front, z to the top of the head, mm


@dataclass(frozen=True)
class Points:
    """Head coordinates (mm) of every pixel of one plane: x to the patient's left, y to the front, z to the top."""

    x: Plane
    y: Plane
    z: Plane

    @cached_property
    def aside(self) -> Plane:
        """Distance from the midline."""
        return np.abs(self.x)

    @cached_property
    def folded(self) -> "Points":
        """The right half laid over the left: for structures that come in pairs and are described once."""
        return Points(self.aside, self.y, self.z)

    @cached_property
    def z_range(self) -> tuple[float, float]:
        return float(self.z.min()), float(self.z.max())

    def reach(self, lowest_mm: float, highest_mm: float) -> bool:
        """Whether the plane passes between these heights; what lies elsewhere need not be drawn."""
        return self.z_range[0] < highest_mm and self.z_range[1] > lowest_mm

    def distance(self, centre: Point) -> Plane:
        return np.sqrt(self.squared_distance(centre))

    def squared_distance(self, centre: Point) -> Plane:
        squared: Plane = (self.x - centre[0]) ** 2
        squared += (self.y - centre[1]) ** 2
        squared += (self.z - centre[2]) ** 2
        return squared


def soft_step(distance_mm: Plane, width_mm: float) -> Plane:
    """0 outside, 1 inside, linear over `width_mm` around distance 0: an edge with partial volume."""
    step = distance_mm * (1 / width_mm)
    step += 0.5
    return np.clip(step, 0, 1, out=step)


def bell(offset_mm: Plane, width_mm: float) -> Plane:
    """Gaussian bump of height 1 and standard deviation `width_mm` / sqrt 2."""
    bump: Plane = np.exp(-((offset_mm * (1 / width_mm)) ** 2))
    return bump


def ellipsoid(points: Points, centre: Point, half_axes: Point) -> Plane:
    """Squared normalised radius: below 1 inside."""
    squared: Plane = ((points.x - centre[0]) * (1 / half_axes[0])) ** 2
    squared += ((points.y - centre[1]) * (1 / half_axes[1])) ** 2
    squared += ((points.z - centre[2]) * (1 / half_axes[2])) ** 2
    return squared


def paint(image: Plane, cover: Plane, value: Plane | float) -> None:
    """Lay `value` over `image`, in place, with opacity `cover` (0 to 1)."""
    image += cover * (value - image)


def segment(points: Points, start: Point, end: Point) -> tuple[Plane, Plane]:
    """Distance of every point to a straight segment, and how far along it (0 to 1) the nearest place lies."""
    vector = (end[0] - start[0], end[1] - start[1], end[2] - start[2])
    dx, dy, dz = points.x - start[0], points.y - start[1], points.z - start[2]
    along = (dx * vector[0] + dy * vector[1] + dz * vector[2]) * (1 / sum(part * part for part in vector))
    np.clip(along, 0, 1, out=along)
    dx -= along * vector[0]
    dy -= along * vector[1]
    dz -= along * vector[2]
    return np.sqrt(dx * dx + dy * dy + dz * dz), along


@dataclass(frozen=True)
class SmoothField:
    """A cubic B-spline with random coefficients: mean 0, variance about 1, made plane by plane."""

    weights_z: NDArray[np.float32]  # (planes, coefficients along z), and so on
    weights_y: NDArray[np.float32]
    weights_x: NDArray[np.float32]
    coefficients: NDArray[np.float32]  # (along z, along y · along x)

    def plane(self, index: int) -> Plane:
        layer = (self.weights_z[index] @ self.coefficients).reshape(len(self.weights_y.T), len(self.weights_x.T))
        drawn: Plane = self.weights_y @ (layer @ self.weights_x.T)
        return drawn


@dataclass(frozen=True)
class FieldGrid:
    """The sample positions (mm, any origin) of a stack of planes, on which smooth fields are drawn."""

    heights_mm: NDArray[np.float64]
    rows_mm: NDArray[np.float64]
    columns_mm: NDArray[np.float64]

    def draw(self, rng: np.random.Generator, knots_mm: float, amplitude: float = 1.0) -> SmoothField:
        """A field whose detail is about `knots_mm` wide and whose standard deviation is about `amplitude`."""
        z, y, x = (
            bspline_weights(positions, knots_mm) for positions in (self.heights_mm, self.rows_mm, self.columns_mm)
        )
        shape = (z.shape[1], y.shape[1] * x.shape[1])
        # The squared weights of a cubic B-spline sum to about 0.48 an axis, hence 3 restores unit variance.
        return SmoothField(z, y, x, rng.standard_normal(shape, dtype=np.float32) * np.float32(3 * amplitude))


def bspline_weights(positions_mm: NDArray[np.float64], knots_mm: float) -> NDArray[np.float32]:
    """Cubic B-spline interpolation matrix (positions, coefficients) for coefficients every `knots_mm`."""
    place = (positions_mm - positions_mm.min()) / knots_mm
    first = np.floor(place).astype(int)
    u = place - first
    weights = np.zeros((len(place), first.max() + 4), np.float32)
    row = np.arange(len(place))
    weights[row, first] = (1 - u) ** 3 / 6
    weights[row, first + 1] = (3 * u**3 - 6 * u**2 + 4) / 6
    weights[row, first + 2] = (-3 * u**3 + 3 * u**2 + 3 * u + 1) / 6
    weights[row, first + 3] = u**3 / 6
    return weights
