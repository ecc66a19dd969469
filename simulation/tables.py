"""CSV tables that somebody else wrote."""

import csv
from collections.abc import Sequence
from pathlib import Path

from bloodnet_model.errors import DataError


def read_rows(path: Path, columns: Sequence[str], remedy: str) -> list[dict[str, str]]:
    """Rows of a CSV file that has these columns; raises DataError, naming file, column and `remedy`, if it has not."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            header, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV table ({type(error).__name__}); {remedy}.") from None
    for column in columns:
        if column not in header:
            raise DataError(f"{path}: column {column!r} is missing; {remedy}.")
    return rows
