"""Virtual hospitals: as found, or the patients of all of them dealt out anew.

A virtual hospital is what a real one is, a site folder: site.yaml, labels.csv and a list of its DICOM files.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from bloodnet_model.labels import CLASSES, UNKNOWN
from bloodnet_model.seeds import derive_seed
from bloodnet_model.splits import Split
from client.site_settings import SITE_FILE, Site, SiteSettings
from client.splits import split_studies
from simulation.catalogue import CataloguedStudy, patients_of
from simulation.deals import Dealing, deal
from simulation.placement import PlacedStudy
from simulation.site_folder import write_site

MANIFEST: Final = "files.txt"


def find_sites(folder: Path) -> list[Path]:
    """The site folder that `folder` is, or those it holds; raises DataError where there is none."""
    if (folder / SITE_FILE).is_file():
        return [folder]
    found = sorted((path.parent for path in folder.glob(f"*/{SITE_FILE}")), key=_natural)
    if not found:
        raise DataError(
            f"{folder}: neither a site folder nor a folder of such; each needs a {SITE_FILE} and a labels.csv "
            "(`bloodnet-simulate phantom` writes an example)."
        )
    return found


def as_found(studies: Iterable[CataloguedStudy]) -> list[PlacedStudy]:
    """Every study where it comes from, in the split that it has there."""
    return [PlacedStudy(study.source, study.dealt, study, study.kinds) for study in studies]


def held_out(studies: Iterable[CataloguedStudy], folders: Mapping[Path, Split]) -> list[PlacedStudy]:
    """Every study where it comes from, in the split of the site folder of that name."""
    splits = {folder.name: split for folder, split in folders.items()}
    return [PlacedStudy(study.source, splits[study.source], study, study.kinds) for study in studies]


def place(
    studies: Sequence[CataloguedStudy],
    hospitals: int,
    partition: Dealing,
    seed: int,
    alpha: float,
    min_studies: int,
) -> list[PlacedStudy]:
    """Deal the patients to `site-1` … and each site's patients to its splits, by patient, never by slice.

    Raises DataError where that cannot be.
    """
    rng = np.random.default_rng(derive_seed(seed, "partition"))
    dealt = deal(patients_of(studies), hospitals, partition, rng, alpha, min_studies)
    width = len(str(hospitals))
    placed: list[PlacedStudy] = []
    for number in range(hospitals):
        name = f"site-{number + 1:0{width}d}"
        here = [study for study in studies if dealt[study.patient] == number]
        splits = split_studies(SiteSettings(name=name, dicom=(MANIFEST,)), here)
        coarse = partition == "label-kind" and number % 2 == 1  # every other site has no masks and no labels of slices
        placed += (PlacedStudy(name, splits[study.uid], study, study.kinds[: 1 if coarse else None]) for study in here)
    return placed


def write_sites(placed: Iterable[PlacedStudy], sources: Sequence[Site], out: Path) -> list[Path]:
    """A site folder below `out` for every site of the table, in the order of their names.

    Each study comes with its chosen series alone, and with the most lenient of the sources' rules: what was chosen at
    the source is chosen here.
    """
    settings = {
        "series": {
            "minimum_slices": min(site.settings.series.minimum_slices for site in sources),
            "derived": any(site.settings.series.derived for site in sources),
            "largest_tilt_degrees": max(site.settings.series.largest_tilt_degrees for site in sources),
        },
        "cores": 1,  # the sites share a machine, and each is prepared in a process of its own
        "minimum_coverage": min(site.settings.minimum_coverage for site in sources),
        "minimum_cohort": min(site.settings.minimum_cohort for site in sources),
        "minimum_class": min(site.settings.minimum_class for site in sources),
    }
    sites: defaultdict[str, list[PlacedStudy]] = defaultdict(list)
    for at in placed:
        sites[at.site].append(at)
    for name, here in sites.items():
        make_folder(out / name)
        files = out / name / MANIFEST
        write_whole(files, "".join(f"{path.resolve()}\n" for at in here for path in at.study.files))
        write_site(out / name, [files], (row for at in here for row in _rows(at)), **settings)
    return [out / name for name in sorted(sites)]


def _rows(at: PlacedStudy) -> Iterator[dict[str, object]]:
    """Rows of labels.csv: one of the study, and the source's of its slices if the site has labels of slices."""
    study = at.study
    masks = [row.mask.resolve() for row in study.rows if row.mask is not None] if "mask" in at.kinds else []
    yield {
        "study_instance_uid": study.uid,
        **_cells(study.labels),
        "mask": masks[0] if masks else "",
        "split": at.split,
    }
    if "slice" in at.kinds:
        for row in study.rows:
            kind, identifier = row.key
            if kind == "sop_instance_uid":
                yield {kind: identifier, **_cells(row.labels)}


def _cells(labels: Iterable[int]) -> dict[str, object]:
    return {name: label for name, label in zip(CLASSES, labels, strict=True) if label != UNKNOWN}


def _natural(path: Path) -> tuple[str, int]:
    """hospital-2 before hospital-10."""
    stem = path.name.rstrip("0123456789")
    digits = path.name[len(stem) :]
    return stem, int(digits or 0)
