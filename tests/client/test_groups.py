"""A scanner's name as one safe word: it travels, so nothing else of a header may come with it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.study import GROUP_NAME
from client.groups import scanner_group


@pytest.mark.parametrize(
    ("manufacturer", "model", "group"),
    [
        ("GE MEDICAL SYSTEMS", "Revolution CT", "ge-revolution-ct"),
        ("SIEMENS", "SOMATOM Definition AS+", "siemens-somatom-definition-as"),
        ("Siemens Healthineers", "SOMATOM Force", "siemens-somatom-force"),
        ("Philips", "Philips CT 5000", "philips-ct-5000"),
        ("TOSHIBA_MEC", "Aquilion ONE", "toshiba-aquilion-one"),
        ("", "BrightSpeed", "brightspeed"),
        ("NeuroLogica", "", "neurologica"),
        ("Medical Systems", "", "unknown"),
        ("", "", "unknown"),
        ("\u6771\u829d", "\xe9", "unknown"),
        ("A" * 31, "Model", "a" * 31),
        ("Health", "System One", "system-one"),
    ],
)
def test_names_of_makers_and_models(manufacturer: str, model: str, group: str) -> None:
    assert scanner_group(manufacturer, model) == group


@given(st.text(), st.text())
def test_every_name_may_travel(manufacturer: str, model: str) -> None:
    assert re.fullmatch(GROUP_NAME, scanner_group(manufacturer, model))
