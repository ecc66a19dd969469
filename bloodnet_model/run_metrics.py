"""`metrics.json` of a run folder, as typed and frozen models; what this version does not know is ignored.

The schema is described in docs/metrics.md. Schema 1 lacked all fields that have a default here.
"""

import json
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram

METRICS: Final = "metrics.json"
SCHEMA: Final = 2
SYNTHETIC: Final = "synthetic"
"""What a run calls its data where one drawn head is among them."""

FEDERATED: Final = "federated"
"""How the run's last weights are called where they are compared."""
ALL: Final = "all"
ELSEWHERE: Final = "others than "
"""In a comparison, patients are `all`, a site's by its name, or those of all others: this and its name."""

SiteStatus = Literal["ok", "refused", "not-asked", "set-aside"]
OK: Final = "ok"
REFUSED: Final = "refused"
NOT_ASKED: Final = "not-asked"
SET_ASIDE: Final = "set-aside"
"""What a round made of a site: its update counted, did not, or was not asked for."""
NO_ANSWER: Final = "no-answer"
"""The reason of a site that said nothing before the deadline."""


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
    auprc: float | None = None
    auprc_low: float | None = None
    auprc_high: float | None = None


class Withheld(_Entry):
    """A site that gave no counts, and the code of why."""

    withheld: str


SiteScores = dict[str, AucRecord] | Withheld


class Counts(_Entry):
    """One pooled score histogram, bin by bin; `coarse_*` are those of its counts that are known by block alone."""

    positives: list[int]
    negatives: list[int]
    coarse_positives: list[int] | None = None
    coarse_negatives: list[int] | None = None

    def histogram(self) -> ScoreHistogram:
        return ScoreHistogram(**self.model_dump(exclude_none=True))


class WithinHospital(_Entry):
    """What a typical hospital's own AUC is: another quantity than the pooled one. `tau` is on the logit scale."""

    auc: float | None
    auc_low: float | None
    auc_high: float | None
    tau: float | None
    hospitals: int
    undefined: str | None = None


class Proportion(_Entry):
    """So many of so many, with Wilson's interval; no value where there is nobody."""

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None


class RatesRecord(_Entry):
    """What a threshold does."""

    sensitivity: Proportion
    specificity: Proportion
    ppv: Proportion
    npv: Proportion


class AtPrevalence(_Entry):
    """Predictive values where another share of the patients bleeds, from the pooled sensitivity and specificity."""

    prevalence: float
    ppv: float | None
    npv: float | None


class OperatingRecord(_Entry):
    """A threshold chosen on validation patients for a target, and what it does to them and to test patients."""

    target: Literal["sensitivity", "specificity"]
    wanted: float
    threshold: float
    chosen_on: RatesRecord
    pooled: RatesRecord
    sites: dict[str, RatesRecord] = {}
    at_prevalence: list[AtPrevalence] = []


class ReliabilityBin(_Entry):
    """Studies whose score lies from `low` to `high`: what they were told, and how many bled."""

    low: float
    high: float
    studies: int
    positives: int
    mean_score: float


class CalibrationRecord(_Entry):
    """How far scores are probabilities."""

    brier: float
    expected_error: float
    bins: list[ReliabilityBin] = []


class Calibration(_Entry):
    """Of the scores as they are, and after logit / temperature + bias, both fitted on validation patients."""

    as_scored: CalibrationRecord
    temperature: float | None
    bias: float | None
    recalibrated: CalibrationRecord | None
    sites: dict[str, CalibrationRecord] = {}


class VolumeAgreement(_Entry):
    """Segmented minus drawn blood in ml: the mean difference, and the limits within which 95 % of studies lie."""

    studies: int
    mean_difference_ml: float
    low_ml: float | None
    high_ml: float | None


class Segmentation(_Entry):
    """How good the masks are, and whether the two heads say the same; shares of nobody are None.

    false_positive_ml:    mean volume outlined in studies without hemorrhage
    called_without_mask:  of `called` studies (score at the threshold or above), how many have an empty mask
    mask_without_call:    of `not_called` studies, how many have a mask
    """

    dice: float | None
    dice_studies: int
    false_positive_ml: float | None
    negatives: int
    volume: VolumeAgreement | None = None
    threshold: float | None = None
    called: int | None = None
    called_without_mask: int | None = None
    not_called: int | None = None
    mask_without_call: int | None = None


class Evaluation(_Entry):
    """One split, by class: all sites together and each alone; of `groups` any hemorrhage alone."""

    pooled: dict[str, AucRecord]
    sites: dict[str, SiteScores] = {}
    groups: dict[str, AucRecord] = {}
    within_hospital: WithinHospital | None = None
    operating: list[OperatingRecord] = []
    calibration: Calibration | None = None
    segmentation: Segmentation | None = None
    dice: float | None = None
    histograms: dict[str, Counts] = {}

    @property
    def any_hemorrhage(self) -> AucRecord:
        return self.pooled[CLASSES[0]]

    def histogram_of_any(self) -> ScoreHistogram | None:
        """Scores of hemorrhage of any kind; None where the run kept none."""
        counts = self.histograms.get(CLASSES[0])
        return counts.histogram() if counts else None


class PairedRecord(_Entry):
    """AUC of one model minus that of another on the same patients, any hemorrhage.

    patients: whose they are, see `ALL` and `ELSEWHERE`
    margin:   non-inferiority margin; `not_inferior` where the interval lies above minus it
    """

    first: str
    second: str
    patients: str
    studies: int
    auc_first: float | None
    auc_second: float | None
    delta: float | None
    low: float | None
    high: float | None
    margin: float
    not_inferior: bool | None
    undefined: str | None = None


class CrossSite(_Entry):
    """AUC of each model (a row, by its name) on each site's test patients (by the site's name)."""

    rows: dict[str, dict[str, AucRecord]]


class SiteRound(_Entry):
    """What one site did in one round; `reason` is set where it was lost.

    status:     `not-asked` where the round's draw left it out, `set-aside` after three refusals in a row, until the
                coordinator admits it again
    seconds:    of its local training by the site's clock
    answered_s: from the question to its answer by the coordinator's clock
    norm:       L2 norm of its weights minus the round's
    """

    status: SiteStatus
    studies: int | None = None
    steps: int | None = None
    loss: float | None = None
    seconds: float | None = None
    reason: str = ""
    answered_s: float | None = None
    norm: float | None = None


class Round(_Entry):
    """One finished round."""

    round: int
    seconds: float
    seconds_evaluate: float | None = None
    sites: dict[str, SiteRound]
    train_loss: float | None
    validation: Evaluation
    dice: float | None = None
    readmitted: list[str] = []


class RoundValue(_Entry):
    """What a metric of validation was in a round."""

    round: int
    value: float | None


class Selection(_Entry):
    """Which round's model the run ends with, and how it stands to the other one.

    metric:         its name in `server.selection.METRICS`
    planned_rounds: how many were asked for; fewer were done where it `stopped_early`, after `patience` rounds without
                    improvement
    """

    metric: str
    chosen: Literal["last", "best"]
    last: RoundValue
    best: RoundValue | None
    stopped_early: bool
    patience: int
    planned_rounds: int


class Forecast(_Entry):
    """When the rounds will be over, and which deadline would do; see `server.forecast`. `ends_at` is ISO 8601."""

    seconds_a_round: float
    ends_at: str | None
    slowest: str | None
    slowest_s: float | None
    deadline_s: float | None


class Run(_Entry):
    """What was run; `versions` are those of the software at the coordinator, `start` what it began from.

    minimum_sites: usable updates that a round needs
    deadline_s:    longest wait for the answers of one step
    participation: share of the sites that is asked in a round
    local_steps:   of a site in a round, where steps and not epochs were set
    """

    name: str
    data: str
    strategy: str
    rounds: int
    preset: str
    link: str
    parameters: int
    seed: int
    strategy_parameters: dict[str, float | int | str] = {}
    start: str = ""
    versions: dict[str, str] = {}
    minimum_sites: int | None = None
    deadline_s: float | None = None
    participation: float | None = None
    local_steps: int | None = None


class Site(_Entry):
    """What a site said of its data: studies by split, ledger lines by kind and reason; and its software's version."""

    counts: dict[str, int] = {}
    ledger: dict[str, int] = {}
    version: str = ""


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

    validation:  of the last round's weights, with the histograms that its line in `rounds` leaves out
    test:        None until the last round is done
    held_out:    test sets of their own
    comparisons: paired, of the last weights with other models
    cross_site:  of models that one hospital trained alone, where the run had them trained
    selection:   None before the end of round 1
    forecast:    None before the end of round 1
    """

    version: Literal[1, 2] = Field(alias="schema")
    run: Run
    sites: dict[str, Site]
    not_admitted: dict[str, str] = {}
    rounds: list[Round]
    validation: Evaluation | None = None
    test: Evaluation | None
    held_out: dict[str, Evaluation] = {}
    comparisons: list[PairedRecord] = []
    cross_site: CrossSite | None = None
    baselines: dict[str, Baseline] = {}
    partition: dict[str, Share] = {}
    selection: Selection | None = None
    forecast: Forecast | None = None


def load_metrics(run_folder: Path) -> RunMetrics:
    """The metrics of `run_folder`; raises DataError, naming file and entry, where they are missing or damaged."""
    path = run_folder / METRICS
    try:
        return RunMetrics.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"{run_folder}: holds no {METRICS}; give the folder of a run.") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (OSError, ValueError) as error:
        what = type(error).__name__
    raise DataError(f"{path}: cannot be read ({what}); put the run's own file back, or work without it.")
