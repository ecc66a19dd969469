"""The door to a site's data: open its folder, prepare what has changed, hand out studies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bloodnet_model.errors import DataError
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.study import Study
from client.cache import (
    PreparedWriter,
    commit,
    fingerprint,
    fresh_folder,
    locked,
    new_folder,
    read_array,
    read_studies,
)
from client.index import listed_files
from client.labels import read_labels
from client.ledger import Ledger
from client.preparation import OnStudy, build
from client.site_settings import SITE_FILE, Site, SiteSettings, read_site
from client.splits import SPLITS, Split

__all__ = ["SPLITS", "OnStudy", "Site", "SiteData", "SiteSettings", "Split", "load_site", "prepare"]


@dataclass(frozen=True)
class SiteData:
    """A site's prepared studies; `parts` are the sites and folders they lie in, one unless the site has members."""

    site: Site
    parts: tuple[tuple[Site, Path], ...]

    def studies(self, split: Split) -> Sequence[Study]:
        """Studies of one split, their arrays views of memory-mapped files."""
        return tuple(study for _, folder in self.parts for study in read_studies(folder, split))

    def counts(self) -> dict[str, int]:
        """Studies and positive studies of each split: `train-studies`, `train-positive`, ..."""
        counts: dict[str, int] = {}
        for split in SPLITS:
            labels = [read_array(folder, split, "study_labels") for _, folder in self.parts]
            counts[f"{split}-studies"] = sum(map(len, labels))
            counts[f"{split}-positive"] = sum(int((label[:, 0] == 1).sum()) for label in labels)
        return counts

    def ledger(self) -> Ledger:
        """What became of every file, series, study and label row."""
        return Ledger(
            self.site.folder, (line for site, _ in self.parts for line in Ledger.read(site.ledger, site.folder))
        )

    def ledger_counts(self) -> dict[str, int]:
        """How many lines the ledger has of each kind and reason; see `Ledger.counts`."""
        return self.ledger().counts()


def load_site(folder: Path) -> Site:
    """The site of `folder`; raises DataError or SettingsError, naming the file, where it cannot be used."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; name the one that holds the site's {SITE_FILE}.")
    site = read_site(folder)
    if not site.settings.members and next(listed_files(site), None) is None:
        raise DataError(f"{site.folder}: its `dicom` folders hold no file; correct `dicom` in its {SITE_FILE}.")
    return site


def prepare(site: Site, preprocessing: PreprocessingSettings, on_study: OnStudy | None = None) -> SiteData:
    """The site's studies, ready for the network: from its cache where nothing has changed, else prepared anew.

    `on_study(done, total)` is called after each study that is prepared. Raises DataError, naming the file and the
    remedy, where labels, files or cache cannot be used.
    """
    if site.settings.members:
        members = [prepare(load_site(site.folder / name), preprocessing, on_study) for name in site.settings.members]
        return SiteData(site, tuple(part for member in members for part in member.parts))
    files = sorted(set(listed_files(site)))
    folder = fresh_folder(site, files, preprocessing)
    if folder is None:
        with locked(site):
            folder = fresh_folder(site, files, preprocessing) or _build(site, files, preprocessing, on_study)
    return SiteData(site, ((site, folder),))


def _build(site: Site, files: Sequence[Path], preprocessing: PreprocessingSettings, on_study: OnStudy | None) -> Path:
    table = read_labels(site.labels)
    made_from = fingerprint(site, files, table.masks, preprocessing)  # before reading: a later change shows
    with new_folder(site) as folder:
        with PreparedWriter(folder, preprocessing) as writer:
            ledger = build(site, files, table, preprocessing, writer, on_study)
        ledger.write(site.ledger)
        commit(site, folder, made_from, table.masks)
    return folder
