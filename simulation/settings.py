"""The settings of a simulated federation: where its hospitals come from, and those of the run itself."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import Field, ValidationInfo, field_validator

from bloodnet_model.errors import SettingsError
from bloodnet_model.settings import Settings, validated
from server.settings import FIRST, PREVIOUS, RunSettings, run_settings
from simulation.deals import DEALINGS
from simulation.public_data.registry import DATA_SETS

FOLDER: Final = "folder"
"""In place of a public data set: a site folder, or a folder of such."""
SYNTHETIC: Final = "synthetic"
NATURAL: Final = "natural"
PARTITIONS: Final = (NATURAL, *DEALINGS)
_NAME: Final = r"[^\W\d]\w*"
"""Pattern of a parameter's name."""


class DataSettings(Settings):
    """Where the virtual hospitals come from; kept in the `data` section of a run's config.yaml."""

    sources: dict[str, str] = Field({}, description="folder by data set, or by `folder`; synthetic heads unless given")
    held_out: dict[str, str] = Field({}, description="folder by data set on which nobody trains; none for synthetic")
    name: str = Field("", description="what the report calls the data; found out by each run")
    sites: int | None = Field(None, ge=1, description="virtual hospitals; 4 for synthetic heads, else as many as found")
    partition: str = Field("natural", description="how patients are dealt to sites, or a partition.csv to repeat")
    alpha: float = Field(0.5, gt=0, description="of dirichlet and quantity: the smaller, the more uneven")
    min_studies: int = Field(4, ge=1, description="fewest studies a site is dealt")
    studies: int = Field(110, ge=4, description="synthetic studies a hospital")
    slices: int = Field(24, ge=8)
    matrix: int = Field(96, ge=64, description="rows and columns of a synthetic slice")
    central: bool = Field(True, description="also train one network on all patients in one place, to compare")

    @field_validator("sources")
    @classmethod
    def _known_data_sets(cls, sources: dict[str, str]) -> dict[str, str]:
        for name in sources:
            if name not in (*DATA_SETS, FOLDER):
                raise ValueError(f"choose among {', '.join((SYNTHETIC, *DATA_SETS, FOLDER))}")
        return dict(sorted(sources.items()))

    @field_validator("held_out")
    @classmethod
    def _known_test_sets(cls, held_out: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        known = (SYNTHETIC, *(name for name, data_set in DATA_SETS.items() if data_set.held_out))
        for name in held_out:
            if name not in known:
                raise ValueError(
                    f"choose among {', '.join(known)} (in site folders, the column `split` of labels.csv does it)"
                )
            if name in info.data.get("sources", {}):
                raise ValueError(f"{name} is trained on (--dataset) and cannot be held out too; give it once")
        return dict(sorted(held_out.items()))

    @field_validator("partition")
    @classmethod
    def _known_partition(cls, partition: str) -> str:
        if partition not in PARTITIONS and not partition.endswith(".csv"):
            raise ValueError(f"choose one of {', '.join(PARTITIONS)}, or the .csv of a partition")
        return partition


@dataclass(frozen=True)
class SimulationSettings:
    """The whole of `config.yaml`."""

    data: DataSettings
    run: RunSettings


def simulation_settings(raw: Mapping[str, Any]) -> SimulationSettings:
    """Validated settings of a mapping as it stands in config.yaml; raises SettingsError with the place of a mistake."""
    data = validated(DataSettings, raw.get("data") or {}, where="data")
    here = {"wait_s": 0}  # all sites of a simulation are there from the beginning
    return SimulationSettings(data, run_settings({**here, **raw, "data": data.model_dump(mode="json")}))


def sources_of(datasets: Sequence[str], data: Path | None) -> dict[str, str] | None:
    """Folder by data set, from `--dataset NAME --data DIR` or any number of `--dataset NAME=DIR`; None if not given.

    Raises SettingsError where a data set has no folder, or a folder no data set.
    """
    named: dict[str, str] = {}
    for text in datasets:
        name, given, folder = text.partition("=")
        if not given and data is not None and len(datasets) == 1:
            folder = str(data)
        if name == SYNTHETIC and not folder and len(datasets) == 1:
            return {}
        if not folder:
            raise SettingsError(f"--dataset {text}: give its folder, as in --dataset {name} --data DIR.")
        if name in named:
            raise SettingsError(f"--dataset {name}: is given twice; keep one of them.")
        named[name] = str(Path(folder).resolve())
    if data is not None and (not datasets or "=" in datasets[0]):
        raise SettingsError(f"--data {data}: goes with one --dataset NAME; say what it holds.")
    return named or None


def held_out_of(data_sets: Sequence[str]) -> dict[str, str] | None:
    """Folder by data set, from any number of `--held-out NAME=DIR`, or `synthetic`; None if not given.

    Raises SettingsError where a data set has no folder.
    """
    named: dict[str, str] = {}
    for text in data_sets:
        name, _, folder = text.partition("=")
        if not folder and name != SYNTHETIC:
            raise SettingsError(f"--held-out {text}: give its folder, as in --held-out {name}=DIR.")
        named[name] = str(Path(folder).resolve()) if folder else ""
    return named or None


def parameters_of(texts: Sequence[str], proximal_mu: float | None) -> dict[str, float | int | str]:
    """Settings of the strategy's parameters, from any number of `--parameter NAME=VALUE` and from `--proximal-mu`.

    Raises SettingsError where a parameter has no value, or two.
    """
    if proximal_mu is not None:
        texts = [*texts, f"proximal_mu={proximal_mu}"]
    return _assigned(texts, "strategy_parameters", _NAME, "NAME=VALUE, as in --parameter server_momentum=0.9")


def parameters_by_strategy(texts: Sequence[str]) -> dict[str, float | int | str]:
    """Settings of a comparison from any number of `--parameter STRATEGY.NAME=VALUE`; raises as `parameters_of`."""
    form = "STRATEGY.NAME=VALUE, as in --parameter fedavgm.server_momentum=0.9"
    return _assigned(texts, "comparison.parameters", rf"[\w-]+\.{_NAME}", form)


def _assigned(texts: Sequence[str], section: str, pattern: str, form: str) -> dict[str, float | int | str]:
    """Settings of a section by their dotted keys; `pattern` is that of a name, `form` how a text is to be written."""
    named: dict[str, float | int | str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        key = f"{section}.{name}"
        if not re.fullmatch(pattern, name) or not value:
            raise SettingsError(f"--parameter {text}: write it as {form}.")
        if key in named:
            raise SettingsError(f"--parameter {name}: is given twice; keep one of them.")
        named[key] = _number_or_text(value)
    return named


def _number_or_text(text: str) -> float | int | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def resolved_models(names: Sequence[str]) -> list[str]:
    """Files of `--compare-with` by their whole paths; the run's own models as they are named."""
    return [name if name in (FIRST, PREVIOUS) else str(Path(name).resolve()) for name in names]


def refuse_beside_resume(run: Path, flags: Mapping[str, object]) -> Path:
    """`run`; raises SettingsError where a setting is given beside `--resume`."""
    given = [name.rpartition(".")[2].replace("_", "-") for name, value in flags.items() if value is not None]
    if given:
        raise SettingsError(f"--resume {run}: goes on with the settings of the run; leave out --{', --'.join(given)}.")
    return run


def refuse_idle_flags(data: DataSettings, flags: Mapping[str, object]) -> None:
    """Raises SettingsError where a flag of some partitions was given and this one does not heed it."""
    heeding = {"--alpha": ("dirichlet", "quantity"), "--min-studies": DEALINGS}
    for flag, value in flags.items():
        if value is not None and data.partition not in heeding[flag]:
            raise SettingsError(
                f"{flag}: goes with --partition {' or '.join(heeding[flag])}; leave it out, or add one."
            )


def read_config(path: Path) -> dict[str, Any]:
    """A settings file as a mapping; raises SettingsError, naming the file, where it is none."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({type(error).__name__}); give a config.yaml of a run.") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise SettingsError(f"{path}: is not YAML (line {line}); mend that line.") from None
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: holds no settings; write one `name: value` a line.")
    return raw


def with_flags(raw: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """`raw` with every flag that was given put in its place; a dotted flag leads into a section.

    Another preset than the file's takes the file's resolved model sections out: they belong to the old one. So do
    parameters of another strategy.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    merged = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    preset = given.get("model.preset")
    if preset is not None and preset != (merged.get("model") or {}).get("preset"):
        merged["model"] = {}
    if given.get("strategy", merged.get("strategy")) != merged.get("strategy"):
        merged["strategy_parameters"] = {}
    for key, value in given.items():
        *sections, name = key.split(".")
        place = merged
        for section in sections:
            place[section] = dict(place.get(section) or {})
            place = place[section]
        place[name] = value
    return merged
