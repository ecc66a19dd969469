from dataclasses import replace

import numpy as np
import pytest
from flwr.app import RecordDict

from bloodnet_model.errors import SettingsError, UnusableAnswer
from bloodnet_model.settings import ModelSettings
from strategies import records
from strategies.records import RoundPlan, SiteInfo, Update


def test_an_update_goes_round() -> None:
    weights, change = np.array([1.5, -2], np.float32), np.array([0.5, 3], np.float32)
    sent = Update(weights, 60, 120, (2.0, 1.0, 0.6, 0.4), 3.5, 7, 900, change)
    received = records.unpack_update(records.pack_update(sent))
    assert received.weights[:].tolist() == [1.5, -2]
    assert received.control_change is not None
    assert received.control_change[:].tolist() == [0.5, 3]
    assert replace(received, weights=weights, control_change=change) == sent


def test_most_updates_have_one_vector() -> None:
    content = records.pack_update(Update(np.ones(2, np.float32), 1, 1, (1.0, 0.0, 0.0, 0.0), 1.0))
    assert list(content.array_records) == ["arrays"]
    assert records.unpack_update(content).control_change is None


def test_site_info_goes_round() -> None:
    info = SiteInfo("hospital-1", "0.1.0", {"train-studies": 6}, {"used": 8, "localizer": 2})
    assert records.unpack_site_info(records.pack_site_info(info)) == info


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (SiteInfo("../a", "0.1.0", {}, {}), "bad-name"),
        (SiteInfo("a", "\x1b]0;0.1.0", {}, {}), "bad-version"),
        (SiteInfo("a", "0.1.0", {"<script>": 1}, {}), "bad-counts"),
        (SiteInfo("a", "0.1.0", {}, {"DOE^JANE": 1}), "bad-counts"),
    ],
)
def test_words_that_no_site_can_have_are_refused(info: SiteInfo, reason: str) -> None:
    with pytest.raises(UnusableAnswer, match=f": {reason}"):
        records.unpack_site_info(records.pack_site_info(info))


def test_a_refusal_is_a_code_and_nothing_else() -> None:
    content = records.refusal("bad-data")
    assert records.status_code(content) == "bad-data"
    assert list(content) == ["status"]
    assert records.status_code(RecordDict()) == "no-status"


def test_a_plan_that_does_not_fit_is_refused(small: ModelSettings) -> None:
    plan = RoundPlan(run="r", seed=0, round=1, total_rounds=2, local_epochs=1, model=small)
    config = records.pack_plan(plan)
    config["plan"] = str(config["plan"]).replace("local_epochs", "lokal_epochs")
    with pytest.raises(SettingsError, match="plan"):
        records.unpack_plan(records.question(config))
