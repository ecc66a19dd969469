"""What the run folder beside a model says of it: `metrics.json`, as far as the hospital's commands need it."""

import json
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.operating_point import OperatingPoint, operating_point
from bloodnet_model.settings import ModelSettings

METRICS: Final = "metrics.json"
MODEL: Final = "model.safetensors"
SYNTHETIC: Final = "synthetic"
"""What a run calls its data where one drawn head is among them."""


class _Entry(BaseModel):
    """What this version does not know is ignored."""

    model_config = ConfigDict(frozen=True)


class Auc(_Entry):
    """What `bloodnet_model.metrics.summary` says of one histogram."""

    studies: int
    positives: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    undefined: str | None


class Withheld(_Entry):
    """A site that gave no counts, and the code of why."""

    withheld: str


class Counts(_Entry):
    """A score histogram, bin by bin."""

    positives: list[int]
    negatives: list[int]

    def histogram(self) -> ScoreHistogram:
        return ScoreHistogram(self.positives, self.negatives)  # type: ignore[arg-type]  # any array of counts


class Scores(_Entry):
    """One split, by class: all sites together, and each alone."""

    pooled: dict[str, Auc]
    sites: dict[str, dict[str, Auc] | Withheld] = {}
    dice: float | None = None
    histograms: dict[str, Counts] = {}

    def of_any(self) -> ScoreHistogram | None:
        """Scores of hemorrhage of any kind; None where the run kept none."""
        counts = self.histograms.get(CLASSES[0])
        return counts.histogram() if counts else None


class Run(_Entry):
    """What was run."""

    name: str
    data: str
    strategy: str
    rounds: int
    preset: str
    link: str
    seed: int
    start: str = ""


class SiteCounts(_Entry):
    """Studies of a site by split: `train-studies`, `train-positive`, and so on."""

    counts: dict[str, int] = {}


class Share(_Entry):
    """Studies by what their labels are of: study, slice, mask."""

    labels: dict[str, int] = {}


class RunRecord(_Entry):
    """All of `metrics.json` that matters here.

    validation: of the run's last weights; None in runs of versions that did not keep it
    """

    version: Literal[1] = Field(alias="schema")
    run: Run
    sites: dict[str, SiteCounts]
    rounds: list[dict[str, object]]
    test: Scores | None
    validation: Scores | None = None
    held_out: dict[str, Scores] = {}
    partition: dict[str, Share] = {}

    def operating_point(self, sensitivity: float) -> OperatingPoint | None:
        """On the validation patients; None where the run kept no scores of them or none was positive."""
        histogram = self.validation.of_any() if self.validation else None
        try:
            return operating_point(histogram, sensitivity) if histogram else None
        except UndefinedMetric:
            return None


def record_of(model: Path, settings: ModelSettings) -> RunRecord | None:
    """What the run says of its last weights, if `model` is these; None where no run lies beside it.

    Raises DataError where metrics.json is damaged, or of another run than the model.
    """
    path = model.parent / METRICS
    if not path.exists() or not _is_last_model(model):
        return None
    try:
        record = RunRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _damaged(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, ValueError) as error:
        raise _damaged(path, type(error).__name__) from None
    theirs, ours = (record.run.preset, record.run.link), (settings.preset, settings.network.link)
    if theirs != ours:
        raise DataError(
            f"{path}: is of a run of {' and '.join(theirs)}, and {model.name} is {' and '.join(ours)}; "
            "put the model back into the folder of its own run."
        )
    return record


def _is_last_model(model: Path) -> bool:
    """Whether it is the run's `model.safetensors`, by whatever name: the run's figures are of no other."""
    last = model.parent / MODEL
    return model.name == MODEL or (last.exists() and last.read_bytes() == model.read_bytes())


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path}: cannot be read ({what}); mend it, or move the model to a folder without it.")
