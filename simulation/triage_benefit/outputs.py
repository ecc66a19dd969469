"""What a triage simulation leaves behind: its page, its picture, and the same as numbers."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bloodnet_model.files import write_whole
from bloodnet_model.metrics import summary
from simulation.triage_benefit.benefit import Benefit
from simulation.triage_benefit.figures import sheet_png, sheet_svg
from simulation.triage_benefit.page import benefit_html

NAME: Final = "triage-benefit"


def write_outputs(benefit: Benefit, folder: Path) -> list[Path]:
    """Page, PNG and SVG in a folder that is there, in place of earlier ones; returns their paths.

    Equal arguments give equal bytes.
    """
    contents: dict[str, bytes | str] = {
        "html": benefit_html(benefit),
        "png": sheet_png(benefit),
        "svg": sheet_svg(benefit),
    }
    paths = [folder / f"{NAME}.{kind}" for kind in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_whole(path, content)
    return paths


def to_json(benefit: Benefit) -> dict[str, Any]:
    """Minutes by policy, group and measure, with what they rest on; `within_30` is a share, not minutes."""
    settings, classifier = benefit.settings, benefit.classifier
    return {
        "settings": {**settings.model_dump(), "warm_up_days": settings.margin_days},
        "utilisation": settings.utilisation,
        "classifier": {
            "source": classifier.source,
            "synthetic": classifier.synthetic,
            "sensitivity": classifier.sensitivity,
            "specificity": classifier.specificity,
            "test_set": summary(classifier.test_set) if classifier.test_set else None,
        },
        "studies": benefit.studies,
        "policies": {
            policy: {group: asdict(outcome) for group, outcome in outcomes.items()}
            for policy, outcomes in benefit.outcomes.items()
        },
    }
