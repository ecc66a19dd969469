"""What others build on: names at the doors of the rooms. Removing one breaks somebody; adding one is a decision."""

from importlib import import_module

import pytest

DOORS = {
    "bloodnet_model.network": {"BloodNet", "SliceOutput", "build_network", "seen_by_classifier"},
    "bloodnet_model.metrics": {"ScoreHistogram", "summary"},
    "bloodnet_model.paired": {"PlacementSums", "difference", "placement_sums"},
    "bloodnet_model.run_metrics": {"RunMetrics", "load_metrics"},
    "bloodnet_model.weights": {"flat_weights", "load_network", "save_network", "set_flat_weights"},
    "bloodnet_model.training": {"Schedule", "TrainingResult", "train_round"},
    "bloodnet_model.prediction": {"Prediction", "predict_study"},
    "bloodnet_model.preprocessing": {"prepare_mask", "prepare_volume"},
    "bloodnet_model.settings": {"ModelSettings", "model_settings"},
    "bloodnet_model.study": {"Study"},
    "strategies.registry": {"STRATEGIES", "make_strategy"},
    "strategies.evaluation_records": {"SiteEvaluation"},
    "strategies.records": {"RoundPlan", "SiteInfo", "Update"},
    "client.app": {"app"},
    "client.dataset": {"SPLITS", "OnProgress", "Site", "SiteData", "SiteSettings", "Split", "load_site", "prepare"},
    "client.dicom": {"SliceHeader", "decode_hu", "read_headers", "read_slice_hu"},
    "server.app": {"app"},
    "server.report": {"render_report"},
    "simulation.federation": {"simulate"},
    "simulation.engines.local": {"LocalGrid"},
    "simulation.phantom": {"PhantomSettings", "draw_study", "write_federation"},
}
HISTOGRAM = {"from_scores", "auc", "auc_error_bound", "auc_interval", "__add__"}


@pytest.mark.parametrize("module", DOORS)
def test_the_doors_hold_their_names(module: str) -> None:
    missing = {name for name in DOORS[module] if not hasattr(import_module(module), name)}
    assert not missing


def test_what_a_room_lists_is_what_it_has() -> None:
    for module in ("client.dataset", "simulation.phantom"):
        door = import_module(module)
        assert all(hasattr(door, name) for name in door.__all__)
    assert set(import_module("client.dataset").__all__) == DOORS["client.dataset"]


def test_the_histogram_keeps_its_methods() -> None:
    histogram = import_module("bloodnet_model.metrics").ScoreHistogram
    assert set(dir(histogram)) >= HISTOGRAM


def test_the_apps_are_flower_apps() -> None:
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp

    assert isinstance(import_module("client.app").app, ClientApp)
    assert isinstance(import_module("server.app").app, ServerApp)
