"""Four scanners and their habits: how each one blurs, tilts, adds noise, and how it stores what it saw."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter1d  # type: ignore[attr-defined]  # scipy fills this module at import

from simulation.phantom.fields import Plane
from simulation.phantom.geometry import SliceStack


@dataclass(frozen=True)
class StorageHabits:
    """How pixel values are written into DICOM files (PS3.3 C.7.6.3 and C.11.1)."""

    transfer_syntax: str  # UID
    intercept_hu: int
    signed: bool
    bits_stored: int
    padding: int  # stored value outside the field of view
    padding_spelling: int  # PixelPaddingValue as the header spells it
    localizer: bool = False  # whether a study holds a scout image too

    @property
    def padding_hu(self) -> int:
        return self.padding + self.intercept_hu


@dataclass(frozen=True)
class ScannerHabits:
    """Of one hospital's scanner and protocol."""

    manufacturer: str
    model: str
    kernel: str
    kvp: int
    thickness_mm: float
    slice_step_mm: float
    tilt_degrees: float  # of the gantry; positive lifts the front of the slice
    field_of_view_mm: float
    noise_hu: tuple[float, float]  # lowest and highest standard deviation where the head is widest
    noise_cutoff_per_mm: float
    blur_mm: float
    cupping_hu: float
    storage: StorageHabits


EXPLICIT_VR: Final = "1.2.840.10008.1.2.1"
IMPLICIT_VR: Final = "1.2.840.10008.1.2"
JPEG_LS: Final = "1.2.840.10008.1.2.4.80"
RLE: Final = "1.2.840.10008.1.2.5"

SCANNERS: Final = (
    ScannerHabits(
        manufacturer="Synthetic North",
        model="Axial One",
        kernel="H31s",
        kvp=120,
        thickness_mm=5.0,
        slice_step_mm=5.0,
        tilt_degrees=0.0,
        field_of_view_mm=230.4,
        noise_hu=(2.3, 3.8),
        noise_cutoff_per_mm=0.30,
        blur_mm=0.75,
        cupping_hu=2.0,
        storage=StorageHabits(EXPLICIT_VR, -1024, False, 12, padding=0, padding_spelling=0),
    ),
    ScannerHabits(
        manufacturer="Synthetic East",
        model="Tilt 64",
        kernel="STANDARD",
        kvp=140,
        thickness_mm=5.0,
        slice_step_mm=5.0,
        tilt_degrees=18.5,
        field_of_view_mm=220.8,
        noise_hu=(3.0, 5.0),
        noise_cutoff_per_mm=0.45,
        blur_mm=0.50,
        cupping_hu=-3.0,
        storage=StorageHabits(IMPLICIT_VR, 0, True, 16, padding=-1500, padding_spelling=-1500, localizer=True),
    ),
    ScannerHabits(
        manufacturer="Synthetic South",
        model="Thin 128",
        kernel="UB",
        kvp=120,
        thickness_mm=2.5,
        slice_step_mm=5.0,
        tilt_degrees=8.5,
        field_of_view_mm=240.0,
        noise_hu=(4.0, 6.0),
        noise_cutoff_per_mm=0.38,
        blur_mm=0.60,
        cupping_hu=0.0,
        # −2000, which some archives spell as if it were unsigned.
        storage=StorageHabits(JPEG_LS, -1024, True, 16, padding=-2000, padding_spelling=63536),
    ),
    ScannerHabits(
        manufacturer="Synthetic West",
        model="Thick 16",
        kernel="FC21",
        kvp=130,
        thickness_mm=7.0,
        slice_step_mm=5.5,
        tilt_degrees=12.0,
        field_of_view_mm=250.0,
        noise_hu=(2.0, 3.2),
        noise_cutoff_per_mm=0.22,
        blur_mm=1.00,
        cupping_hu=4.0,
        storage=StorageHabits(RLE, -1024, False, 12, padding=0, padding_spelling=0),
    ),
)


def is_synthetic(scanner: str) -> bool:
    """Whether a scanner, named by manufacturer and model, is one of these."""
    return scanner.startswith(tuple(f"{habits.manufacturer} " for habits in SCANNERS))


def scanner_of(hospital: int, rng: np.random.Generator) -> ScannerHabits:
    """Habits of hospital 0, 1, …: the four scanners in turn, from the fifth on each with a protocol of its own."""
    habits = SCANNERS[hospital % len(SCANNERS)]
    if hospital < len(SCANNERS):
        return habits
    louder = rng.uniform(0.85, 1.2)
    return replace(
        habits,
        tilt_degrees=max(0.0, round(habits.tilt_degrees + rng.uniform(-4, 4), 1)),
        field_of_view_mm=round(habits.field_of_view_mm * rng.uniform(0.97, 1.03), 1),
        noise_hu=(habits.noise_hu[0] * louder, habits.noise_hu[1] * louder),
        noise_cutoff_per_mm=habits.noise_cutoff_per_mm * rng.uniform(0.9, 1.1),
        blur_mm=habits.blur_mm * rng.uniform(0.9, 1.1),
        cupping_hu=habits.cupping_hu + rng.uniform(-1, 1),
    )


def acquire(
    rng: np.random.Generator, habits: ScannerHabits, stack: SliceStack, true_hu: NDArray[np.float32]
) -> NDArray[np.int16]:
    """What the scanner makes of the true HU of the stack's crop: int16 (slices, rows, columns), padding outside."""
    blur_pixels = max(0.3, habits.blur_mm / stack.pixel_mm)
    seen = np.clip(true_hu, -1000, 1800)
    seen = gaussian_filter1d(gaussian_filter1d(seen, blur_pixels, axis=1, truncate=3), blur_pixels, axis=2, truncate=3)
    volume = np.full((stack.slices, stack.matrix, stack.matrix), np.float32(-1000))
    volume[:, stack.rows, stack.columns] = seen
    head = volume > -500
    filled = np.minimum(head.mean(axis=(1, 2), dtype=np.float32) * (1 / 0.45), 1)  # larger heads let less light through
    sigma_hu = rng.uniform(*habits.noise_hu) * (0.55 + 0.45 * filled)
    across, up = stack.plane_mm(slice(None), slice(None))
    out2 = across**2 + up**2
    volume += head * (habits.cupping_hu * (0.5 - out2 * (1 / 90**2)))
    volume -= _petrous_bar(rng, stack, across, up)
    volume += noise(rng, habits, stack) * sigma_hu[:, None, None]
    stored = np.rint(np.clip(volume, -1024, 3071)).astype(np.int16)
    stored[:, out2 > (stack.matrix / 2 * stack.pixel_mm) ** 2] = habits.storage.padding_hu
    return stored


def noise(rng: np.random.Generator, habits: ScannerHabits, stack: SliceStack) -> NDArray[np.float32]:
    """Noise of standard deviation 1 with the ramp-like spectrum of filtered back-projection."""
    n = stack.matrix
    frequency = np.hypot(fft.fftfreq(n, stack.pixel_mm)[:, None], fft.rfftfreq(n, stack.pixel_mm)[None])
    gain = frequency * np.exp(-((frequency / habits.noise_cutoff_per_mm) ** 2)) + 0.004
    white = rng.standard_normal((stack.slices, n, n), dtype=np.float32)
    coloured: NDArray[np.float32] = fft.irfft2(fft.rfft2(white) * gain.astype(np.float32), (n, n))
    coloured /= coloured.std()
    return coloured


def _petrous_bar(rng: np.random.Generator, stack: SliceStack, across: Plane, up: Plane) -> NDArray[np.float32]:
    """HU lost to beam hardening between the petrous bones, in the lowest 38 mm."""
    height = np.arange(stack.slices) * stack.slice_step_mm
    amplitude = rng.uniform(3, 9, stack.slices) * np.maximum(1 - height / 38, 0)
    shape = np.exp(-(((up + 18) / 9) ** 2)) * np.exp(-((across / 35) ** 2))
    bar: NDArray[np.float32] = amplitude.astype(np.float32)[:, None, None] * shape
    return bar
