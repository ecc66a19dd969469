"""Is all the data used? The ledgers of all sites, as counts by kind of item and reason."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bloodnet_model.reasons import FAULTS, REMARKS
from bloodnet_model.run_metrics import RunMetrics

_KINDS: Final = {"study": "studies", "series": "series", "file": "files", "label": "label rows"}


@dataclass(frozen=True)
class LedgerRow:
    """What became of one kind of item at one site; each reason beside its count."""

    site: str
    kind: str
    used: int
    skipped: Mapping[str, int]
    quarantined: Mapping[str, int]
    remarks: Mapping[str, int]

    @property
    def found(self) -> int:
        return self.used + sum(self.skipped.values()) + sum(self.quarantined.values())


def ledger_rows(metrics: RunMetrics) -> Iterator[LedgerRow]:
    """By site and kind; a kind of which nothing was found has no row."""
    for name, site in metrics.sites.items():
        for kind, plural in _KINDS.items():
            lines = {
                key.removeprefix(f"{kind}-"): n for key, n in site.ledger.items() if n and key.startswith(f"{kind}-")
            }
            if lines:
                remarks = {reason: n for reason, n in lines.items() if reason in REMARKS}
                used = lines.pop("used", 0) + sum(remarks.values())
                faults = {reason: n for reason, n in lines.items() if reason in FAULTS}
                rules = {reason: n for reason, n in lines.items() if reason not in REMARKS and reason not in FAULTS}
                yield LedgerRow(name, plural, used, rules, faults, remarks)


def ledger_totals(metrics: RunMetrics) -> list[tuple[str, int, int]]:
    """(kind, used, found) over all sites."""
    rows = list(ledger_rows(metrics))
    return [
        (plural, sum(row.used for row in rows if row.kind == plural), found)
        for plural in _KINDS.values()
        if (found := sum(row.found for row in rows if row.kind == plural))
    ]
