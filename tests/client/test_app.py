"""The hospital's door: what it answers, and that nothing else gets out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from bloodnet_model.errors import DataError
from bloodnet_model.network import build_network
from bloodnet_model.segmentation_sums import SegmentationSums
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.weights import flat_weights
from client.app import SITE_FOLDER, SITES_VARIABLE, app, site_folder
from client.approval import allowed_runs
from client.audit import audit
from client.dataset import load_site, prepare
from simulation.phantom import PhantomSettings, write_federation
from strategies import evaluation_records, records
from strategies.evaluation_records import evaluation_config
from strategies.records import RoundPlan


@pytest.fixture(autouse=True)
def _inside_a_task() -> None:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "hospitals"
    (site,) = write_federation(folder, PhantomSettings(hospitals=1, studies=10, slices=8, matrix=64), 1, lambda: None)
    return site


@pytest.fixture(scope="module")
def model() -> ModelSettings:
    return model_settings("tiny", preprocessing={"rows": 32, "columns": 24, "spacing_mm": 7.0})


def plan(model: ModelSettings, number: int = 1, **of_this_site: Any) -> RoundPlan:
    raw = {"run": "r", "seed": 0, "round": number, "total_rounds": 3, "local_epochs": 1, "model": model}
    return RoundPlan(**{**raw, **of_this_site})


def ask(folder: Path, kind: str, content: RecordDict) -> RecordDict:
    context = Context(1, 7, {SITE_FOLDER: str(folder)}, RecordDict(), {})
    return app(Message(content, 7, kind), context).content


def training(model: ModelSettings, number: int = 1, **of_this_site: Any) -> RecordDict:
    weights = records.pack_weights(flat_weights(build_network(model, 0)))
    return records.instruction(weights, records.pack_plan(plan(model, number, **of_this_site)))


def trained(folder: Path, content: RecordDict) -> bytes:
    return records.unpack_update(ask(folder, "train", content)).weights[:].tobytes()


def evaluation(model: ModelSettings, split: str) -> RecordDict:
    weights = records.pack_weights(flat_weights(build_network(model, 0)))
    return records.instruction(weights, evaluation_config(plan(model), split))


def test_the_roll_call_says_name_and_counts(hospital: Path, model: ModelSettings) -> None:
    info = records.unpack_site_info(ask(hospital, records.ROLL_CALL, records.question(records.pack_plan(plan(model)))))
    assert info.name == "hospital-1"
    assert sum(info.counts[f"{split}-studies"] for split in ("train", "validation", "test")) == 10
    assert info.ledger["study-used"] == 10


def test_a_round_trains_and_a_replayed_round_gives_the_same_bytes(hospital: Path, model: ModelSettings) -> None:
    first, second = trained(hospital, training(model, 1)), trained(hospital, training(model, 2, counted_round=1))
    replayed = trained(hospital, training(model, 2, counted_round=1))
    assert first != flat_weights(build_network(model, 0)).tobytes()
    assert second == replayed != first


def test_a_late_or_refused_update_changes_nothing_that_a_site_does_next(hospital: Path, model: ModelSettings) -> None:
    asked = training(model, 3, run="late", total_rounds=4, counted_round=1)
    trained(hospital, training(model, 1, run="late"))
    expected = trained(hospital, asked)
    trained(hospital, training(model, 2, run="late", counted_round=1))  # came too late
    assert trained(hospital, asked) == expected
    fresh = trained(hospital, training(model, 3, run="late", total_rounds=4, counted_round=2))  # of which none is kept
    assert fresh == trained(hospital, training(model, 3, run="late", total_rounds=4)) != expected


def test_an_update_says_what_it_answers_and_what_it_learned_from(hospital: Path, model: ModelSettings) -> None:
    studies = prepare(load_site(hospital), model.preprocessing).studies("train")
    update = records.unpack_update(ask(hospital, "train", training(model, 2, local_steps=2)))
    known = sum(study.mask_known.sum() for study in studies)
    assert (update.round, update.studies, update.steps, update.mask_slices) == (2, len(studies), 2, known)
    assert known > 0


def test_a_small_cohort_gives_a_code_and_no_count(hospital: Path, tmp_path: Path, model: ModelSettings) -> None:
    (tmp_path / "site.yaml").write_text(f"name: small\nmembers: ['{hospital}']\n")
    content = ask(tmp_path, "evaluate", evaluation(model, "test"))
    assert records.status_code(content) == "below-minimum-cohort"
    assert list(content) == ["status"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_demanded_and_not_there_is_refused_at_the_roll_call(
    hospital: Path, tmp_path: Path, model: ModelSettings
) -> None:
    (tmp_path / "site.yaml").write_text(f"name: a\nmembers: ['{hospital}']\ndevice: gpu\n")
    content = ask(tmp_path, records.ROLL_CALL, records.question(records.pack_plan(plan(model))))
    assert records.status_code(content) == "no-gpu"
    assert list(content) == ["status"]


def test_a_message_is_answered_within_the_sites_cores(
    hospital: Path, tmp_path: Path, model: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    monkeypatch.setattr("client.app.refresh_preview", lambda data: threads.append(torch.get_num_threads()))
    torch.set_num_threads(2)
    for cores in ("", "cores: 1\n"):
        (tmp_path / "site.yaml").write_text(f"name: a\nmembers: ['{hospital}']\n{cores}")
        ask(tmp_path, records.ROLL_CALL, records.question(records.pack_plan(plan(model))))
    assert threads == [2, 1]
    assert torch.get_num_threads() == 2


def test_an_unknown_split_is_refused(hospital: Path, model: ModelSettings) -> None:
    assert records.status_code(ask(hospital, "evaluate", evaluation(model, "../secret"))) == "unknown-split"


def test_an_errors_text_stays_at_the_site(
    tmp_path: Path, model: ModelSettings, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "site.yaml").write_text("name: a\ndicom: [patients-of-dr-mueller]\n")
    content = ask(tmp_path, "train", training(model))
    assert records.status_code(content) == "bad-data"
    assert "mueller" not in str(content)
    assert "bad-data" in caplog.text
    assert "mueller" not in caplog.text


def test_an_unforeseen_error_is_a_code_too(hospital: Path, model: ModelSettings) -> None:
    assert records.status_code(ask(hospital, "train", RecordDict())) == "internal-error"
    broken = records.instruction(records.pack_weights(np.zeros(3, np.float32)), records.pack_plan(plan(model)))
    assert records.status_code(ask(hospital, "train", broken)) == "bad-weights"


def test_only_the_nodes_own_machine_names_the_site_folder(hospital: Path) -> None:
    assert site_folder({SITE_FOLDER: str(hospital)}, {}) == hospital
    assert site_folder({"partition-id": 0}, {SITES_VARIABLE: str(hospital.parent)}) == hospital
    for config, environment in (({}, {}), ({"partition-id": 5}, {SITES_VARIABLE: str(hospital.parent)})):
        with pytest.raises(DataError, match="knows no site folder"):
            site_folder(config, environment)


def test_a_site_of_members_holds_their_studies(hospital: Path, tmp_path: Path, model: ModelSettings) -> None:
    (tmp_path / "site.yaml").write_text(f"name: group\nmembers: ['{hospital}', '{hospital}']\n")
    assert load_site(tmp_path).settings.members
    info = records.unpack_site_info(ask(tmp_path, records.ROLL_CALL, records.question(records.pack_plan(plan(model)))))
    assert sum(info.counts[f"{split}-studies"] for split in ("train", "validation", "test")) == 20


def with_policy(folder: Path, hospital: Path, policy: str) -> Path:
    (folder / "site.yaml").write_text(
        f"name: a\nminimum_cohort: 1\nminimum_class: 1\ngroups: scanner\nmembers: ['{hospital}']\n"
        f"policy: {{{policy}}}\n"
    )
    return folder


def codes(folder: Path) -> list[tuple[str, str]]:
    return [(line.kind, line.code) for line in audit(folder / ".bloodnet" / "kept").lines]


def test_everything_that_leaves_has_its_line(hospital: Path, tmp_path: Path, model: ModelSettings) -> None:
    site = with_policy(tmp_path, hospital, "")
    ask(site, records.ROLL_CALL, records.question(records.pack_plan(plan(model))))
    update = ask(site, "train", training(model, 2))
    ask(site, "evaluate", evaluation(model, "test"))
    ask(site, "evaluate", evaluation(model, "../secret"))
    ask(site, "train", RecordDict())
    found = audit(site / ".bloodnet" / "kept")
    assert codes(site) == [
        (records.ROLL_CALL, "ok"),
        ("train", "ok"),
        ("evaluate", "ok"),
        ("evaluate", "unknown-split"),
        ("train", "internal-error"),
    ]
    assert [(line.run, line.round) for line in found.lines] == [("r", 1), ("r", 2), ("r", 1), ("r", 1), ("", 0)]
    moved = records.unpack_update(update).weights[:] - flat_weights(build_network(model, 0))
    assert found.lines[1].norm == pytest.approx(np.linalg.norm(moved.astype(np.float64)), rel=1e-5)
    assert found.lines[1].sha256 == update.object_id
    assert [line.norm for line in found.lines if line.kind != "train"] == [None] * 3


def test_what_cannot_be_logged_is_not_given(hospital: Path, tmp_path: Path, model: ModelSettings) -> None:
    site = with_policy(tmp_path, hospital, "")
    ask(site, "evaluate", evaluation(model, "test"))
    log = site / ".bloodnet" / "kept" / "egress.jsonl"
    log.write_text("")
    for kind, content in (("train", training(model)), ("evaluate", evaluation(model, "test"))):
        answer = ask(site, kind, content)
        assert records.status_code(answer) == "not-logged"
        assert list(answer) == ["status"]
    assert log.read_text() == ""


def test_a_site_without_readable_settings_gives_nothing(tmp_path: Path, model: ModelSettings) -> None:
    (tmp_path / "site.yaml").write_text("name: [")
    assert records.status_code(ask(tmp_path, "train", training(model))) == "not-logged"


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("maximum_local_epochs: 1", "ok"),
        ("maximum_local_steps: 1", "too-many-steps"),
        ("quiet_hours: ['00:00-00:00']", "quiet-hours"),
        ("ask_before_run: true", "not-allowed"),
    ],
)
def test_a_training_beyond_policy_is_refused_and_logged(
    hospital: Path, tmp_path: Path, model: ModelSettings, policy: str, code: str
) -> None:
    site = with_policy(tmp_path, hospital, policy)
    assert records.status_code(ask(site, "train", training(model))) == code
    assert codes(site) == [("train", code)]


def test_a_site_that_is_to_be_asked_says_nothing_before(hospital: Path, tmp_path: Path, model: ModelSettings) -> None:
    site = with_policy(tmp_path, hospital, "ask_before_run: true")
    roll_call = records.question(records.pack_plan(plan(model)))
    assert list(ask(site, records.ROLL_CALL, roll_call)) == ["status"]
    allowed_runs(load_site(site).kept).grant("r")
    assert records.unpack_site_info(ask(site, records.ROLL_CALL, roll_call)).name == "a"


def test_a_day_of_training_is_over_at_some_time(hospital: Path, tmp_path: Path, model: ModelSettings) -> None:
    site = with_policy(tmp_path, hospital, "maximum_hours_a_day: 0.000001")
    asked = [records.status_code(ask(site, "train", training(model, number))) for number in (1, 2)]
    assert asked == ["ok", "hours-used-up"]
    assert records.status_code(ask(site, "evaluate", evaluation(model, "test"))) == "ok"


def test_figures_that_may_not_leave_are_refused(hospital: Path, tmp_path: Path, model: ModelSettings) -> None:
    site = with_policy(tmp_path, hospital, "")
    all_of_it = evaluation_records.unpack_evaluation(ask(site, "evaluate", evaluation(model, "test")))
    assert all_of_it.groups
    assert all_of_it.segmentation != SegmentationSums()
    with_policy(tmp_path, hospital, "metrics: [test]")
    assert records.status_code(ask(site, "evaluate", evaluation(model, "validation"))) == "metric-withheld"
    found = evaluation_records.unpack_evaluation(ask(site, "evaluate", evaluation(model, "test")))
    assert (found.groups, found.segmentation) == ({}, SegmentationSums())
    assert found.histograms == all_of_it.histograms


def test_an_update_is_clipped_at_the_site(hospital: Path, tmp_path: Path, model: ModelSettings) -> None:
    site = with_policy(tmp_path, hospital, "clip_norm: 0.01")
    update = records.unpack_update(ask(site, "train", training(model)))
    moved = update.weights[:].astype(np.float64) - flat_weights(build_network(model, 0))
    assert np.linalg.norm(moved) == pytest.approx(0.01, rel=1e-3)
    (line,) = audit(site / ".bloodnet" / "kept").lines
    assert line.norm == pytest.approx(0.01, rel=1e-3)
    assert line.clipped is not None
    assert line.clipped > 0.01
