"""A trained network on studies nobody has labelled: each one scored, the most urgent first, none left out.

Needs no site, no federation and no labels. Files are found, judged and read by the same rules as for training.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError, UnusableSlice
from bloodnet_model.labels import CLASSES
from bloodnet_model.preprocessing import head_centre, prepare_volume
from bloodnet_model.reasons import RULES
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.threads import in_threads
from client.blood_volume import blood_volume_ml
from client.dicom import read_headers
from client.listing import FoundFile, found_files
from client.overlay import Overlay, overlay_of
from client.preparation import objection
from client.scorer import Scorer
from client.series_selection import Selection, select_series
from client.site_settings import SeriesRules, Site, SiteSettings
from client.slice_distances import usual_distance_mm
from client.slice_header import SliceHeader
from client.volume import Volume, read_volume
from client.workers import usable_cores

READER_CRASHED: Final = "internal-error"
_PARTS_A_CORE: Final = 4  # few enough to cost nothing, enough that no core waits long for the last one


@dataclass(frozen=True)
class Triaged:
    """One line of the worklist. It names the study: it is for the hospital's own eyes.

    study_uid: empty for a folder in which no file belongs to a readable study
    folder:    where most of the study's files lie
    reason:    why there is no score, a code of `bloodnet_model.reasons`; empty where there is one
    scores:    probability of each class
    volume_ml: of the blood as segmented; None where the distance of the slices is unknown
    unread:    slices of the series that could not be read and that the score leaves out
    overlay:   the slices with the highest scores, blood outlined
    """

    study_uid: str
    folder: Path
    seconds: float
    reason: str = ""
    detail: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    volume_ml: float | None = None
    slices: int = 0
    unread: int = 0
    overlay: Overlay | None = None

    @property
    def score(self) -> float | None:
        """Of blood of any kind; None where the study could not be read."""
        return self.scores.get(CLASSES[0])


@dataclass(frozen=True)
class Found:
    """What lies below the paths.

    studies: CT headers by study
    barren:  a fault of a file, by folder; of folders in which files are broken and none belongs to a study
    others:  how many files are whole and no CT: reports, other modalities, notes
    """

    studies: Mapping[str, Sequence[SliceHeader]]
    barren: Mapping[Path, UnusableSlice]
    others: int


def ranked(studies: Iterable[Triaged]) -> list[Triaged]:
    """Worklist order: what could not be read first, for somebody has to look at it; then by falling score."""
    return sorted(studies, key=lambda one: (one.score is not None, -(one.score or 0), str(one.folder), one.study_uid))


def find_studies(paths: Sequence[Path], on_progress: OnProgress) -> Found:
    """Read all headers below `paths`: folders or zip files. Raises DataError where there is no such thing, or no CT."""
    files = [found for path in paths for found in _files(path)]
    studies: defaultdict[str, list[SliceHeader]] = defaultdict(list)
    faults: dict[Path, UnusableSlice] = {}
    others = 0
    for done, found in enumerate(sorted(files), start=1):
        try:
            for header in _headers(found):
                studies[header.study_uid].append(header)
        except UnusableSlice as fault:
            if fault.reason in RULES:  # a text file beside the images is nobody's trouble
                others += 1
            else:
                faults.setdefault(found.path.parent, fault)
        on_progress("reading headers", done, len(files))
    holding = {header.path.parent for headers in studies.values() for header in headers}
    barren = {folder: fault for folder, fault in faults.items() if folder not in holding}
    if not studies and not barren:
        raise DataError(f"{paths[0]}: holds no CT image; name a study's folder, a folder of studies, or a zip file.")
    return Found(dict(studies), barren, others)


def triage(found: Found, scorer: Scorer) -> Iterator[Triaged]:
    """Score every study; one that cannot be read has its reason in place of a score."""
    for folder, fault in sorted(found.barren.items()):
        yield Triaged("", folder, 0.0, fault.reason, str(fault))
    # A product of matrices is one thread's, for the threads share the slices.
    with threadpool_limits(1, "blas"):  # type: ignore[no-untyped-call]
        for uid, headers in sorted(found.studies.items()):
            started = time.perf_counter()
            try:
                yield _scored(uid, headers, scorer, started)
            except Exception as error:  # whatever it is, the study stays on the list
                yield Triaged(uid, _folder_of(headers), _since(started), READER_CRASHED, type(error).__name__)


def _scored(uid: str, headers: Sequence[SliceHeader], scorer: Scorer, started: float) -> Triaged:
    rules, folder = SeriesRules(), _folder_of(headers)
    selection = select_series(headers, rules)
    if selection.reason:
        return Triaged(uid, folder, _since(started), selection.reason, _why(selection))
    volume = read_volume(selection.slices)
    with ThreadPoolExecutor(1) as aside:
        preparing = aside.submit(windows_of, volume, scorer.preprocessing)
        reason, detail = objection(volume, rules.minimum_slices)
    if reason:
        return Triaged(uid, folder, _since(started), reason, detail, unread=len(volume.failures))
    windows = preparing.result()
    prediction = scorer.predict(windows)
    return Triaged(
        study_uid=uid,
        folder=folder,
        seconds=_since(started),
        scores=dict(zip(CLASSES, prediction.probabilities.tolist(), strict=True)),
        volume_ml=blood_volume_ml(prediction.mask, usual_distance_mm(volume.headers), scorer.preprocessing),
        slices=len(windows),
        unread=len(volume.failures),
        overlay=overlay_of(windows, prediction),
    )


def windows_of(volume: Volume, preprocessing: PreprocessingSettings) -> NDArray[np.uint8]:
    """The slices as the network sees them, by parts on all cores: about a common centre no slice needs another."""
    centre, cores = head_centre(volume.hu), usable_cores(None)
    parts = np.array_split(volume.hu, min(len(volume.hu), _PARTS_A_CORE * cores))
    prepared = in_threads(lambda hu: prepare_volume(hu, volume.spacing_mm, preprocessing, centre), parts, cores)
    return np.concatenate(prepared)


def _why(selection: Selection) -> str:
    """What stands against the series that came furthest."""
    said = (entry.detail for entry in selection.entries if entry.kind == "series" and entry.reason == selection.reason)
    return next(said, "")


def _folder_of(headers: Sequence[SliceHeader]) -> Path:
    return Counter(header.path.parent for header in headers).most_common(1)[0][0]


def _files(path: Path) -> Iterator[FoundFile]:
    if not path.exists():
        raise DataError(f"{path}: there is no such file; name a study's folder, a folder of studies, or a zip file.")
    if not path.is_dir() and path.suffix.lower() != ".zip":
        raise DataError(f"{path}: is no folder and no zip file; name a study's folder or a folder of studies.")
    return found_files(Site(path.absolute().parent, SiteSettings(name="triage", dicom=(str(path.absolute()),))))


def _headers(found: FoundFile) -> tuple[SliceHeader, ...]:
    if found.reason:
        raise UnusableSlice(found.reason, found.detail)
    return read_headers(found.path)


def _since(started: float) -> float:
    return time.perf_counter() - started
