"""The guard in Flower's own functions: what it lets through, and that whatever goes wrong refuses."""

import dataclasses
from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.cli.install import install_from_fab
from flwr.common.config import get_fab_config, get_metadata_from_config, get_project_dir
from flwr.common.constant import ErrorCode
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.nodestate import NodeStateFactory

from bloodnet_model.errors import SettingsError
from client.approval import approved_bundles
from client.audit import audit
from client.guard import TESTED, stand_guard
from client.site_settings import Site, SiteSettings
from client.supernode import judge_for, note_error
from strategies.bundle import app_bundle, bundle_digest, bundle_files
from tests.client.bundles import changed_bundle

NODE = import_module("flwr.supernode.start_client_internal")
PARTS = ("_pull_and_store_message", "_verify_fab", "_push_messages")
RUN = 5
NOTHING_ELSE: Mapping[str, str] = {}


@pytest.fixture(autouse=True)
def _flower_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the guard puts into Flower's module is taken out again; bundles are unpacked in `tmp_path`."""
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "flower"))
    for name in PARTS:
        monkeypatch.setattr(NODE, name, getattr(NODE, name))
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, SiteSettings(name="a", dicom=("d",)))


Sent = list[tuple[Message, bytes]]


def node_state() -> tuple[Any, Any]:
    state = NodeStateFactory(ObjectStoreFactory()).state()
    state.set_node_id(7)
    return state, ObjectStoreFactory().store()


def question() -> Message:
    asked = Message(RecordDict({"config": ConfigRecord({"a": 1})}), 7, "query.roll_call")
    asked.metadata.__dict__["_run_id"] = RUN
    asked.metadata.__dict__["_message_id"] = asked.object_id
    return asked


def pushed(state: Any, store: Any) -> Sent:
    """What Flower's own function sends: messages, and the bytes of the object that each of them is."""
    sent: list[Message] = []
    objects: dict[str, bytes] = {}

    def send(message: Message, tree: Any, _: float) -> tuple[set[str], str]:
        sent.append(message)
        return {tree.object_id}, "session"

    def push_object(_: int, __: str, object_id: str, content: bytes) -> None:
        objects[object_id] = content

    NODE._push_messages(state=state, object_store=store, send=send, push_object=push_object)
    return [(message, objects[message.metadata.message_id]) for message in sent]


def pulled(bundle: bytes, said_hash: str = "", said: Mapping[str, str] = NOTHING_ELSE, **verifications: str) -> str:
    """What Flower's own functions make of a first message whose run brings `bundle`: 'stored', or its error's number.

    said: what the coordinator says of the run, where that is not what its bundle says
    """
    (state, store), asked = node_state(), question()
    objects, tree = get_all_nested_objects(asked), get_object_tree(asked)
    fab_id, fab_version = get_metadata_from_config(get_fab_config(app_bundle()))
    told: dict[str, Any] = {
        "fab_id": fab_id,
        "fab_version": fab_version,
        "fab_hash": said_hash or sha256(bundle).hexdigest(),
        **said,
    }
    run = dataclasses.replace(Run.create_empty(RUN), **told)
    NODE._pull_and_store_message(
        state=state,
        object_store=store,
        node_config={},
        receive=lambda: (asked, tree),
        get_run=lambda _: run,
        get_fab=lambda fab_hash, _: Fab(said_hash or sha256(bundle).hexdigest(), bundle, verifications),
        pull_object=lambda _, object_id: objects[object_id].deflate(),
        confirm_message_received=lambda _, __: None,
        trusted_entities=None,
    )
    if state.get_run(RUN) is not None:
        return "stored"
    ((answer, _),) = pushed(state, store)  # no task was made, and the bundle was not kept
    return f"error {answer.error.code}"


def guarded(site: Site) -> None:
    stand_guard(judge_for(site, own()), lambda error: note_error(site.kept, error))


def own() -> str:
    return bundle_digest(bundle_files(app_bundle()))


def test_the_installed_bundle_goes_through(site: Site) -> None:
    guarded(site)
    assert pulled(app_bundle()) == "stored"
    assert not site.kept.exists()


def test_a_modified_bundle_is_refused_kept_and_logged_until_it_is_approved(site: Site) -> None:
    guarded(site)
    bundle = changed_bundle("raise SystemExit")
    digest = bundle_digest(bundle_files(bundle))
    assert pulled(bundle) == f"error {ErrorCode.INVALID_FAB}"
    (line,) = audit(site.kept).lines
    assert (line.kind, line.code, line.run) == ("query.roll_call", "not-approved", str(RUN))
    assert (site.kept / "refused" / f"{digest}.fab").read_bytes() == bundle
    approved_bundles(site.kept).grant(digest)
    assert pulled(bundle) == "stored"
    approved_bundles(site.kept).take_back(digest)
    assert pulled(bundle) != "stored"


def test_what_the_coordinator_says_of_a_bundle_changes_nothing(site: Site) -> None:
    guarded(site)
    assert pulled(changed_bundle("x = 1"), valid_license="approved at this site") != "stored"
    assert pulled(app_bundle(), valid_license="") == "stored"


def test_a_bundle_that_is_not_the_one_announced_is_refused(site: Site) -> None:
    guarded(site)
    assert pulled(app_bundle(), said_hash="0" * 64) != "stored"


@pytest.mark.parametrize(
    "said",
    [
        {"fab_id": "/", "fab_version": "/../elsewhere"},  # the folder would be any that ends with eight digits
        {"fab_version": "0.1"},  # or that of an earlier version
        {"fab_hash": "0" * 64},  # or that of another bundle
        {"primary_task_type": "flwr-agentapp"},
    ],
)
def test_a_run_that_is_called_other_than_its_bundle_is_refused(site: Site, said: Mapping[str, str]) -> None:
    guarded(site)
    assert pulled(app_bundle(), said=said) == f"error {ErrorCode.INVALID_FAB}"


def test_what_lies_where_a_bundle_will_be_unpacked_is_not_run(site: Site) -> None:
    """Flower passes over a folder that is there; eight digits of a hash are soon found."""
    bundle = app_bundle()
    there = get_project_dir(*get_metadata_from_config(get_fab_config(bundle)), sha256(bundle).hexdigest())
    (there / "client").mkdir(parents=True)
    (there / "client" / "app.py").write_text("of a bundle that is approved no longer")
    guarded(site)
    assert pulled(bundle) == "stored"
    assert install_from_fab(bundle, skip_prompt=True) == there
    assert (there / "client" / "app.py").read_bytes() == bundle_files(bundle)["client/app.py"]


@pytest.mark.parametrize("bundle", [b"", b"no zip"])
def test_what_is_no_bundle_is_refused(site: Site, bundle: bytes) -> None:
    guarded(site)
    assert pulled(bundle) != "stored"


def test_approvals_that_cannot_be_read_refuse(site: Site) -> None:
    guarded(site)
    site.kept.mkdir(parents=True)
    approved_bundles(site.kept).path.write_text("{")
    assert pulled(changed_bundle("x = 1")) != "stored"


@pytest.mark.parametrize("answer", [None, 1, "yes", False])
def test_only_a_plain_yes_lets_through(answer: Any) -> None:
    stand_guard(lambda bundle, said_hash, run: answer, print)
    assert pulled(app_bundle()) != "stored"


def crash(state: Any, store: Any, text: str) -> str:
    """An app's process that failed has handed in its exception's text, as Flower's does; the id of its question."""
    asked = question()
    answer = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, text), reply_to=asked)
    NODE._insert_message(answer, state, store)
    return asked.metadata.message_id


def test_the_text_of_a_failed_process_stays_and_its_number_has_a_line(site: Site) -> None:
    guarded(site)
    state, store = node_state()
    asked = crash(state, store, "<class 'OSError'>:<'/data/patients-of-dr-mueller'>")
    ((message, content),) = pushed(state, store)
    assert message.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert message.metadata.reply_to_message_id == asked
    assert message.object_id == message.metadata.message_id == sha256(content).hexdigest()
    assert "mueller" not in str(message.error)
    assert b"mueller" not in content
    (line,) = audit(site.kept).lines
    assert (line.kind, line.code, line.run, line.sha256) == (
        "query.roll_call",
        "node-error",
        str(RUN),
        message.object_id,
    )
    assert not state.get_messages_legacy(is_reply=True)


def test_a_failed_process_does_not_stop_the_node_when_the_log_cannot_be_written(site: Site) -> None:
    guarded(site)
    site.cache.write_text("in the way")
    state, store = node_state()
    crash(state, store, "text")
    assert len(pushed(state, store)) == 1


def test_an_answer_of_the_app_is_sent_as_it_is(site: Site) -> None:
    guarded(site)
    state, store = node_state()
    answer = Message(RecordDict({"config": ConfigRecord({"b": 2})}), reply_to=question())
    NODE._insert_message(answer, state, store)
    ((message, _),) = pushed(state, store)
    assert message.content == answer.content
    assert not site.kept.exists()


def test_without_the_guard_texts_leave() -> None:
    state, store = node_state()
    crash(state, store, "/data/patients-of-dr-mueller")
    ((_, content),) = pushed(state, store)
    assert b"mueller" in content


def test_without_the_guard_a_modified_bundle_goes_through() -> None:
    """What the tests above would see if nothing stood there."""
    assert pulled(changed_bundle("x = 1")) == "stored"


def test_another_version_of_flower_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.guard.version", lambda _: "1.42.0")
    with pytest.raises(SettingsError, match=rf"flwr 1\.42\.0: .* install flwr=={TESTED}"):
        stand_guard(lambda bundle, said_hash, run: True, print)


@pytest.mark.parametrize("name", PARTS)
def test_changed_parts_of_flower_do_not_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(NODE, name, lambda message: None)
    with pytest.raises(SettingsError, match="nothing is started"):
        stand_guard(lambda bundle, said_hash, run: True, print)
    monkeypatch.delattr(NODE, name)
    with pytest.raises(SettingsError, match="nothing is started"):
        stand_guard(lambda bundle, said_hash, run: True, print)
