"""Synthetic head CT with and without hemorrhage, as the hospitals of a federation would store it.

It is drawn to test the whole path from DICOM to report on any machine; its figures are never clinical accuracy.
"""

from simulation.phantom.head import DrawnStudy, draw_study
from simulation.phantom.hospital import LABEL_COLUMNS, PhantomSettings, write_federation
from simulation.phantom.scanner import SCANNERS, ScannerHabits, is_synthetic, scanner_of

__all__ = [
    "LABEL_COLUMNS",
    "SCANNERS",
    "DrawnStudy",
    "PhantomSettings",
    "ScannerHabits",
    "draw_study",
    "is_synthetic",
    "scanner_of",
    "write_federation",
]
