"""The model card of runs with gaps."""

from typing import Any

import numpy as np
import pytest

from bloodnet_model.metrics import ScoreHistogram, summary
from bloodnet_model.operating_point import Share
from bloodnet_model.run_metrics import RunMetrics
from bloodnet_model.settings import ModelSettings
from client.exported import Manifest
from client.model_card import agreement_in_words, cell, data_in_words, model_card, share_in_words
from client.run_record import validation_point
from tests.client.test_export import record


def card(settings: ModelSettings, sensitivity: float = 0.95, **changes: Any) -> str:
    known = RunMetrics.model_validate(record(settings, **changes))
    manifest = Manifest(
        schema=1,
        format="torchscript",
        preset=settings.preset,
        link=settings.network.link,
        preprocessing=settings.preprocessing,
        neighbours=settings.network.neighbours,
        weights="ab" * 32,
        data=known.run.data,
        operating_point=validation_point(known, sensitivity),
        difference=0.0,
        files={"slices.pt": "", "study.pt": ""},
    )
    return model_card(manifest, settings, 1234567, known, "0.1.0")


def test_what_the_card_says_of_a_whole_run(small: ModelSettings) -> None:
    text = card(
        small,
        partition={
            "a": {"studies": 12, "patients": 12, "findings": {}, "labels": {"study": 12, "slice": 0, "mask": 5}}
        },
    )
    assert "say nothing of clinical accuracy" in text
    assert "| parameters | 1,234,567 |" in text
    assert "| a | 7 (3) | 0 (0) | 0 (0) | study 12, mask 5 |" in text
    assert "probabilities equal to PyTorch's" in text
    assert "Mean Dice of the blood in test studies that have it drawn: 0.50." in text
    assert "| a | 40 | 20 |" in text
    assert text.count("(used)") == 1
    assert "{{" not in text
    assert "None" not in text


def test_real_patients_are_not_called_synthetic(small: ModelSettings) -> None:
    run = {**record(small)["run"], "data": "cq500"}
    text = card(small, run=run)
    assert "ynthetic" not in text
    assert "promise nothing for others" in text


def test_undefined_and_withheld_are_said_as_such(small: ModelSettings) -> None:
    nobody = summary(ScoreHistogram.from_scores([0.2, 0.4], [0, 0]))
    test = {"pooled": {"any": nobody}, "sites": {"a": {"withheld": "below-minimum-cohort"}}, "histograms": {}}
    text = card(small, test=test)
    assert "| any | 2 | 0 | undefined | no positive study among 2 |" in text
    assert "no counts given: below-minimum-cohort" in text
    assert "| unknown | unknown |" in text  # test rates of each threshold
    assert "Dice" not in text


def test_a_run_before_its_test_says_so(small: ModelSettings) -> None:
    assert "Unknown: the run has not tested it yet." in card(small, test=None)
    assert "Unknown: the run kept no scores of validation patients" in card(small, validation=None)


def test_held_out_sets_have_tables_of_their_own(small: ModelSettings) -> None:
    scored = record(small)["test"]
    text = card(small, held_out={"test-random": scored})
    assert "test-random, a test set of its own, by class:" in text


def test_another_sensitivity_has_a_line(small: ModelSettings) -> None:
    lines = [line for line in card(small, 0.85).splitlines() if line.startswith("| 0.")]
    assert [line.split(" | ")[0] for line in lines] == ["| 0.8", "| 0.85 (used)", "| 0.9", "| 0.95", "| 0.99"]
    thresholds = [float(line.split(" | ")[1]) for line in lines]
    assert thresholds == sorted(thresholds, reverse=True)
    assert np.ptp(thresholds) > 0


@pytest.mark.parametrize(("text", "shown"), [("a|b", "a/b"), ("<b>`x`\n# y", "‹b>'x' # y")])
def test_what_comes_from_elsewhere_stays_in_its_cell(text: str, shown: str) -> None:
    assert cell(text) == shown


def test_in_words() -> None:
    assert share_in_words(Share(42, 45)) == "0.93 (42 of 45; 0.82 to 0.98)"
    assert share_in_words(Share(0, 0)) == "nobody"
    assert agreement_in_words(6.2e-8) == "within 6e-08 of PyTorch's in float32"
    assert data_in_words(None) == "unknown data"
    assert data_in_words("cq500") == "cq500"
