"""What `bloodnet-client init` writes: a commented site.yaml, an empty labels.csv and a key.

Comments and defaults come from the settings model itself, so that the file and what is read of it cannot drift apart.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

import yaml
from pydantic.fields import FieldInfo

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from bloodnet_model.labels import CLASSES
from bloodnet_model.settings import Settings, validated
from client.keys import make_node_key
from client.label_table import COLUMNS
from client.site_settings import SITE_FILE, SiteSettings

_WIDTH: Final = 110
_HEAD: Final = f"""\
# A hospital's settings for BloodNet federation. Paths are relative to this folder, or absolute.
# After each change, `bloodnet-client check` says what it does to your data.
#
# The labels table has one row a study, or a slice, and these columns; what nobody knows stays empty:
#   study_instance_uid or accession_number    which study
#   sop_instance_uid                          which slice, where the row speaks of one
#   {", ".join(CLASSES)}
#                                             1, 0, or nothing for unknown
#   mask                                      optional: NIfTI file or DICOM SEG, relative to the table
#   split                                     optional: train, validation, test, test-random, test-enriched
#   group                                     optional: in which figures are counted apart, see `groups` below
"""
_BESIDE_DICOM: Final = "members"
"""A site has either DICOM of its own or members: `init` makes the first kind."""


@dataclass(frozen=True)
class Written:
    """What `init` left behind: files it wrote, and those that were there before and stay as they are."""

    new: tuple[Path, ...]
    kept: tuple[Path, ...]


def write_site(folder: Path, answers: Mapping[str, Any]) -> Written:
    """Write site.yaml, and a labels table and a key where there are none, into `folder`, which is made if need be.

    Raises SettingsError for an answer that site.yaml could not hold, DataError where there is a site.yaml already or
    nothing can be written.
    """
    path = folder / SITE_FILE
    if path.exists():
        raise DataError(f"{path}: is there already and stays as it is; edit it, or move it away and type init again.")
    text = site_yaml(answers)
    settings = validated(SiteSettings, answers)
    labels, key = folder / settings.labels, folder / settings.key
    if not labels.parent.is_dir() and labels.parent != folder:
        raise DataError(f"{labels.parent}: there is no such folder; make it, or give --labels another one.")
    make_folder(folder)
    kept = tuple(file for file in (labels, key) if file.exists())
    if labels not in kept:
        write_whole(labels, labels_csv())
    if key not in kept:
        make_node_key(key)
    write_whole(path, text)
    return Written(tuple(file for file in (path, labels, key) if file not in kept), kept)


def site_yaml(answers: Mapping[str, Any]) -> str:
    """The text of site.yaml: every setting with its meaning, at its answer or default; raises SettingsError."""
    settings = validated(SiteSettings, answers)
    return "\n".join([_HEAD, *_lines(settings)])


def labels_csv() -> str:
    """The head of an empty labels table."""
    return ",".join(COLUMNS) + "\n"


def suggested_name(folder: Path) -> str:
    """A site's name made of its folder's: what `name` may hold of it."""
    return re.sub(r"[^A-Za-z0-9]+", "-", folder.absolute().name).strip("-")[:64] or "hospital"


def _lines(settings: Settings, indent: str = "") -> Iterator[str]:
    for name, field in type(settings).model_fields.items():
        yield from (f"{indent}# {line}" for line in wrap(_comment(field), _WIDTH - len(indent)))
        value = getattr(settings, name)
        if isinstance(value, Settings):
            yield f"{indent}{name}:"
            yield from (*_lines(value, f"{indent}  "), "")
            continue
        optional = value is None or name == _BESIDE_DICOM
        yield f"{indent}{'# ' if optional else ''}{_entry(name, value)}"
        if not indent:
            yield ""


def _comment(field: FieldInfo) -> str:
    text = field.description or ""
    return text[:1].upper() + text[1:] + "."


def _entry(name: str, value: object) -> str:
    """One line of YAML."""
    if value is None:
        return f"{name}:"
    plain = list(value) if isinstance(value, tuple) else value
    flow = None if isinstance(plain, list) else False  # a list stands on the line of its name
    text: str = yaml.safe_dump({name: plain}, default_flow_style=flow, allow_unicode=True, width=float("inf"))
    return text.rstrip("\n")
