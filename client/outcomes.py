"""What became of each study, kept beside the index so that an unchanged study is not prepared again."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bloodnet_model.splits import Split
from client.ledger import Entry

_ENTRY_FIELDS: Final = ("kind", "item", "reason", "detail")


@dataclass(frozen=True)
class Outcome:
    """One study, prepared or not.

    made_from:  digest of all that the outcome depends on
    reason:     why it is not used; empty for a prepared one
    hemorrhage: 1, 0 or -1 (unknown)
    split:      the one that labels.csv gives, if any
    pixels:     digest of the prepared pixels
    entries:    ledger lines of its series and files
    lines:      of labels.csv that speak of it, each with a reason and detail if there is a remark
    """

    study: str
    made_from: str
    reason: str
    detail: str = ""
    patient: str = ""
    hemorrhage: int = -1
    split: Split | None = None
    pixels: str = ""
    entries: tuple[Entry, ...] = ()
    lines: Mapping[int, tuple[str, str]] = field(default_factory=dict)


class Outcomes:
    """The outcomes of one store."""

    def __init__(self, database: sqlite3.Connection, store: str) -> None:
        self._database, self._store = database, store

    def __iter__(self) -> Iterator[Outcome]:
        """All of them, by study."""
        query = "SELECT outcome FROM outcomes WHERE store = ? ORDER BY study"
        for (text,) in self._database.execute(query, (self._store,)):
            yield _from_json(text)

    def made_from(self) -> dict[str, str]:
        """By study, the digest of what its outcome was made from."""
        return dict(self._database.execute("SELECT study, made_from FROM outcomes WHERE store = ?", (self._store,)))

    def put(self, outcome: Outcome) -> None:
        row = (self._store, outcome.study, outcome.made_from, _to_json(outcome))
        self._database.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?)", row)

    def forget(self, study: str) -> None:
        self._database.execute("DELETE FROM outcomes WHERE store = ? AND study = ?", (self._store, study))


def _to_json(outcome: Outcome) -> str:
    fields: dict[str, Any] = {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}
    fields["entries"] = [[getattr(entry, name) for name in _ENTRY_FIELDS] for entry in outcome.entries]
    return json.dumps(fields, separators=(",", ":"))


def _from_json(text: str) -> Outcome:
    fields = json.loads(text)
    fields["entries"] = tuple(Entry(*values) for values in fields["entries"])
    fields["lines"] = {int(line): tuple(remark) for line, remark in fields["lines"].items()}
    return Outcome(**fields)
