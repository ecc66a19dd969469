"""docs/metrics.md lists every key of metrics.json, and no other."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from bloodnet_model import run_metrics

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
MODELS = {
    name: model
    for name, model in vars(run_metrics).items()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == run_metrics.__name__
}


def documented(name: str) -> list[str]:
    """Keys of the table under the heading `name`; a ² behind one says that schema 1 lacked it."""
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`.*?)\|", section[1] if section else "", re.MULTILINE)
    return [key for cell in cells for key in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith("_")])
def test_every_key_is_documented(name: str) -> None:
    fields = MODELS[name].model_fields
    assert documented(name) == [field.alias or key for key, field in fields.items()]


def test_every_heading_is_a_type() -> None:
    assert set(re.findall(r"^## (\w+)$", TEXT, re.MULTILINE)) == {name for name in MODELS if not name.startswith("_")}


def test_the_number_is_that_of_the_code() -> None:
    assert f"`schema` is {run_metrics.SCHEMA}." in TEXT
