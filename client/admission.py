"""The file with which a site asks to be admitted: its name, its public key, and counts that may leave it."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as formats
from cryptography.hazmat.primitives.asymmetric import ec

from bloodnet_model.errors import DataError
from bloodnet_model.files import write_whole
from client.dataset import SPLITS, SiteData
from client.keys import public_key
from client.site_settings import Site
from strategies.admission import SUFFIX, Admission, LabelKind, signed


def admission_file(site: Site, labels: Sequence[LabelKind] = (), counts: Mapping[str, int] | None = None) -> Path:
    """Write SITE.admission.json into the site's folder, signed with the site's key; returns its path.

    labels: at which levels the site knows the truth
    counts: of studies, by kind, such as a `SiteData` counts; those below the site's minimum cohort stay here
    Raises DataError where there is no readable key, or the folder cannot be written.
    """
    path = site.folder / site.settings.key
    told = {kind: count for kind, count in (counts or {}).items() if count >= site.settings.minimum_cohort}
    line = public_key(path).strip()
    admission = Admission(
        site=site.settings.name,
        public_key=line,
        version=version("bloodnet-federation"),
        labels=tuple(labels),
        counts=told,
    )
    written = site.folder / f"{site.settings.name}{SUFFIX}"
    write_whole(written, signed(admission, _private_key(path)))
    return written


def indexed_admission_file(data: SiteData) -> Path | None:
    """The same with what the site knows of its data once they are prepared; None where there is no key to sign with.

    The coordinator admits it in place of the one before it; the key stays.
    """
    if not (data.site.folder / data.site.settings.key).exists():
        return None
    return admission_file(data.site, label_kinds(data), data.counts())


def label_kinds(data: SiteData) -> tuple[LabelKind, ...]:
    """At which levels the truth of some study with a hemorrhage is known; of one without, all are."""
    kinds: set[LabelKind] = set()
    for study in (study for split in SPLITS for study in data.studies(split) if study.study_labels[0] == 1):
        kinds.add("study")
        positive = (study.slice_labels == 1).any(axis=1)
        kinds |= {"slice"} if positive.any() else set()
        kinds |= {"mask"} if (study.mask_known & positive).any() else set()
    return tuple(kind for kind in get_args(LabelKind) if kind in kinds)


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = formats.load_ssh_private_key(path.read_bytes(), None)
    except (OSError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise DataError(f"{path}: holds no private key on a NIST curve; make the site's key anew.")
    return key
