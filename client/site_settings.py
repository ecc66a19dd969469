"""What a site's `site.yaml` says, and where its files lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import Field, model_validator

from bloodnet_model.errors import DataError
from bloodnet_model.settings import DeviceChoice, Settings, validated
from bloodnet_model.study import SITE_NAME
from client.groups import GroupedBy

SITE_FILE = "site.yaml"

Metric = Literal["validation", "test", "groups", "masks", "comparisons"]
_CLOCK: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"
QuietHours = Annotated[str, Field(pattern=f"^{_CLOCK}-{_CLOCK}$")]


class SeriesRules(Settings):
    """By which rules one series of a study is chosen; words are matched without regard to case."""

    minimum_slices: int = Field(8, ge=1, description="fewest slices of a usable series")
    preferred_thickness_mm: float = Field(5.0, gt=0, description="of several usable series, the nearest is read")
    largest_tilt_degrees: float = Field(35.0, ge=0, le=90, description="farthest a plane may lie from axial")
    derived: bool = Field(False, description="read series whose ImageType says DERIVED, too")
    exclude: tuple[str, ...] = Field((), description="series with one of these words in their description are not read")
    prefer: tuple[str, ...] = Field((), description="of several usable series, those with one of these words go first")


class Policy(Settings):
    """What this site allows, whatever it is asked for."""

    coordinator: str | None = Field(
        None,
        pattern=r"^(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$",
        description="HOST:PORT, the only address that `bloodnet-client run` connects to",
    )
    ask_before_run: bool = Field(
        False, description="answer a run only after `bloodnet-client allow` has been typed for it"
    )
    maximum_local_epochs: int | None = Field(None, ge=1, description="most epochs of a round; any number unless given")
    maximum_local_steps: int | None = Field(
        None, ge=1, description="most optimiser steps of a round, counted before it begins; any number unless given"
    )
    maximum_hours_a_day: float | None = Field(
        None,
        gt=0,
        le=24,
        description="no training starts once this site has trained so long within the last 24 hours; "
        "one that has begun is not broken off",
    )
    quiet_hours: tuple[QuietHours, ...] = Field(
        (),
        description="times of day at which no training starts, such as 07:00-18:30 or 22:00-06:00, "
        "by this machine's clock and time zone",
    )
    metrics: tuple[Metric, ...] = Field(
        ("validation", "test", "groups", "masks", "comparisons"),
        description="which figures may leave: scores of validation and of test patients as histograms, those by group, "
        "sums of how good masks are, and comparisons of two models",
    )
    clip_norm: float | None = Field(
        None,
        gt=0,
        description="largest L2 norm of an update's change of the weights; a larger one is scaled down",
    )


class SiteSettings(Settings):
    """Settings of one site; paths are relative to the site's folder."""

    name: str = Field(pattern=f"^{SITE_NAME}$", description="letters, digits and hyphens: it travels")
    dicom: tuple[str, ...] = Field(
        (), description="folders, searched to their depth, zip archives, or .txt lists of files"
    )
    members: tuple[str, ...] = Field((), description="in place of dicom: site folders whose studies make up this site")
    labels: str = Field("labels.csv", description="table of what is known of studies and slices")
    cache: str = Field(
        ".bloodnet",
        description="folder that may be written; it needs a few GB for a thousand studies. Do not "
        "delete its subfolder kept: what left the site, and what was approved",
    )
    minimum_cohort: int = Field(10, ge=1, description="fewest studies of a split whose histograms may leave the site")
    minimum_class: int = Field(
        5,
        ge=1,
        description="fewest studies with a finding, or without it, whose scores leave as finely as everybody's; "
        "those of fewer leave coarsely, and sums over fewer not at all",
    )
    minimum_coverage: float = Field(
        0.8, ge=0, le=1, description="share of the labelled studies that must be usable for the site to join"
    )
    groups: GroupedBy = Field(
        "none",
        description="by what figures are counted apart, too: none, scanner (maker and model by the DICOM header), "
        "or label (column group of the labels table); the names of groups travel",
    )
    series: SeriesRules = Field(SeriesRules(), description="by which rules one series of a study is chosen")
    cores: int | None = Field(None, ge=1, description="processor cores this site may use; all unless given")
    device: DeviceChoice = Field(
        "auto",
        description="what to work on: auto (a GPU where there is one), cpu, or gpu (without one the site stays out)",
    )
    gpu_memory_share: float | None = Field(
        None, gt=0, le=1, description="of the GPU's memory, the most this site may take; all that is free unless given"
    )
    validation_share: float = Field(0.2, ge=0, lt=1, description="of the patients whom labels.csv gives no split")
    test_share: float = Field(0.25, ge=0, lt=1, description="likewise; the rest of the patients train")
    split_seed: int = Field(0, description="deals the patients anew")
    key: str = Field("node.key", description="the site's own key, by which the coordinator knows it")
    authority: str = Field("ca.crt", description="certificate of the coordinator's authority, by which it is known")
    policy: Policy = Field(Policy(), description="what this site allows, whatever the coordinator asks for")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.dicom) == bool(self.members):
            raise ValueError("name either dicom or members")
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave no patient to train on")
        return self


@dataclass(frozen=True)
class Site:
    """A site's folder and settings."""

    folder: Path
    settings: SiteSettings

    @property
    def labels(self) -> Path:
        return self.folder / self.settings.labels

    @property
    def cache(self) -> Path:
        return self.folder / self.settings.cache

    @property
    def kept(self) -> Path:
        """What is kept for good: the egress log, what was approved and allowed, bundles that were refused."""
        return self.cache / "kept"

    @property
    def ledger(self) -> Path:
        return self.cache / "ledger.csv"

    @property
    def preview(self) -> Path:
        return self.cache / "preview.png"


def read_site(folder: Path) -> Site:
    """The site of `folder`; raises DataError for a missing or unreadable file, SettingsError for what it says."""
    path = folder / SITE_FILE
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: there is no such file; write one with `name`, `dicom` and `labels`, as in README.md."
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as YAML ({reason}); correct it.") from None
    if not isinstance(raw, dict):
        raise DataError(f"{path}: holds no settings; it needs lines such as `name: my-hospital`.")
    return Site(folder.absolute(), validated(SiteSettings, {str(key): value for key, value in raw.items()}, str(path)))
