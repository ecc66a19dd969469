"""Published figures, reproduced through the federation's own arithmetic.

The CQ500 table: Qure's scores of 491 scans are dealt to virtual hospitals, each hospital counts them in a score
histogram, and the sum of the histograms must give the published AUCs, whatever the number of hospitals. So it does
with three intervals: DeLong's on the logit scale, which this project reports; DeLong's plain one; and Hanley and
McNeil's, which is the one that Qure printed.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from bloodnet_model.errors import SettingsError, UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram, hanley_mcneil_interval, summary
from bloodnet_model.seeds import derive_seed
from simulation.public_data.cq500 import FINDINGS, read_scored_scans

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Figure = TypeVar("Figure")

PUBLISHED_AUC: Final = {"ICH": 0.9419, "IPH": 0.9544, "IVH": 0.9310, "SDH": 0.9521, "EDH": 0.9731, "SAH": 0.9574}
"""Chilamkurthy et al., Lancet 2018: deep learning algorithms on CQ500."""


@dataclass(frozen=True)
class Row:
    """One finding of the table; None where a figure does not exist, and `undefined` says why.

    `auc_low` and `auc_high` are DeLong's interval on the logit scale, the `plain` ones DeLong's not clipped at 1.
    """

    finding: str
    published: float
    studies: int
    positives: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    error_bound: float | None
    undefined: str | None
    auprc: float | None
    auprc_low: float | None
    auprc_high: float | None
    delong_plain_low: float | None
    delong_plain_high: float | None
    hanley_mcneil_low: float | None
    hanley_mcneil_high: float | None
    sites: int
    sites_undefined: int
    mean_of_site_aucs: float | None

    @property
    def agrees(self) -> bool:
        """Whether the pooled AUC is the published one to its four digits."""
        return self.auc is not None and round(self.auc, 4) == self.published


def cq500_table(data: Path, sites: int, seed: int) -> list[Row]:
    """Pooled and published AUC of the six findings, the CQ500 scans in `data` dealt to `sites` virtual hospitals.

    Raises DataError where a table is missing or damaged, SettingsError where `sites` does not fit the scans.
    """
    if sites < 1:
        raise SettingsError(f"sites: {sites} virtual hospitals cannot hold scans; give at least 1.")
    scans = read_scored_scans(data)
    if sites > len(scans.names):
        raise SettingsError(f"sites: {len(scans.names)} scans cannot fill {sites} virtual hospitals; give fewer.")
    rng = np.random.default_rng(derive_seed(seed, "cq500-table", sites))
    hospitals = np.array_split(rng.permutation(len(scans.names)), sites)
    return [
        _row(finding, [ScoreHistogram.from_scores(scans.scores[own, j], scans.labels[own, j]) for own in hospitals])
        for j, finding in enumerate(FINDINGS)
    ]


def _row(finding: str, hospitals: list[ScoreHistogram]) -> Row:
    site_aucs = [auc for hospital in hospitals if (auc := _defined(hospital.auc)) is not None]
    pooled = sum(hospitals, start=ScoreHistogram.empty())
    plain = _defined(lambda: pooled.auc_interval(scale="plain")) or (None, None)
    hanley_mcneil = _defined(lambda: hanley_mcneil_interval(pooled)) or (None, None)
    return Row(
        finding=finding,
        published=PUBLISHED_AUC[finding],
        sites=len(hospitals),
        sites_undefined=len(hospitals) - len(site_aucs),
        mean_of_site_aucs=float(np.mean(site_aucs)) if site_aucs else None,
        delong_plain_low=plain[0],
        delong_plain_high=plain[1],
        hanley_mcneil_low=hanley_mcneil[0],
        hanley_mcneil_high=hanley_mcneil[1],
        **summary(pooled),
    )


def _defined(figure: Callable[[], Figure]) -> Figure | None:
    try:
        return figure()
    except UndefinedMetric:
        return None


def to_json(rows: list[Row]) -> str:
    """The table for a script: a list of objects with the fields of `Row`, and whether the pooled AUC agrees."""
    return json.dumps([{**asdict(row), "agrees": row.agrees} for row in rows], indent=1)


def print_table(rows: list[Row], console: "Console") -> None:
    """The table for a person, the intervals by their names, and below what the columns mean."""
    console.print(_auc_table(rows))
    console.print(_interval_table(rows))
    for row in rows:
        if row.undefined:
            console.print(f"{row.finding}: {row.undefined}")
    bound = max((row.error_bound for row in rows if row.error_bound is not None), default=0.0)
    console.print(
        "Pooled: the AUC of the summed score histograms. Its distance from the unbinned AUC is at most "
        f"{bound:.3f}, a bound that counts every pair sharing a bin, true ties included.\n"
        "Site mean: the mean of the AUCs of those sites that have both classes (the others: no AUC); "
        "another quantity, not the federated AUC.\n"
        "Intervals: DeLong's on the logit scale is the one reported, here and elsewhere. The plain one is AUC ± 1.96 "
        "standard errors and may pass 1. Hanley and McNeil's needs no scores, only the AUC and the counts; it is "
        "the one that Qure printed (ICH: 0.9187–0.9651).",
        style="dim",
    )


def _auc_table(rows: list[Row]) -> "Table":
    first = rows[0]
    headings = ("positive", "pooled AUC (95 % CI)", "published", "site mean", "no AUC")
    table = _table(f"CQ500: {first.studies} scans over {_hospitals(first.sites)}", headings)
    for row in rows:
        table.add_row(
            row.finding,
            str(row.positives),
            "undefined" if row.auc is None else f"{row.auc:.4f} ({_interval(row.auc_low, row.auc_high)})",
            f"{'=' if row.agrees else '≠'} {row.published:.4f}",
            "none" if row.mean_of_site_aucs is None else f"{row.mean_of_site_aucs:.4f}",
            f"{row.sites_undefined}/{row.sites}",
        )
    return table


def _interval_table(rows: list[Row]) -> "Table":
    table = _table("95 % intervals of the pooled AUC", ("DeLong, logit scale", "DeLong, plain", "Hanley and McNeil"))
    for row in rows:
        table.add_row(
            row.finding,
            _interval(row.auc_low, row.auc_high),
            _interval(row.delong_plain_low, row.delong_plain_high),
            _interval(row.hanley_mcneil_low, row.hanley_mcneil_high),
        )
    return table


def _table(title: str, headings: Sequence[str]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("finding", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _interval(low: float | None, high: float | None) -> str:
    return "undefined" if low is None or high is None else f"{low:.4f}–{high:.4f}"


def _hospitals(sites: int) -> str:
    return "1 virtual hospital" if sites == 1 else f"{sites} virtual hospitals"
