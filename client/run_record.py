"""What the run folder beside a model says of it, as far as the hospital's commands need it."""

from pathlib import Path
from typing import Final

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.operating_point import OperatingPoint, operating_point
from bloodnet_model.run_metrics import METRICS, RunMetrics, load_metrics
from bloodnet_model.settings import ModelSettings

MODEL: Final = "model.safetensors"


def record_of(model: Path, settings: ModelSettings) -> RunMetrics | None:
    """What the run says of its last weights, if `model` is these; None where no run lies beside it.

    Raises DataError where metrics.json is damaged, or of another run than the model.
    """
    path = model.parent / METRICS
    if not path.exists() or not _is_last_model(model):
        return None
    record = load_metrics(model.parent)
    theirs, ours = (record.run.preset, record.run.link), (settings.preset, settings.network.link)
    if theirs != ours:
        raise DataError(
            f"{path}: is of a run of {' and '.join(theirs)}, and {model.name} is {' and '.join(ours)}; "
            "put the model back into the folder of its own run."
        )
    return record


def validation_point(record: RunMetrics, sensitivity: float) -> OperatingPoint | None:
    """On the validation patients; None where the run kept no scores of them or none was positive."""
    histogram = record.validation.histogram_of_any() if record.validation else None
    try:
        return operating_point(histogram, sensitivity) if histogram else None
    except UndefinedMetric:
        return None


def _is_last_model(model: Path) -> bool:
    """Whether it is the run's `model.safetensors`, by whatever name: the run's figures are of no other."""
    last = model.parent / MODEL
    return model.name == MODEL or (last.exists() and last.read_bytes() == model.read_bytes())
