"""Pooling what the sites counted: all of it merges by addition, so pooling hospitals equals pooling patients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram, summary
from strategies.records import SiteEvaluation


@dataclass(frozen=True)
class PooledEvaluation:
    """One split of all sites. `withheld` names the sites that gave no counts, with their codes."""

    sites: Mapping[str, SiteEvaluation]
    withheld: Mapping[str, str]

    def pooled(self) -> dict[str, ScoreHistogram]:
        """Summed histogram of each class."""
        parts = self.sites.values()
        return {name: sum((part.histograms[name] for part in parts), start=ScoreHistogram.empty()) for name in CLASSES}

    def dice(self) -> float | None:
        """Mean Dice of the studies that hold drawn blood, or None where there are none."""
        studies = sum(part.dice_studies for part in self.sites.values())
        return sum(self.sites[name].dice_sum for name in sorted(self.sites)) / studies if studies else None

    def as_metrics(self) -> dict[str, Any]:
        """What `metrics.json` holds of this split."""
        sites: dict[str, Any] = {
            name: {kind: summary(histogram) for kind, histogram in part.histograms.items()}
            for name, part in sorted(self.sites.items())
        }
        sites |= {name: {"withheld": code} for name, code in sorted(self.withheld.items())}
        pooled = self.pooled()
        return {
            "pooled": {name: summary(histogram) for name, histogram in pooled.items()},
            "sites": sites,
            "dice": self.dice(),
            "histograms": {
                name: {"positives": histogram.positives.tolist(), "negatives": histogram.negatives.tolist()}
                for name, histogram in pooled.items()
            },
        }
