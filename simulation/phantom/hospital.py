"""A federation of synthetic hospitals on disk: each folder is what a real site would point the client at."""

import csv
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from bloodnet_model.errors import DataError, SettingsError
from bloodnet_model.labels import CLASSES
from bloodnet_model.seeds import derive_seed
from simulation.phantom.anatomy import draw_head
from simulation.phantom.dicom_writer import Identity, write_dicom, write_mask
from simulation.phantom.head import draw_study
from simulation.phantom.scanner import ScannerHabits, scanner_of

LABEL_COLUMNS: Final = ("study_instance_uid", *CLASSES, "mask")
_STUDIES_A_RETURN = 12  # of so many studies, the last is of a patient who has been here before
_SITE_YAML = """\
# Synthetic head CT, drawn by a program from seed {seed}: no person was scanned. It tests the plumbing and says
# nothing of clinical accuracy.
name: {name}
dicom: [dicom]
labels: labels.csv
cores: 1  # the hospitals share a machine, and each is prepared in a process of its own
minimum_cohort: 1  # nobody's privacy is at stake here; a real site keeps the defaults, 10 and 5
minimum_class: 1
groups: scanner
"""


@dataclass(frozen=True)
class PhantomSettings:
    """A federation of synthetic hospitals; raises SettingsError for what cannot be drawn."""

    hospitals: int = 4
    studies: int = 24  # a hospital
    slices: int = 24  # a study
    matrix: int = 256  # rows and columns of a slice
    seed: int = 0
    prevalence: float = 0.5  # share of a hospital's studies with hemorrhage
    first: int = 1  # number of the first hospital: others' scanners and patients than those before it

    @property
    def numbers(self) -> range:
        """Hospitals from 0, as their scanners are counted."""
        return range(self.first - 1, self.first - 1 + self.hospitals)

    def __post_init__(self) -> None:
        for name, least in (("hospitals", 1), ("first", 1), ("studies", 1), ("slices", 8), ("matrix", 48)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name}: at least {least} is needed; received {getattr(self, name)}.")
        if self.matrix % 2:
            raise SettingsError(f"matrix: an even number of rows and columns is needed; received {self.matrix}.")
        if not 0 <= self.prevalence <= 1:
            raise SettingsError(f"prevalence: a share between 0 and 1 is needed; received {self.prevalence}.")


@dataclass(frozen=True)
class _Plan:
    """One study that is to be drawn."""

    hospital: int
    index: int
    patient: int
    positive: bool

    @property
    def site(self) -> str:
        return _site_name(self.hospital)

    @property
    def name(self) -> str:
        return f"study-{self.index + 1:04d}"


def write_federation(out: Path, settings: PhantomSettings, workers: int, on_study: Callable[[], None]) -> list[Path]:
    """Draw every hospital below `out` and return their folders in the order of their numbers.

    The studies are drawn in `workers` processes of one thread each; the bytes do not depend on how many. `on_study`
    is called here as each study is done. Nothing is left at `out` unless all of it is there.

    Raises DataError where `out` holds something already or cannot be written.
    """
    target = out.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise DataError(f"{out}: there is something here already; remove it or choose another folder.")
        for site in map(_site_name, settings.numbers):
            for room in ("dicom", "masks"):
                (partial / site / room).mkdir(parents=True)
        rows = _draw_all(partial, settings, workers, on_study)
        for site in map(_site_name, settings.numbers):
            _describe(partial / site, settings, [row for plan, row in rows.items() if plan.site == site])
        partial.replace(target)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror}); choose a folder you may write to.") from error
    except BrokenProcessPool as error:
        raise DataError(f"{out}: a drawing process was killed; ask for fewer workers or a smaller matrix.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [out / _site_name(hospital) for hospital in settings.numbers]


def _site_name(hospital: int) -> str:
    return f"hospital-{hospital + 1}"


def _draw_all(
    root: Path, settings: PhantomSettings, workers: int, on_study: Callable[[], None]
) -> dict[_Plan, tuple[str, ...]]:
    """Rows of the label tables by plan, in the order of the plans."""
    plans = [plan for hospital in settings.numbers for plan in _plans(hospital, settings)]
    # Spawned, for a forked copy of a process whose libraries run threads may hang.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        futures = {pool.submit(_write_study, root, settings, plan): plan for plan in plans}
        rows = {}
        for future in as_completed(futures):
            rows[futures[future]] = future.result()
            on_study()
    finally:
        pool.shutdown(cancel_futures=True)
    return {plan: rows[plan] for plan in plans}


def _plans(hospital: int, settings: PhantomSettings) -> Iterator[_Plan]:
    """The studies of one hospital: as many positives as the prevalence says, in random order."""
    positives = round(settings.prevalence * settings.studies)
    order = _generator(settings, _site_name(hospital), "order").permutation(settings.studies)
    for index, rank in enumerate(order.tolist()):
        again = index % _STUDIES_A_RETURN == _STUDIES_A_RETURN - 1
        yield _Plan(hospital, index, patient=index - 1 if again else index, positive=rank < positives)


def _generator(settings: PhantomSettings, *names: str | int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(settings.seed, *names))


def _start_worker() -> None:
    """One thread a process; and an interrupt is the parent's to handle, which ends its workers."""
    threadpool_limits(1)  # type: ignore[no-untyped-call]
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write_study(root: Path, settings: PhantomSettings, plan: _Plan) -> tuple[str, ...]:
    """Draw and write one study; returns its row of the label table."""
    habits = _scanner(settings, plan)
    rng = _generator(settings, plan.site, "study", plan.index)
    head = draw_head(_generator(settings, plan.site, "patient", plan.patient))
    study = draw_study(rng, habits, settings.slices, settings.matrix, plan.positive, head)
    identity = Identity(
        patient_id=f"H{plan.hospital + 1}-P{plan.patient + 1:04d}",
        institution=plan.site,
        names=(str(settings.seed), plan.site, plan.name),
    )
    folder = root / plan.site / "dicom" / plan.name
    folder.mkdir()
    write_dicom(folder, study, habits, identity, rng)
    mask = f"masks/{plan.name}.nii.gz" if any(study.labels) else ""
    if mask:
        write_mask(root / plan.site / mask, study)
    return (identity.study_uid, *map(str, study.labels), mask)


def _scanner(settings: PhantomSettings, plan: _Plan) -> ScannerHabits:
    return scanner_of(plan.hospital, _generator(settings, plan.site, "scanner"))


def _describe(folder: Path, settings: PhantomSettings, rows: list[tuple[str, ...]]) -> None:
    """The label table and the site file of one hospital."""
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LABEL_COLUMNS)
        writer.writerows(rows)
    (folder / "site.yaml").write_text(_SITE_YAML.format(seed=settings.seed, name=folder.name))
