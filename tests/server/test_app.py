"""What a run says and writes of its strategy before the first round."""

from pathlib import Path

import pytest
import yaml
from flwr.app import Context, Error, RecordDict
from flwr.superlink.grid import HttpGrid, http_grid

from bloodnet_model.errors import DataError, RoundError, SettingsError
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.run_metrics import RoundValue, RunMetrics, load_metrics
from bloodnet_model.weights import flat_weights, load_network
from server.app import main, run_federation
from server.settings import run_settings, to_run_config
from server.soon import PULL_OBJECTS
from server.unreadable import READ
from strategies import records
from strategies.evaluation_records import SiteEvaluation, pack_evaluation, requested_split
from tests.server.nodes import FunctionGrid, Node, in_training, site


def test_a_federation_too_small_for_its_strategy_is_refused_before_the_first_round(tmp_path: Path) -> None:
    asked: list[str] = []

    def heard(node: Node) -> Node:
        def answer(kind: str, content: RecordDict) -> RecordDict | Error | None:
            asked.append(kind)
            return node(kind, content)

        return answer

    grid = FunctionGrid({number: heard(site(f"s{number}", 1.0)) for number in range(4)})
    settings = run_settings({"strategy": "krum", "deadline_s": 60})
    with pytest.raises(RoundError, match="needs the updates of 5 sites, and there are 4"):
        run_federation(grid, settings, tmp_path / "run")
    assert set(asked) == {records.ROLL_CALL}
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["strategy_parameters"] == {"faulty_sites": 1, "selected_sites": 1}  # the defaults, too


def test_a_mistake_in_the_strategy_is_said_before_anything_is_written(tmp_path: Path) -> None:
    settings = run_settings({"strategy": "krum", "strategy_parameters": {"faulty_site": 1}})
    with pytest.raises(SettingsError, match="did you mean faulty_sites"):
        run_federation(FunctionGrid({}), settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_app_survives_what_it_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And asks soon for what is on its way. How the first is done, is tested with a real SuperLink."""
    read, pull_objects = getattr(http_grid, READ), getattr(http_grid, PULL_OBJECTS)
    monkeypatch.setattr(http_grid, READ, read)  # as it is again afterwards
    monkeypatch.setattr(http_grid, PULL_OBJECTS, pull_objects)
    monkeypatch.setattr("server.app.run_federation", lambda *_: None)
    settings = to_run_config(run_settings({})) | {"out": str(tmp_path)}
    main(HttpGrid.__new__(HttpGrid), Context(1, 1, {}, RecordDict(), dict(settings)))
    assert getattr(http_grid, READ).__wrapped__ is read
    assert getattr(http_grid, PULL_OBJECTS).func is pull_objects


AUCS = {1: 0.5, 2: 1.0, 3: 0.5, 4: 0.75, 5: 0.5, 6: 1.0, 7: 0.5}
"""What the sites together have in each round."""


def varying(name: str) -> Node:
    """A site whose four validation patients are ranked as `AUCS` says; of equal ones the first is the best."""
    ordinary = site(name, 1.0, splits=("train", "validation", "test"))
    scores = {0.5: [0.9, 0.1], 0.75: [0.9, 0.6], 1.0: [0.9, 0.8]}

    def answer(kind: str, content: RecordDict) -> RecordDict | Error | None:
        if kind != "evaluate":
            return ordinary(kind, content)
        plan = records.unpack_plan(content)
        histogram = ScoreHistogram.from_scores([*scores[AUCS[plan.round]], 0.7, 0.3], [1, 1, 0, 0])
        counted = dict.fromkeys(CLASSES, histogram)
        return pack_evaluation(SiteEvaluation(plan.round, requested_split(content), counted))

    return answer


def finished(out: Path, resume: bool = False, from_round: int = 0, **raw: object) -> RunMetrics:
    grid = FunctionGrid({1: varying("a"), 2: varying("b")})
    settings = run_settings({"deadline_s": 60, "wait_s": 0, "norm_ratio": 0, **raw})
    run_federation(grid, settings, out, resume, from_round)
    return load_metrics(out)


def first_weight(model: Path) -> float:
    return float(flat_weights(load_network(model)[0])[0])


def test_training_ends_where_patience_does_and_the_best_model_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "run"
    metrics = finished(out, rounds=7, patience=3, final_model="best")
    chosen = metrics.selection
    assert chosen is not None
    assert [line.round for line in metrics.rounds] == [1, 2, 3, 4, 5]
    assert chosen.stopped_early
    assert (chosen.chosen, chosen.best, chosen.last) == (
        "best",
        RoundValue(round=2, value=1.0),
        RoundValue(round=5, value=0.5),
    )
    assert metrics.test is not None
    assert metrics.test.any_hemorrhage.auc == 1.0
    assert metrics.validation is not None
    assert metrics.validation.any_hemorrhage.auc == 1.0
    assert (out / "model.safetensors").read_bytes() == (out / "model-best.safetensors").read_bytes()


def test_the_last_model_is_kept_unless_the_best_is_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "run"
    metrics = finished(out, rounds=4)
    assert metrics.selection is not None
    assert metrics.selection.chosen == "last"
    assert metrics.test is not None
    assert metrics.test.any_hemorrhage.auc == 0.75
    assert first_weight(out / "model.safetensors") == pytest.approx(first_weight(out / "model-best.safetensors") + 2)


def test_a_finished_run_goes_on_from_any_of_its_rounds(tmp_path: Path) -> None:
    out = tmp_path / "run"
    whole = finished(out, rounds=4)
    bytes_before = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").unlink()
    again = finished(out, resume=True, from_round=1, rounds=4)
    assert [line.round for line in again.rounds] == [line.round for line in whole.rounds]
    assert (out / "model.safetensors").read_bytes() == bytes_before
    with pytest.raises(DataError, match="round 9 is not over; go on from one of 1 to 4"):
        finished(out, resume=True, from_round=9, rounds=4)
    with pytest.raises(DataError, match=r"other settings \(rounds\)"):
        finished(out, resume=True, rounds=5)


def test_a_run_that_goes_on_is_not_gone_on_with_by_another(tmp_path: Path) -> None:
    out, told = tmp_path / "run", list[str]()

    def goes_on(kind: str, content: RecordDict) -> RecordDict | Error | None:
        if kind == "train":
            with pytest.raises(DataError) as error:
                finished(out, resume=True, rounds=1)
            told.append(str(error.value))
        return varying("a")(kind, content)

    settings = run_settings({"deadline_s": 60, "wait_s": 0, "norm_ratio": 0, "rounds": 1, "minimum_sites": 1})
    run_federation(FunctionGrid({1: goes_on}), settings, out)
    assert told == [f"{out}: another process goes on with this run; wait for it, or end it first."]
    assert load_metrics(out).rounds[0].sites["a"].status == "ok"


def test_going_back_forgets_a_best_model_of_later_rounds(tmp_path: Path) -> None:
    out = tmp_path / "run"
    finished(out, rounds=2)
    second = first_weight(out / "model-best.safetensors")
    nobody_trains = FunctionGrid({1: in_training(varying("a"), Error(0, ""))})
    settings = run_settings({"deadline_s": 60, "wait_s": 0, "norm_ratio": 0, "rounds": 2})
    with pytest.raises(RoundError):
        run_federation(nobody_trains, settings, out, resume=True, from_round=1)
    assert first_weight(out / "model-best.safetensors") == pytest.approx(second - 1)


@pytest.mark.parametrize(("keep", "left"), [(True, {0, 1, 2, 3, 4, 5}), (False, {0, 1, 2, 4, 5})])
def test_weights_of_rounds_are_kept_by_policy(keep: bool, left: set[int], tmp_path: Path) -> None:
    finished(tmp_path / "run", rounds=5, keep_rounds=keep, final_model="best")
    names = {path.name for path in (tmp_path / "run" / "journal").glob("*.safetensors")}
    assert names == {f"round-{number}.safetensors" for number in left}


def test_a_best_model_whose_sites_no_longer_have_their_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="final_model: best does not go with fedbn"):
        finished(tmp_path / "run", strategy="fedbn", final_model="best")


def test_a_network_without_the_norms_that_a_strategy_leaves_at_the_sites_is_said_first(tmp_path: Path) -> None:
    model = {"preset": "tiny", "network": {"norm_from": 10_000}}
    with pytest.raises(SettingsError, match="norm"):
        finished(tmp_path / "run", strategy="fedbn", model=model)
    assert not (tmp_path / "run").exists()
