"""`model-card.md`: what a model is, whom it was trained and tested on, at which thresholds, and what it is not for."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version as version_of
from typing import Final

from jinja2 import Environment, StrictUndefined

from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.operating_point import Rates, Share, rates_at
from bloodnet_model.run_metrics import SYNTHETIC, AucRecord, RunMetrics, Withheld
from bloodnet_model.settings import ModelSettings
from bloodnet_model.splits import DEALT
from client.exported import FORMATS, Manifest
from client.model_card_template import CARD
from client.run_record import validation_point

SENSITIVITIES: Final = (0.80, 0.90, 0.95, 0.99)

_LIBRARIES: Final = {"onnx": ("torch", "onnx"), "openvino": ("torch", "openvino"), "torchscript": ("torch",)}
_NO_RUN: Final = "the model did not lie in its run's folder as the run's last weights when it was exported."


def model_card(
    manifest: Manifest, settings: ModelSettings, parameters: int, record: RunMetrics | None, version: str
) -> str:
    """The card's text; equal models and runs give equal text."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["cell"] = cell
    libraries = ", ".join(f"{name} {version_of(name)}" for name in _LIBRARIES[manifest.format])
    return environment.from_string(CARD).render(
        manifest=manifest,
        settings=settings,
        grid=settings.preprocessing,
        windows=", ".join(f"{low:g} to {high:g}" for low, high in settings.preprocessing.windows_hu),
        parameters=parameters,
        runtime=FORMATS[manifest.format],
        graphs=", ".join(f"`{name}`" for name in manifest.files),
        agreement=agreement_in_words(manifest.difference),
        version=version,
        libraries=libraries,
        record=record,
        data=data_in_words(record.run.data if record else None),
        caution=_caution(record),
        why_unknown=_NO_RUN,
        sites=list(_sites(record)) if record else [],
        evaluations=list(_evaluations(record)) if record else [],
        why_untested="the run has not tested it yet." if record else _NO_RUN,
        dice=record.test.dice if record and record.test else None,
        thresholds=list(_thresholds(record, manifest)) if record and manifest.operating_point else [],
        why_no_threshold="the run kept no scores of validation patients with hemorrhage." if record else _NO_RUN,
    )


def data_in_words(data: str | None) -> str:
    """What a run calls its data, said so that nobody takes synthetic heads for patients."""
    if data is None:
        return "unknown data"
    if data == SYNTHETIC:
        return "synthetic heads, drawn by a program"
    return {"hospitals": "the hospitals' own studies", "folder": "site folders, whose origin is unknown"}.get(
        data, data
    )


def _caution(record: RunMetrics | None) -> str:
    if record is None:
        return "Whom it was trained on is unknown, so nothing is known of its accuracy."
    if record.run.data == SYNTHETIC:
        return "It was trained and tested on synthetic heads: its figures say nothing of clinical accuracy."
    return "Its figures hold for the patients it was tested on, and promise nothing for others."


@dataclass(frozen=True)
class SiteLine:
    name: str
    splits: list[str]
    labels: str


def _sites(record: RunMetrics) -> Iterator[SiteLine]:
    for name, site in record.sites.items():
        cells = [
            f"{site.counts.get(f'{split}-studies', 0)} ({site.counts.get(f'{split}-positive', 0)})" for split in DEALT
        ]
        share = record.partition.get(name)
        kinds = ", ".join(f"{kind} {count}" for kind, count in share.labels.items() if count) if share else ""
        yield SiteLine(cell(name), cells, kinds)


@dataclass(frozen=True)
class AucLine:
    name: str
    studies: str
    positives: str
    auc: str
    interval: str


@dataclass(frozen=True)
class EvaluationPart:
    title: str
    by: str
    rows: list[AucLine]


def _evaluations(record: RunMetrics) -> Iterator[EvaluationPart]:
    if record.test is None:
        return
    rows = [_auc_line(name, auc) for name, auc in record.test.pooled.items()]
    yield EvaluationPart("Test patients of all sites together, by class", "class", rows)
    sites = [_site_line(name, scores) for name, scores in record.test.sites.items()]
    yield EvaluationPart("Test patients of each site, hemorrhage of any kind", "site", sites)
    for name, scores in record.held_out.items():
        lines = [_auc_line(kind, auc) for kind, auc in scores.pooled.items()]
        yield EvaluationPart(f"{name}, a test set of its own, by class", "class", lines)


def _site_line(name: str, scores: dict[str, AucRecord] | Withheld) -> AucLine:
    if isinstance(scores, Withheld):
        return AucLine(cell(name), "", "", f"no counts given: {cell(scores.withheld)}", "")
    return _auc_line(name, scores["any"])


def _auc_line(name: str, auc: AucRecord) -> AucLine:
    value = "undefined" if auc.auc is None else f"{auc.auc:.3f}"
    known = auc.auc_low is not None and auc.auc_high is not None
    why = (auc.undefined or "").partition(": ")[2].rstrip(".")  # of `the AUC is undefined: no positive study among 9.`
    interval = f"{auc.auc_low:.3f} to {auc.auc_high:.3f}" if known else cell(why or "undefined")
    return AucLine(cell(name), str(auc.studies), str(auc.positives), value, interval)


@dataclass(frozen=True)
class ThresholdLine:
    wanted: str
    threshold: str
    cells: list[str]
    used: bool


def _thresholds(record: RunMetrics, manifest: Manifest) -> Iterator[ThresholdLine]:
    """The usual sensitivities and the one in use, each with what its threshold does to validation and test patients."""
    used = manifest.operating_point.wanted if manifest.operating_point else None
    test = record.test.histogram_of_any() if record.test else None
    for wanted in sorted({*SENSITIVITIES, *([used] if used else [])}):
        point = validation_point(record, wanted)
        if point is not None:
            cells = [*_rates(point.rates), *_rates_of(test, point.threshold)]
            yield ThresholdLine(f"{wanted:g}", f"{point.threshold:.4f}", cells, wanted == used)


def _rates_of(histogram: ScoreHistogram | None, threshold: float) -> list[str]:
    return ["unknown", "unknown"] if histogram is None else _rates(rates_at(histogram, threshold))


def _rates(rates: Rates) -> list[str]:
    return [share_in_words(rates.sensitivity), share_in_words(rates.specificity)]


def agreement_in_words(difference: float) -> str:
    """How far an export's probabilities are from PyTorch's in float32."""
    return "equal to PyTorch's" if not difference else f"within {difference:.0e} of PyTorch's in float32"


def share_in_words(share: Share) -> str:
    """`0.93 (42 of 45; 0.82 to 0.98)`."""
    if share.value is None:
        return "nobody"
    low, high = share.interval()
    return f"{share.value:.2f} ({share.count} of {share.of}; {low:.2f} to {high:.2f})"


def cell(text: str) -> str:
    """Text from elsewhere, fit for a cell of a Markdown table."""
    return " ".join(text.replace("|", "/").replace("`", "'").replace("<", "‹").split())
