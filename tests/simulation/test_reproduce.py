"""The CQ500 table: on the published files where they are, and on a miniature with the same columns."""

import csv
import json
import os
from dataclasses import fields
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from bloodnet_model.errors import BloodNetError, DataError, SettingsError
from bloodnet_model.metrics import ScoreHistogram, hanley_mcneil_interval
from bloodnet_model.precision_recall import average_precision
from simulation.public_data.cq500 import FINDINGS, READERS, READS_FILE, SCORES_FILE, read_scored_scans
from simulation.reproduce import PUBLISHED_AUC, Row, cq500_table, print_table, to_json

SCANS = 60


def write_table(path: Path, records: list[dict[str, object]], without: str = "") -> None:
    columns = [column for column in records[0] if column != without]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(records)


def miniature() -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Reads and scores of 60 scans with two-decimal scores, in different orders; nobody has an EDH."""
    rng = np.random.default_rng(3)
    reads, predictions = [], []
    for n in range(SCANS):
        votes = {f"{reader}:{finding}": 0 for reader in READERS for finding in FINDINGS}
        scores = {}
        for finding in FINDINGS:
            positive = finding != "EDH" and n % 3 == 0
            for reader in rng.permutation(READERS)[: rng.integers(2, 4) if positive else rng.integers(0, 2)]:
                votes[f"{reader}:{finding}"] = 1
            scores[finding] = round(float(rng.beta(4, 3) if positive else rng.beta(2, 4)), 2)
        reads.append({"name": f"CQ500-CT-{n}", "Category": "B1", **votes})
        predictions.append({"name": f"CQ500-CT-{n}", **scores})
    return reads, predictions[::-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reads, predictions = miniature()
    write_table(tmp_path / READS_FILE, reads)
    write_table(tmp_path / SCORES_FILE, predictions)
    return tmp_path


def test_tables_are_joined_by_name_with_the_majority_of_readers(folder: Path) -> None:
    scans = read_scored_scans(folder)
    _, predictions = miniature()
    score_of = {record["name"]: record["ICH"] for record in predictions}
    assert scans.labels.shape == scans.scores.shape == (SCANS, len(FINDINGS))
    for name, label, score in zip(scans.names, scans.labels[:, 0], scans.scores[:, 0], strict=True):
        assert label == (int(name.rsplit("-", 1)[1]) % 3 == 0)
        assert score == score_of[name]


@pytest.mark.parametrize("sites", [1, 2, 7, SCANS])
def test_pooled_auc_is_that_of_all_scans_for_every_number_of_hospitals(folder: Path, sites: int) -> None:
    scans = read_scored_scans(folder)
    for j, row in enumerate(cq500_table(folder, sites, seed=1)):
        assert (row.sites, row.studies, row.positives) == (sites, SCANS, scans.labels[:, j].sum())
        if row.finding == "EDH":
            assert row.auc is row.mean_of_site_aucs is None
            assert "no positive study" in str(row.undefined)
            assert row.sites_undefined == sites
        else:
            assert row.auc == pytest.approx(roc_auc_score(scans.labels[:, j], scans.scores[:, j]), abs=1e-12)
            assert row.sites_undefined == (sites if sites == SCANS else row.sites_undefined)


def test_one_hospital_has_the_pooled_auc_and_another_seed_deals_otherwise(folder: Path) -> None:
    assert all(row.mean_of_site_aucs == row.auc for row in cq500_table(folder, 1, seed=1))
    assert cq500_table(folder, 5, seed=1) == cq500_table(folder, 5, seed=1)
    assert cq500_table(folder, 5, seed=1) != cq500_table(folder, 5, seed=2)


@pytest.mark.parametrize("width", [80, 100])
def test_printed_table_fits_a_terminal_and_says_what_is_undefined(folder: Path, width: int) -> None:
    output = StringIO()
    print_table(cq500_table(folder, 7, seed=1), Console(file=output, width=width))
    text = output.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text  # no cell was cut
    assert "60 scans over 7 virtual hospitals" in text
    assert "7/7" in text
    assert "EDH: the AUC is undefined: no positive study among 60." in text
    ich = cq500_table(folder, 7, seed=1)[0]
    assert f"{ich.auc:.4f} ({ich.auc_low:.4f}–{ich.auc_high:.4f}) ≠ 0.9419" in " ".join(text.split())
    assert "not the federated AUC" in " ".join(text.split())
    intervals = text[text.index("95 % intervals of the pooled AUC") :]
    for heading in ("DeLong, logit scale", "DeLong, plain", "Hanley and McNeil"):
        assert heading in intervals
    named = (
        f"ICH {ich.auc_low:.4f}–{ich.auc_high:.4f} {ich.delong_plain_low:.4f}–{ich.delong_plain_high:.4f} "
        f"{ich.hanley_mcneil_low:.4f}–{ich.hanley_mcneil_high:.4f}"
    )
    assert named in " ".join(intervals.split())
    assert "EDH undefined undefined undefined" in " ".join(intervals.split())


def test_intervals_are_those_of_all_scans_for_every_number_of_hospitals(folder: Path) -> None:
    scans = read_scored_scans(folder)
    together = ScoreHistogram.from_scores(scans.scores[:, 0], scans.labels[:, 0])
    for sites in (1, 7, SCANS):
        ich = cq500_table(folder, sites, seed=1)[0]
        assert (ich.auc_low, ich.auc_high) == together.auc_interval()
        assert (ich.delong_plain_low, ich.delong_plain_high) == together.auc_interval(scale="plain")
        assert (ich.hanley_mcneil_low, ich.hanley_mcneil_high) == hanley_mcneil_interval(together)
        assert ich.auprc == average_precision(together)


def test_json_holds_every_figure(folder: Path) -> None:
    rows = cq500_table(folder, 7, seed=1)
    parsed = json.loads(to_json(rows))
    assert [entry["auc"] for entry in parsed] == [row.auc for row in rows]
    assert [entry["agrees"] for entry in parsed] == [False] * len(FINDINGS)
    assert [entry["hanley_mcneil_high"] for entry in parsed] == [row.hanley_mcneil_high for row in rows]
    assert set(parsed[0]) == {field.name for field in fields(Row)} | {"agrees"}


@pytest.mark.parametrize(
    ("sites", "message"), [(0, "give at least 1"), (SCANS + 1, "60 scans cannot fill 61 virtual hospitals")]
)
def test_numbers_of_hospitals_that_cannot_be(folder: Path, sites: int, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        cq500_table(folder, sites, seed=0)


@pytest.mark.parametrize("name", [READS_FILE, SCORES_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name}: not found; fetch it"):
        cq500_table(folder, 2, seed=0)


def test_a_file_that_is_no_table_is_named(folder: Path) -> None:
    (folder / READS_FILE).write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="cannot be read as a CSV table"):
        cq500_table(folder, 2, seed=0)


@pytest.mark.parametrize(("name", "column"), [(READS_FILE, "R2:SAH"), (SCORES_FILE, "EDH"), (SCORES_FILE, "name")])
def test_a_missing_column_is_named(folder: Path, name: str, column: str) -> None:
    write_table(folder / name, miniature()[name == SCORES_FILE], without=column)
    with pytest.raises(DataError, match=f"{name}: column '{column}' is missing"):
        cq500_table(folder, 2, seed=0)


@pytest.mark.parametrize(
    ("name", "column", "cell"),
    [(READS_FILE, "R1:ICH", "2"), (READS_FILE, "R3:SAH", ""), (SCORES_FILE, "IVH", "1.2"), (SCORES_FILE, "IVH", "nan")],
)
def test_a_damaged_cell_is_named_with_its_scan_and_column(folder: Path, name: str, column: str, cell: str) -> None:
    records = miniature()[name == SCORES_FILE]
    records[4][column] = cell
    write_table(folder / name, records)
    with pytest.raises(DataError, match=f"{name}: scan {records[4]['name']} has '{cell}' in column {column}"):
        cq500_table(folder, 2, seed=0)


def test_tables_of_different_scans_and_repeated_scans_are_refused(folder: Path) -> None:
    reads, predictions = miniature()
    write_table(folder / SCORES_FILE, predictions[1:])
    with pytest.raises(DataError, match=f"{SCORES_FILE}: scan CQ500-CT-59 is missing"):
        cq500_table(folder, 2, seed=0)
    write_table(folder / READS_FILE, [reads[0], *reads])
    with pytest.raises(BloodNetError, match="61 rows name only 60 scans"):
        cq500_table(folder, 2, seed=0)


@pytest.mark.skipif("BLOODNET_REAL_DATA" not in os.environ, reason="BLOODNET_REAL_DATA does not name the real data")
@pytest.mark.parametrize("sites", [1, 2, 3, 4, 10, 50, 491])
def test_published_table_is_reproduced_for_any_number_of_hospitals(sites: int) -> None:
    rows = cq500_table(Path(os.environ["BLOODNET_REAL_DATA"]) / "cq500", sites, seed=sites)
    assert [row.finding for row in rows] == list(PUBLISHED_AUC)
    for row in rows:
        assert row.studies == 491
        assert row.auc is not None
        assert round(row.auc, 4) == row.published
        assert row.agrees
    of = {row.finding: row for row in rows}
    assert (of["ICH"].delong_plain_low, of["ICH"].delong_plain_high) == pytest.approx((0.9223, 0.9616), abs=5e-5)
    assert (of["ICH"].hanley_mcneil_low, of["ICH"].hanley_mcneil_high) == pytest.approx((0.9187, 0.9651), abs=5e-5)
    assert of["EDH"].delong_plain_high == pytest.approx(1.0003, abs=5e-5)
    assert of["EDH"].auc_high is not None
    assert of["EDH"].auc_high < 1
