"""Pooling what the sites counted: all of it merges by addition, so pooling hospitals equals pooling patients."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram, summary
from bloodnet_model.segmentation_sums import SegmentationSums
from bloodnet_model.within_hospital import within_hospital
from strategies.evaluation_records import SiteEvaluation

ANY: Final = CLASSES[0]


@dataclass(frozen=True)
class PooledEvaluation:
    """One split of all sites. `withheld` names the sites that gave no counts, with their codes."""

    sites: Mapping[str, SiteEvaluation]
    withheld: Mapping[str, str]

    def pooled(self) -> dict[str, ScoreHistogram]:
        """Summed histogram of each class."""
        parts = self.sites.values()
        return {name: sum((part.histograms[name] for part in parts), start=ScoreHistogram.empty()) for name in CLASSES}

    def groups(self) -> dict[str, ScoreHistogram]:
        """Summed histogram of any hemorrhage by group, those of one name at several sites together."""
        names = sorted({name for part in self.sites.values() for name in part.groups})
        return {
            name: sum(
                (part.groups[name] for part in self.sites.values() if name in part.groups), start=ScoreHistogram.empty()
            )
            for name in names
        }

    def segmentation(self) -> SegmentationSums:
        return sum((part.segmentation for part in self.sites.values()), start=SegmentationSums())

    def of_any(self) -> dict[str, ScoreHistogram]:
        """Histogram of any hemorrhage of each site, in the order of their names."""
        return {name: part.histograms[ANY] for name, part in sorted(self.sites.items())}

    def dice(self) -> float | None:
        """Mean Dice of the studies that hold drawn blood, or None where there are none."""
        sums = self.segmentation()
        return sums.dice_millionths / 1e6 / sums.dice_studies if sums.dice_studies else None

    def as_metrics(self, threshold: float | None = None) -> dict[str, Any]:
        """What `metrics.json` holds of this split; `threshold` is what the sites were asked about, if anything."""
        sites: dict[str, Any] = {
            name: {kind: summary(histogram) for kind, histogram in part.histograms.items()}
            for name, part in sorted(self.sites.items())
        }
        sites |= {name: {"withheld": code} for name, code in sorted(self.withheld.items())}
        pooled = self.pooled()
        return {
            "pooled": {name: summary(histogram) for name, histogram in pooled.items()},
            "sites": sites,
            "groups": {name: summary(histogram) for name, histogram in self.groups().items()},
            "within_hospital": within_hospital(self.of_any()),
            "segmentation": self.segmentation().as_record(threshold),
            "dice": self.dice(),
            "histograms": {name: _counts(histogram) for name, histogram in pooled.items()},
        }


def _counts(histogram: ScoreHistogram) -> dict[str, list[int]]:
    counts = {name: values.tolist() for name, values in asdict(histogram).items()}
    return {name: values for name, values in counts.items() if "coarse" not in name or any(values)}
