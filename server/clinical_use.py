"""What scores are worth in use: thresholds and a calibration chosen on validation patients, then held to others."""

from dataclasses import dataclass
from typing import Any, Literal, Self

from bloodnet_model.calibration import calibration_record, fit, recalibrated
from bloodnet_model.errors import UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.operating_point import (
    OperatingPoint,
    operating_point,
    operating_point_for_specificity,
    predictive_values,
    rates_at,
)
from server.evaluation import ANY, PooledEvaluation
from server.settings import EvaluationSettings

Target = Literal["sensitivity", "specificity"]


@dataclass(frozen=True)
class ClinicalUse:
    """Of any hemorrhage. What cannot be chosen on the validation patients is not there.

    fitted: temperature and bias
    """

    points: dict[Target, OperatingPoint]
    fitted: tuple[float, float] | None
    settings: EvaluationSettings

    @classmethod
    def chosen_on(cls, validation: PooledEvaluation, settings: EvaluationSettings) -> Self:
        histogram = validation.pooled()[ANY]
        points: dict[Target, OperatingPoint] = {}
        try:
            points["sensitivity"] = operating_point(histogram, settings.target_sensitivity)
            points["specificity"] = operating_point_for_specificity(histogram, settings.target_specificity)
        except UndefinedMetric:
            pass  # without one class, there is no point; the pooled record says why
        try:
            return cls(points, fit(histogram), settings)
        except UndefinedMetric:
            return cls(points, None, settings)

    @property
    def threshold(self) -> float | None:
        """At which a study is called positive: that of the target sensitivity."""
        point = self.points.get("sensitivity")
        return point.threshold if point else None

    def held_to(self, evaluation: PooledEvaluation) -> dict[str, Any]:
        """`operating` and `calibration` of an evaluation in `metrics.json`."""
        histogram, sites = evaluation.pooled()[ANY], evaluation.of_any()
        return {
            "operating": [self._operating(target, point, histogram, sites) for target, point in self.points.items()],
            "calibration": self._calibration(histogram, sites) if histogram.studies else None,
        }

    def _operating(
        self, target: Target, point: OperatingPoint, histogram: ScoreHistogram, sites: dict[str, ScoreHistogram]
    ) -> dict[str, Any]:
        rates = rates_at(histogram, point.threshold)
        elsewhere = [(share, *predictive_values(rates, share)) for share in self.settings.prevalences]
        return {
            "target": target,
            "wanted": point.wanted,
            "threshold": point.threshold,
            "chosen_on": point.rates.as_record(),
            "pooled": rates.as_record(),
            "sites": {name: rates_at(one, point.threshold).as_record() for name, one in sites.items()},
            "at_prevalence": [{"prevalence": share, "ppv": ppv, "npv": npv} for share, ppv, npv in elsewhere],
        }

    def _calibration(self, histogram: ScoreHistogram, sites: dict[str, ScoreHistogram]) -> dict[str, Any]:
        temperature, bias = self.fitted or (None, None)
        told = recalibrated(histogram, *self.fitted) if self.fitted else None
        return {
            "as_scored": calibration_record(histogram),
            "temperature": temperature,
            "bias": bias,
            "recalibrated": None if told is None else calibration_record(histogram, told),
            "sites": {name: calibration_record(one) for name, one in sites.items() if one.studies},
        }
