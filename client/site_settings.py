"""What a site's `site.yaml` says, and where its files lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml
from pydantic import Field, model_validator

from bloodnet_model.errors import DataError
from bloodnet_model.settings import Settings, validated

SITE_FILE = "site.yaml"


class SiteSettings(Settings):
    """Settings of one site; paths are relative to the site's folder."""

    name: str = Field(pattern=r"^[A-Za-z0-9-]{1,64}$", description="letters, digits and hyphens: it travels")
    dicom: tuple[str, ...] = Field((), description="folders, searched to their depth, or .txt lists of DICOM files")
    members: tuple[str, ...] = Field((), description="in place of dicom: site folders whose studies make up this site")
    labels: str = "labels.csv"
    cache: str = Field(".bloodnet", description="folder that may be written")
    minimum_cohort: int = Field(10, ge=1, description="fewest studies of a split whose histograms may leave the site")
    minimum_slices: int = Field(8, ge=1, description="fewest slices of a usable series")
    validation_share: float = Field(0.2, ge=0, lt=1, description="of the patients whom labels.csv gives no split")
    test_share: float = Field(0.25, ge=0, lt=1)
    split_seed: int = 0

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
