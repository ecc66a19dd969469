"""The guard in Flower's own functions: what it lets through, and that whatever goes wrong refuses."""

import dataclasses
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.nodestate import NodeStateFactory

from bloodnet_model.errors import SettingsError
from client.approval import approved_bundles, bundle_digest, bundle_files
from client.audit import audit
from client.guard import TESTED, stand_guard
from client.site_settings import Site, SiteSettings
from client.supernode import judge_for
from strategies.bundle import app_bundle
from tests.client.bundles import changed_bundle

NODE = import_module("flwr.supernode.start_client_internal")
RUN = 5


@pytest.fixture(autouse=True)
def _flower_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the guard puts into Flower's module is taken out again."""
    for name in ("_pull_and_store_message", "_verify_fab"):
        monkeypatch.setattr(NODE, name, getattr(NODE, name))
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, SiteSettings(name="a", dicom=("d",)))


def pulled(bundle: bytes, said_hash: str = "", **verifications: str) -> str:
    """What Flower's own function makes of a first message whose run brings `bundle`: 'stored', or its error's text."""
    store = ObjectStoreFactory().store()
    state = NodeStateFactory(ObjectStoreFactory()).state()
    state.set_node_id(7)
    question = Message(RecordDict({"config": ConfigRecord({"a": 1})}), 7, "query.roll_call")
    question.metadata.__dict__["_run_id"] = RUN
    question.metadata.__dict__["_message_id"] = question.object_id
    objects = get_all_nested_objects(question)
    said = said_hash or sha256(bundle).hexdigest()
    run = dataclasses.replace(Run.create_empty(RUN), fab_id="bloodnet/x", fab_version="1", fab_hash=said)
    tree = get_object_tree(question)
    NODE._pull_and_store_message(
        state=state,
        object_store=store,
        node_config={},
        receive=lambda: (question, tree),
        get_run=lambda _: run,
        get_fab=lambda fab_hash, _: Fab(fab_hash, bundle, verifications),
        pull_object=lambda _, object_id: objects[object_id].deflate(),
        confirm_message_received=lambda _, __: None,
        trusted_entities=None,
    )
    answers = state.get_messages_legacy(is_reply=True)
    if answers:
        assert state.get_run(RUN) is None  # and so no task was made, and the bundle was not kept
        return str(answers[0].error.reason)
    assert state.get_run(RUN) is not None
    return "stored"


def own() -> str:
    return bundle_digest(bundle_files(app_bundle()))


def test_the_installed_bundle_goes_through(site: Site) -> None:
    stand_guard(judge_for(site, own()))
    assert pulled(app_bundle()) == "stored"
    assert not site.kept.exists()


def test_a_modified_bundle_is_refused_kept_and_logged_until_it_is_approved(site: Site) -> None:
    stand_guard(judge_for(site, own()))
    bundle = changed_bundle("raise SystemExit")
    digest = bundle_digest(bundle_files(bundle))
    assert pulled(bundle) == "The FAB could not be verified."
    (line,) = audit(site.kept).lines
    assert (line.kind, line.code, line.run, line.sha256) == ("bundle", "not-approved", str(RUN), digest)
    assert (site.kept / "refused" / f"{digest}.fab").read_bytes() == bundle
    approved_bundles(site.kept).grant(digest)
    assert pulled(bundle) == "stored"
    approved_bundles(site.kept).take_back(digest)
    assert pulled(bundle) != "stored"


def test_what_the_coordinator_says_of_a_bundle_changes_nothing(site: Site) -> None:
    stand_guard(judge_for(site, own()))
    assert pulled(changed_bundle("x = 1"), valid_license="approved at this site") != "stored"
    assert pulled(app_bundle(), valid_license="") == "stored"


def test_a_bundle_that_is_not_the_one_announced_is_refused(site: Site) -> None:
    stand_guard(judge_for(site, own()))
    assert pulled(app_bundle(), said_hash="0" * 64) != "stored"


@pytest.mark.parametrize("bundle", [b"", b"no zip"])
def test_what_is_no_bundle_is_refused(site: Site, bundle: bytes) -> None:
    stand_guard(judge_for(site, own()))
    assert pulled(bundle) != "stored"


def test_approvals_that_cannot_be_read_refuse(site: Site) -> None:
    stand_guard(judge_for(site, own()))
    site.kept.mkdir(parents=True)
    approved_bundles(site.kept).path.write_text("{")
    assert pulled(changed_bundle("x = 1")) != "stored"


@pytest.mark.parametrize("answer", [None, 1, "yes", False])
def test_only_a_plain_yes_lets_through(answer: Any) -> None:
    stand_guard(lambda bundle, said_hash, run: answer)
    assert pulled(app_bundle()) != "stored"


def test_without_the_guard_a_modified_bundle_goes_through() -> None:
    """What the tests above would see if nothing stood there."""
    assert pulled(changed_bundle("x = 1")) == "stored"


def test_another_version_of_flower_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.guard.version", lambda _: "1.42.0")
    with pytest.raises(SettingsError, match=rf"flwr 1\.42\.0: .* install flwr=={TESTED}"):
        stand_guard(lambda bundle, said_hash, run: True)


@pytest.mark.parametrize("name", ["_pull_and_store_message", "_verify_fab"])
def test_changed_parts_of_flower_do_not_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(NODE, name, lambda message: None)
    with pytest.raises(SettingsError, match="nothing is started"):
        stand_guard(lambda bundle, said_hash, run: True)
    monkeypatch.delattr(NODE, name)
    with pytest.raises(SettingsError, match="nothing is started"):
        stand_guard(lambda bundle, said_hash, run: True)
