"""The door to a site's data: open its folder, prepare what has changed, hand out studies."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.splits import SPLITS, Split
from bloodnet_model.study import Study
from client.index import FileIndex, healing, up_to_date_index
from client.labels import read_labels
from client.ledger import Coverage, Ledger, coverage
from client.listing import found_files, state_of
from client.refresh import Refresh
from client.site_lock import locked
from client.site_settings import SITE_FILE, Site, SiteSettings, read_site
from client.store import Store

__all__ = ["SPLITS", "OnProgress", "Site", "SiteData", "SiteSettings", "Split", "load_site", "prepare"]

_IRRELEVANT: Final = frozenset(
    {
        "name",
        "members",
        "cache",
        "minimum_cohort",
        "minimum_class",
        "minimum_coverage",
        "groups",
        "cores",
        "device",
        "gpu_memory_share",
        "key",
        "authority",
        "policy",
    }
)
"""Site settings on which no prepared study depends."""


@dataclass(frozen=True)
class SiteData:
    """A site's prepared studies; `stores` are where they lie, one unless the site has members."""

    site: Site
    stores: tuple[tuple[Site, Store], ...]

    def studies(self, split: Split) -> Sequence[Study]:
        """Studies of one split, their arrays views of memory-mapped files."""
        return tuple(study for _, store in self.stores for study in store.studies(split))

    def keys(self, split: Split) -> tuple[str, ...]:
        """Keys of `studies(split)`, in their order; see `client.store.key_of`."""
        return tuple(key for _, store in self.stores for key in store.keys(split))

    def groups(self, split: Split) -> tuple[str, ...]:
        """Groups of `studies(split)`, in their order, as `groups` of site.yaml says; empty names where it is none.

        They travel: what is counted by them needs as many studies a group as `minimum_cohort` says.
        """
        by = self.site.settings.groups
        return tuple(group for _, store in self.stores for group in store.groups(split, by))

    def splits(self) -> dict[str, Split]:
        """Split of every study by its key; see `client.store.key_of`."""
        return {key: split for _, store in self.stores for key, split in store.splits().items()}

    def counts(self) -> dict[str, int]:
        """Studies and positive studies of each split: `train-studies`, `train-positive`, ..."""
        counts: dict[str, int] = {}
        for split in SPLITS:
            labels = [store.study_labels(split) for _, store in self.stores]
            counts[f"{split}-studies"] = sum(map(len, labels))
            counts[f"{split}-positive"] = sum(int((label[:, 0] == 1).sum()) for label in labels)
        return counts

    def ledger(self) -> Ledger:
        """What became of every file, series, study and label row."""
        return Ledger(tuple(site.ledger for site, _ in self.stores))

    def ledger_counts(self) -> dict[str, int]:
        """How many lines the ledger has of each kind and reason; see `client.ledger.counts`."""
        return self.ledger().counts()

    def coverage(self) -> Coverage:
        """How many of the labelled studies are used."""
        return coverage(self.ledger_counts())


def load_site(folder: Path) -> Site:
    """The site of `folder`; raises DataError or SettingsError, naming the file, where it cannot be used."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; name the one that holds the site's {SITE_FILE}.")
    site = read_site(folder)
    if not site.settings.members and next(found_files(site), None) is None:
        raise DataError(f"{site.folder}: its `dicom` folders hold no file; correct `dicom` in its {SITE_FILE}.")
    return site


def prepare(
    site: Site, preprocessing: PreprocessingSettings, on_progress: OnProgress = lambda stage, done, total: None
) -> SiteData:
    """The site's studies, ready for the network: from its cache where nothing has changed, else what has is prepared.

    Raises DataError, naming the file and the remedy, where labels, files or cache cannot be used.
    """
    if site.settings.members:
        members = [prepare(load_site(site.folder / name), preprocessing, on_progress) for name in site.settings.members]
        return SiteData(site, tuple(part for member in members for part in member.stores))
    store = Store(site.cache, preprocessing)
    if not _is_fresh(site, store):
        with locked(site):
            healing(site, lambda: _refresh(site, store, preprocessing, on_progress), store.remove)
    return SiteData(site, ((site, store),))


def _is_fresh(site: Site, store: Store) -> bool:
    """Whether nothing that the store was made from has changed; opens no file of the site and writes nothing."""
    try:
        index = FileIndex.open(site)
        if index is None or not site.ledger.is_file():
            return False
        with index:
            return not index.look(found_files(site)) and _is_stamped(site, index, store)
    except sqlite3.DatabaseError:
        return False


def _refresh(site: Site, store: Store, preprocessing: PreprocessingSettings, on_progress: OnProgress) -> None:
    with up_to_date_index(site, on_progress) as index:
        if site.ledger.is_file() and _is_stamped(site, index, store):
            return  # another process did it while this one waited for the lock
        if not store.is_sound():
            store.remove()
        table = read_labels(site.labels)
        stamp = _stamp(site, index, table.masks)  # before reading: a later change shows
        Refresh(site, index, table, preprocessing, on_progress).run(store, stamp)


def _is_stamped(site: Site, index: FileIndex, store: Store) -> bool:
    """Whether the store was settled from just what lies there now."""
    if not store.is_sound():
        return False
    stamp = store.stamp()
    masks = json.loads(stamp)["masks"] if stamp else []
    return stamp == _stamp(site, index, [site.folder / mask for mask in masks])


def _stamp(site: Site, index: FileIndex, masks: Iterable[Path]) -> str:
    """The state of all that a store is made from: files by the index, settings, labels and masks."""
    settings = site.settings.model_dump_json(exclude=set(_IRRELEVANT))
    states = {str(mask).removeprefix(f"{site.folder}/"): state_of(mask) for mask in masks}
    digest = hashlib.sha256(f"{settings}\n{state_of(site.labels)}\n{list(states.values())}".encode()).hexdigest()
    return json.dumps({"index": index.version, "settings": digest, "masks": list(states)})
