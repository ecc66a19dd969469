"""The table and the picture of `docs/synthetic-heads.md`: synthetic heads beside what was measured on real ones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bloodnet_model.files import make_folder
from bloodnet_model.labels import SUBTYPES
from bloodnet_model.seeds import derive_seed
from simulation.phantom import SCANNERS, DrawnStudy, draw_study
from simulation.phantom.appearance import PERCENTILES, Appearance, appearance, percentiles_hu

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SLICES, MATRIX = 32, 256
PICTURE: Final = "synthetic-heads.png"
_WINDOW_HU: Final = (0, 80)

REAL_PERCENTILES_HU: Final = (27, 35, 47, 56, 64, 75, 83)
"""Of acute blood on public head CT, inside eroded masks, at `PERCENTILES`."""
REAL_HU: Final = {
    "epidural": "49 to 68",
    "intraparenchymal": "44 to 63",
    "intraventricular": "40 to 51",
    "subarachnoid": "40 to 60",
    "subdural": "51 to 66",
}
"""Range of the studies' medians; of subarachnoid blood, its usual density."""
REAL_VOLUME: Final = "6.3 (1.7 to 15)"
REAL_NOISE_HU: Final = "2.3 to 5.2 at 5 mm"
"""Robust standard deviation in the brain, by another estimator than ours; slices of 0.625 mm have up to 6.3."""


@dataclass(frozen=True)
class Line:
    """One quantity, as measured on real scans and on synthetic ones."""

    what: str
    real: str
    synthetic: str


@dataclass(frozen=True)
class Specimen:
    """A study with hemorrhage from one of the scanners."""

    scanner: int
    study: DrawnStudy


def specimens(studies: int, seed: int, on_study: Callable[[int], None]) -> Iterator[Specimen]:
    """`studies` studies with hemorrhage, of the four scanners in turn."""
    for number in range(studies):
        scanner = number % len(SCANNERS)
        rng = np.random.default_rng(derive_seed(seed, "specimen", number))
        yield Specimen(scanner, draw_study(rng, SCANNERS[scanner], SLICES, MATRIX, positive=True))
        on_study(number + 1)


def compare(found: Sequence[tuple[int, Appearance]]) -> list[Line]:
    """Lines of the table, of appearances with the numbers of their scanners."""
    seen = [each for _, each in found]
    blood = percentiles_hu(part for each in seen for part in each.blood_hu.values())
    pairs = zip(PERCENTILES, REAL_PERCENTILES_HU, blood, strict=True)
    lines = [Line(f"blood, HU, percentile {share}", f"{real}", f"{here:.0f}") for share, real, here in pairs]
    for name in SUBTYPES:
        medians = [np.median(each.blood_hu[name]) for each in seen if len(each.blood_hu.get(name, ()))]
        told = "{:.0f} to {:.0f}".format(*np.percentile(medians, (10, 90))) if medians else "none drawn"
        lines.append(Line(f"{name}, median HU", REAL_HU[name], told))
    low, middle, high = np.percentile([each.volume_ml for each in seen], (25, 50, 75))
    lines.append(Line("blood, ml, median (quartiles)", REAL_VOLUME, f"{middle:.1f} ({low:.1f} to {high:.1f})"))
    for number, habits in enumerate(SCANNERS):
        noise = [each.noise_hu for scanner, each in found if scanner == number]
        told = f"{np.nanmin(noise):.1f} to {np.nanmax(noise):.1f}" if noise else "none drawn"
        lines.append(Line(f"noise in brain, HU, {habits.model}, {habits.thickness_mm:g} mm", REAL_NOISE_HU, told))
    return lines


def examine(studies: int, seed: int, on_study: Callable[[int], None]) -> tuple[list[Line], dict[str, list[Specimen]]]:
    """The table, and for the picture up to four specimens by kind of blood, of scanners as different as can be."""
    found: list[tuple[int, Appearance]] = []
    shown: dict[str, list[Specimen]] = {name: [] for name in SUBTYPES}
    for specimen in specimens(studies, seed, on_study):
        found.append((specimen.scanner, appearance(specimen.study)))
        for name, chosen in shown.items():
            here = specimen.study.labels[1 + SUBTYPES.index(name)]
            if here and specimen.scanner not in {other.scanner for other in chosen}:
                chosen.append(specimen)
    return compare(found), shown


def draw_picture(shown: dict[str, list[Specimen]], seed: int, folder: Path) -> Path:
    """A sheet: a row of healthy heads, then one a kind of blood, outlined; a column a scanner. Returns its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    make_folder(folder)
    figure = Figure(figsize=(9, 13.6), facecolor="black", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1 + len(shown), len(SCANNERS))
    for axis in axes.ravel():
        axis.set_axis_off()
    for number, habits in enumerate(SCANNERS):
        rng = np.random.default_rng(derive_seed(seed, "healthy", number))
        healthy = draw_study(rng, habits, SLICES, MATRIX, positive=False)
        _show(axes[0, number], healthy, (9, 14, 17, 19)[number], None)
        axes[0, number].set_title(f"{habits.model}\nno blood", color="white", fontsize=9)
    for row, (name, chosen) in enumerate(shown.items(), start=1):
        for specimen in chosen:
            voxels = specimen.study.voxel_classes == 1 + SUBTYPES.index(name)
            _show(axes[row, specimen.scanner], specimen.study, int(voxels.sum(axis=(1, 2)).argmax()), name)
            axes[row, specimen.scanner].set_title(name, color="white", fontsize=9)
    path = folder / PICTURE
    figure.savefig(path, dpi=90, facecolor="black", metadata={"Software": None})
    return path


def _show(axis: "Axes", study: DrawnStudy, index: int, name: str | None) -> None:
    low, high = _WINDOW_HU
    axis.imshow(study.volume_hu[index], cmap="gray", vmin=low, vmax=high)
    if name is not None:
        mask = study.voxel_classes[index] == 1 + SUBTYPES.index(name)
        axis.contour(mask, levels=[0.5], colors="#ff5555", linewidths=0.7)
