import numpy as np
import pytest
from flwr.app import RecordDict

from bloodnet_model.errors import SettingsError
from bloodnet_model.settings import ModelSettings
from strategies import records
from strategies.records import RoundPlan, SiteInfo, Update


def test_an_update_goes_round() -> None:
    sent = Update(np.array([1.5, -2], np.float32), 60, 120, (2.0, 1.0, 0.6, 0.4), 3.5)
    received = records.unpack_update(records.pack_update(sent))
    assert received.weights.tolist() == sent.weights.tolist()
    assert (received.studies, received.steps, received.losses, received.seconds) == (60, 120, sent.losses, 3.5)


def test_site_info_goes_round() -> None:
    info = SiteInfo("hospital-1", "0.1.0", {"train-studies": 6}, {"used": 8, "localizer": 2})
    assert records.unpack_site_info(records.pack_site_info(info)) == info


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
