"""`metrics.json` of a run folder, as typed and frozen models; what this version does not know is ignored."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from server.run_folder import METRICS, read_metrics


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)


class AucRecord(_Entry):
    """What `bloodnet_model.metrics.summary` says of one histogram."""

    studies: int
    positives: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    error_bound: float | None
    undefined: str | None


class Withheld(_Entry):
    """A site that gave no counts, and the code of why."""

    withheld: str


SiteScores = dict[str, AucRecord] | Withheld


class Counts(_Entry):
    """One pooled score histogram, bin by bin."""

    positives: list[int]
    negatives: list[int]


class Evaluation(_Entry):
    """One split, by class: all sites together and each alone."""

    pooled: dict[str, AucRecord]
    sites: dict[str, SiteScores] = {}
    dice: float | None = None
    histograms: dict[str, Counts] = {}

    @property
    def any_hemorrhage(self) -> AucRecord:
        return self.pooled[CLASSES[0]]


class SiteRound(_Entry):
    """What one site did in one round; `reason` is set where it was lost."""

    status: str
    studies: int | None = None
    loss: float | None = None
    reason: str = ""


class Round(_Entry):
    """One finished round."""

    round: int
    seconds: float
    sites: dict[str, SiteRound]
    train_loss: float | None
    validation: Evaluation
    dice: float | None = None


class Run(_Entry):
    """What was run."""

    name: str
    data: str
    strategy: str
    rounds: int
    preset: str
    link: str
    parameters: int
    seed: int


class Site(_Entry):
    """What a site said of its data: studies by split, ledger lines by kind and reason."""

    counts: dict[str, int] = {}
    ledger: dict[str, int] = {}


class Share(_Entry):
    """What a simulation's partition gave one virtual hospital.

    findings: studies by kind of hemorrhage, `none` and `unknown` among them; one study may have several
    labels:   studies by what their labels are of: study, slice, mask
    tests:    the test set that all of them are in, if nobody trains on them
    """

    studies: int
    patients: int
    findings: dict[str, int]
    labels: dict[str, int]
    tests: str = ""


class Baseline(_Entry):
    """Another way of training on the same patients."""

    test: Evaluation
    held_out: dict[str, Evaluation] = {}
    steps: int | None = None
    note: str = ""


class RunMetrics(_Entry):
    """All of `metrics.json`.

    validation: of the last round's weights, with the histograms that its line in `rounds` leaves out
    test:       None until the last round is done
    held_out:   test sets of their own
    """

    version: Literal[1] = Field(alias="schema")
    run: Run
    sites: dict[str, Site]
    not_admitted: dict[str, str] = {}
    rounds: list[Round]
    validation: Evaluation | None = None
    test: Evaluation | None
    held_out: dict[str, Evaluation] = {}
    baselines: dict[str, Baseline] = {}
    partition: dict[str, Share] = {}


def load_metrics(run_folder: Path) -> RunMetrics:
    """The metrics of `run_folder`; raises DataError, naming file and entry, where they are missing or damaged."""
    try:
        return RunMetrics.model_validate(read_metrics(run_folder))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{run_folder / METRICS}: {place}: {first['msg']}; report with the version of BloodNet that made the run."
        ) from None
