"""One synthetic head CT: a subject, perhaps bleedings, a scanner; HU and the truth about every voxel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from simulation.phantom.anatomy import Head, Pose, Textures, draw_head, draw_pose
from simulation.phantom.bleeding import displaced_brain, paint_blood
from simulation.phantom.brain import Brain, Fluid, draw_fluid, draw_parenchyma, paint_dura
from simulation.phantom.fields import Plane, Points, SmoothField, paint, segment, soft_step
from simulation.phantom.geometry import SliceStack
from simulation.phantom.lesions import Lesion, draw_lesions, subtype
from simulation.phantom.scanner import ScannerHabits, acquire
from simulation.phantom.skull import draw_skull, enclose

COMMONEST_FIRST: Final = ("intraparenchymal", "subdural", "subarachnoid", "intraventricular", "epidural")
"""Order in which voxel classes are laid down: where two bleedings share a voxel, the rarer kind keeps it."""

MASK_BITS: Final = np.array([0, *(1 | 1 << bit for bit in range(1, len(CLASSES)))], np.uint8)
"""Mask bits of voxel class 0 (none), 1 (`CLASSES[1]`), …"""

_COVERAGE_MM = 117.0  # from the skull base to the convexity; a stack of few slices is spread over it
_SMALLEST_ML = 0.2  # of a bleeding in the mask; a smaller one would be a label that nobody could see
_BONE_BLUR_HU = 95  # a clot's edge that is brighter looks like bone, and whoever draws the mask leaves it out
_ATTEMPTS = 40


@dataclass(frozen=True)
class DrawnStudy:
    """One series and its truth.

    volume_hu:     int16 (slices, rows, columns), from the lowest slice up, rows to the back, columns to the left
    voxel_classes: uint8, same shape: 0 no blood, j for `CLASSES[j]`
    """

    volume_hu: NDArray[np.int16]
    voxel_classes: NDArray[np.uint8]
    stack: SliceStack
    lesions: tuple[Lesion, ...]

    @property
    def mask_bits(self) -> NDArray[np.uint8]:
        """Bit j set where the voxel holds `CLASSES[j]`; bit 0 (any) where another one is."""
        return MASK_BITS[self.voxel_classes]

    @property
    def labels(self) -> tuple[int, ...]:
        """0 or 1 for each of `CLASSES`, read off the mask."""
        present = np.bincount(self.voxel_classes.ravel(), minlength=len(CLASSES)) > 0
        return tuple(int(flag) for flag in (present[1:].any(), *present[1:]))

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Between rows and between columns."""
        return self.stack.pixel_mm, self.stack.pixel_mm

    @property
    def slice_step_mm(self) -> float:
        return self.stack.slice_step_mm

    @property
    def tilt_degrees(self) -> float:
        return self.stack.tilt_degrees


def draw_study(
    rng: np.random.Generator,
    habits: ScannerHabits,
    slices: int,
    matrix: int,
    positive: bool,
    head: Head | None = None,
) -> DrawnStudy:
    """One study of `head` (a new subject if None) with or without bleedings.

    Raises DataError where so few or coarse slices are asked for that no bleeding drawn fills a voxel of its own.
    """
    head = draw_head(rng) if head is None else head
    stack = _draw_stack(rng, habits, slices, matrix)
    scene = Scene.draw(rng, head, stack)
    for _ in range(_ATTEMPTS):
        lesions = draw_lesions(rng) if positive else ()
        true_hu, voxel_classes = scene.render(lesions)
        volume_hu = acquire(rng, habits, stack, true_hu)
        classes = np.zeros((slices, matrix, matrix), np.uint8)
        classes[:, stack.rows, stack.columns] = voxel_classes
        classes[volume_hu > _BONE_BLUR_HU] = 0
        if _all_visible(lesions, classes, stack):
            return DrawnStudy(volume_hu, classes, stack, lesions)
    raise DataError(
        f"matrix: no bleeding is visible in {slices} slices of {matrix} × {matrix}; ask for more slices or pixels."
    )


def _draw_stack(rng: np.random.Generator, habits: ScannerHabits, slices: int, matrix: int) -> SliceStack:
    step_mm = max(habits.slice_step_mm * rng.uniform(0.95, 1.0), _COVERAGE_MM / slices)
    tilt_degrees = habits.tilt_degrees * rng.uniform(0.85, 1.15)
    return SliceStack(
        slices=slices,
        matrix=matrix,
        pixel_mm=round(habits.field_of_view_mm / matrix, 4),
        slice_step_mm=round(step_mm, 2),
        thickness_mm=habits.thickness_mm,
        tilt_degrees=round(tilt_degrees * 2) / 2,  # gantries tilt by half degrees
    )


def _all_visible(lesions: tuple[Lesion, ...], voxel_classes: NDArray[np.uint8], stack: SliceStack) -> bool:
    """Whether every bleeding drawn can be seen in the mask, from which the labels are read."""
    voxels = np.bincount(voxel_classes.ravel(), minlength=len(CLASSES))
    voxel_ml = stack.pixel_mm**2 * stack.slice_step_mm / 1000
    return all(voxels[CLASSES.index(subtype(lesion))] * voxel_ml >= _SMALLEST_ML for lesion in lesions)


@dataclass(frozen=True)
class Scene:
    """A head in a gantry, ready to be drawn plane by plane."""

    head: Head
    pose: Pose
    stack: SliceStack
    textures: Textures
    ragged: SmoothField  # roughens the edges of bleedings

    @classmethod
    def draw(cls, rng: np.random.Generator, head: Head, stack: SliceStack) -> "Scene":
        """Takes the same from `rng` whatever the stack, so that a seed has the same bleedings at every resolution."""
        grid, roughness = stack.field_grid(), np.random.default_rng(rng.integers(2**62))
        return cls(head, draw_pose(rng), stack, Textures.of(head, grid), grid.draw(roughness, 9))

    def render(self, lesions: tuple[Lesion, ...]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """True HU and voxel classes of the stack's crop: (slices, rows, columns) each."""
        across, up = self.stack.plane_mm(self.stack.rows, self.stack.columns)
        hu = np.zeros((self.stack.slices, *across.shape), np.float32)
        blood = {subtype(lesion): np.zeros_like(hu) for lesion in lesions}
        share = np.float32(1 / self.stack.sub_slices)
        for plane, height_mm in enumerate(self.stack.heights_mm.ravel().tolist()):
            index = plane // self.stack.sub_slices
            bend_x, bend_y, bend_z = (field.plane(plane) for field in self.textures.bend)
            points = self.pose.points(across, up, height_mm, self.stack.tilt, (bend_x, bend_y, bend_z))
            drawn, covers = self._draw_plane(plane, _standard(points, self.head), lesions)
            hu[index] += share * drawn
            for name, cover in covers.items():
                blood[name][index] += share * cover
        return hu, _voxel_classes(blood, hu.shape)

    def _draw_plane(self, plane: int, points: Points, lesions: tuple[Lesion, ...]) -> tuple[Plane, Mapping[str, Plane]]:
        """HU of one plane, and the share of each kind of blood in it."""
        bone, grain, fine = (
            field.plane(plane) for field in (self.textures.bone, self.textures.sulci, self.textures.fine)
        )
        enclosure = enclose(points, bone)
        hu = draw_skull(points, enclosure, grain, fine)
        inside = soft_step(enclosure.cavity, 0.9)
        if not inside.any():
            return hu, {}
        brain = displaced_brain(self.head, lesions, points, enclosure, bone, grain, fine)
        content, fluid = self._draw_content(points, brain, inside)
        covers: dict[str, Plane] = {}
        ragged = self.ragged.plane(plane) if lesions else grain
        for lesion in lesions:
            cover = paint_blood(content, lesion, points, brain, fluid, bone, ragged)
            if cover is not None:
                covers[subtype(lesion)] = cover
        paint(hu, inside, content)
        _paint_calcifications(hu, self.head, brain)
        return hu, covers

    def _draw_content(self, points: Points, brain: Brain, inside: Plane) -> tuple[Plane, Fluid]:
        """HU inside the cranial cavity before any bleeding."""
        hu = draw_parenchyma(self.head, brain)
        fluid = draw_fluid(self.head, brain)
        paint(hu, fluid.all, self.head.csf_hu)
        paint_dura(hu, self.head, points, brain)
        vessel, mass = self.head.vessel, self.head.meningioma
        if vessel is not None and points.reach(-30, -10):
            distance, _ = segment(brain.points, (3 * vessel.side, 4, -21), (24 * vessel.side, 6, -16))
            paint(hu, soft_step(1.6 - distance, 1.0), vessel.hu)
        if mass is not None:
            paint(hu, soft_step(mass.radius_mm - points.distance(mass.centre_mm), 1.2) * inside, mass.hu)
        return hu, fluid


def _standard(points: Points, head: Head) -> Points:
    """Coordinates in a head of standard size."""
    return Points(points.x * (1 / head.scale[0]), points.y * (1 / head.scale[1]), points.z * (1 / head.scale[2]))


def _paint_calcifications(hu: Plane, head: Head, brain: Brain) -> None:
    for spot in head.calcifications:
        if brain.points.reach(spot.centre_mm[2] - 5, spot.centre_mm[2] + 5):
            distance = brain.points.distance(spot.centre_mm)
            paint(hu, soft_step(spot.radius_mm * (1 + 0.25 * brain.fine) - distance, 1.2), spot.hu)


def _voxel_classes(blood: Mapping[str, NDArray[np.float32]], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The class that fills more than half of a voxel; the rarer one where several do."""
    classes = np.zeros(shape, np.uint8)
    for name in COMMONEST_FIRST:
        if name in blood:
            classes[blood[name] > 0.5] = CLASSES.index(name)
    return classes
