"""Several runs side by side: one line each, and whether their figures can be compared at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bloodnet_model.run_metrics import AucRecord, OperatingRecord, RunMetrics, load_metrics
from server.report.answer import Shown, shown_of
from server.wording import counted


@dataclass(frozen=True)
class RunLine:
    """What the table of runs says of one; None where the run does not know it (yet).

    seconds: of all its rounds together
    operating: the first threshold's rates
    """

    name: str
    metrics: RunMetrics
    shown: Shown | None
    seconds: float

    @property
    def record(self) -> AucRecord | None:
        return self.shown.record if self.shown else None

    @property
    def operating(self) -> OperatingRecord | None:
        return self.shown.evaluation.operating[0] if self.shown and self.shown.evaluation.operating else None

    @property
    def expected_error(self) -> float | None:
        calibration = self.shown.evaluation.calibration if self.shown else None
        return calibration.as_scored.expected_error if calibration else None


def load_runs(folders: Sequence[Path]) -> dict[str, RunMetrics]:
    """Metrics by the shortest name that tells the runs apart: the run's own, its folder's, or the whole path.

    Raises DataError where a folder holds no run.
    """
    loaded = [(folder, load_metrics(folder)) for folder in folders]
    namings = (
        [metrics.run.name for _, metrics in loaded],
        [folder.resolve().name for folder, _ in loaded],
        [str(folder) for folder, _ in loaded],
    )
    names = next(names for names in namings if len(set(names)) == len(names))
    return {name: metrics for name, (_, metrics) in zip(names, loaded, strict=True)}


def run_lines(runs: Mapping[str, RunMetrics]) -> list[RunLine]:
    return [
        RunLine(name, metrics, shown_of(metrics), sum(entry.seconds for entry in metrics.rounds))
        for name, metrics in runs.items()
    ]


def warnings(lines: Sequence[RunLine]) -> list[str]:
    """What forbids to set these runs beside each other without a second thought."""
    said = []
    splits = {line.shown.split for line in lines if line.shown}
    if len(splits) > 1:
        said.append("Some runs are not finished: validation stands beside test.")
    if not _same_patients(lines):
        said.append("These runs count different studies or positives: their AUCs are of other patients each.")
    if len({line.metrics.run.data for line in lines}) > 1:
        said.append("The runs name different data.")
    return said


def headline_of(lines: Sequence[RunLine]) -> str:
    """Which run ranks best, with what that is worth."""
    known = {line.name: line.record.auc for line in lines if line.record and line.record.auc is not None}
    if not known:
        return f"{counted(len(lines), 'run')} side by side; none has an AUC yet"
    if not _same_patients(lines):
        return f"{counted(len(lines), 'run')} side by side, not scored on the same patients"
    best = max(known, key=known.__getitem__)
    return f"{counted(len(lines), 'run')} side by side; the highest AUC is {known[best]:.3f} ({best})"


def _same_patients(lines: Sequence[RunLine]) -> bool:
    """As far as counts can tell: as many studies and positives, of the same split."""
    return (
        len(
            {
                (line.shown.split, line.record.studies, line.record.positives)
                for line in lines
                if line.shown and line.record
            }
        )
        <= 1
    )
