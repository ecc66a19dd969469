"""The refusal inside the SuperNode's own process: a bundle that is not approved is never unpacked or run.

Flower has no door for a site's own check, and of bundles that are not signed by its makers it refuses all or none. So
two functions of its SuperNode are wrapped: the one that fetches a bundle when a run's first message comes, and the one
that would verify its signature. A refused message is answered with Flower's own error for bundles; other runs go on.
Flower unpacks a bundle into a folder that it names after what the coordinator says of the run, and where that folder is
there already it runs what lies in it: so a run has to say what its bundle says, and the folder is made anew.
A third function is wrapped so that errors leave without their texts (`client.bare_errors`). Since all this stands on
Flower's inner parts, it stands on one version of them, and does not start on another.
"""

import dataclasses
import inspect
import logging
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from importlib.metadata import version
from shutil import rmtree
from typing import Any, Final, TypeGuard

from flwr.common.config import get_fab_config, get_metadata_from_config, get_project_dir
from flwr.supercore.constant import TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.run import Run

from bloodnet_model.errors import SettingsError
from client.bare_errors import OnError, without_texts

TESTED: Final = "1.41.0"
"""The version of Flower whose SuperNode was read and tried."""

Judge = Callable[[bytes, str, int], bool]
"""Told a bundle, the hash that the coordinator gives it, and the number of its run: whether it may run here."""

GetFab = Callable[[str, int], Fab]
"""Flower's way to a bundle: by its hash and its run's number."""

MODULE: Final = "flwr.supernode.start_client_internal"
PULL, _VERIFY, _PUSH = "_pull_and_store_message", "_verify_fab", "_push_messages"
_VERDICT: Final = "valid_license"
"""Flower looks whether a bundle's verifications have this key, and verifies further if so."""
_APPROVED, _REFUSED = "approved at this site", "not approved at this site"

log = logging.getLogger("bloodnet.client")


def stand_guard(judge: Judge, on_error: OnError) -> None:
    """From now on a SuperNode of this process runs a bundle only if `judge` says so; whatever `judge` raises refuses.

    on_error: told of every answer that is an error, of a refused bundle's too
    Raises SettingsError on another version of Flower than `TESTED`, or where its parts are not what they were.
    """
    node = import_module(MODULE)
    pull, verify, push = (getattr(node, name, None) for name in (PULL, _VERIFY, _PUSH))
    if not (
        version("flwr") == TESTED
        and _takes(pull, "get_run", "get_fab", "trusted_entities")
        and _takes(verify, "fab")
        and _takes(push, "state", "object_store")
    ):
        raise SettingsError(
            f"flwr {version('flwr')}: the check of what runs here was tried with {TESTED} alone, so nothing is "
            f"started; install flwr=={TESTED}."
        )
    setattr(node, PULL, _judged(pull, judge))
    setattr(node, _VERIFY, lambda fab, _: fab.verifications == {_VERDICT: _APPROVED})
    setattr(node, _PUSH, without_texts(push, on_error))


def _judged(pull: Callable[..., int | None], judge: Judge) -> Callable[..., int | None]:
    @wraps(pull)
    def pull_judged(
        *,
        get_run: Callable[[int], Run],
        get_fab: Callable[[str, int], Fab],
        trusted_entities: object = None,
        **others: Any,
    ) -> int | None:
        runs: dict[int, Run] = {}

        def ask(run_id: int) -> Run:
            runs[run_id] = get_run(run_id)  # once: this answer is the one that Flower keeps
            return runs[run_id]

        def fetch(fab_hash: str, run_id: int) -> Fab:
            fab = get_fab(fab_hash, run_id)
            verdict = _APPROVED if _allows(judge, fab, runs[run_id]) else _REFUSED
            return dataclasses.replace(fab, verifications={_VERDICT: verdict})  # not those that came with it

        return pull(get_run=ask, get_fab=fetch, trusted_entities={"this site": "verifies itself"}, **others)

    return pull_judged


def _allows(judge: Judge, fab: Fab, run: Run) -> bool:
    try:
        if judge(fab.content, fab.hash_str, run.run_id) is not True:
            return False
        if not _is_what_its_bundle_says(run, fab):
            log.error("Run %d is refused: the coordinator calls it another app than its bundle is", run.run_id)
            return False
        _remove_unpacked(run)
        return True
    except Exception as error:
        log.error("Run %d is refused: its bundle could not be judged (%s: %s)", run.run_id, type(error).__name__, error)
        return False


def _is_what_its_bundle_says(run: Run, fab: Fab) -> bool:
    """Whether Flower will unpack `fab` and run just that: it finds an app by the name, version and hash of the run."""
    app = get_metadata_from_config(get_fab_config(fab.content))
    return (
        (run.fab_id, run.fab_version) == app
        and run.fab_hash == fab.hash_str
        and run.primary_task_type == TaskType.SERVER_APP
    )


def _remove_unpacked(run: Run) -> None:
    """Remove what lies where the bundle of `run` will be unpacked; raises OSError where it stays.

    The folder's name has eight digits of the bundle's hash: one can be made to fit that of another bundle, which was
    approved once and is no longer.
    """
    folder = get_project_dir(run.fab_id, run.fab_version, run.fab_hash)
    if folder.is_symlink() or folder.exists():
        rmtree(folder)


def _takes(function: Callable[..., Any] | None, *names: str) -> TypeGuard[Callable[..., Any]]:
    return callable(function) and set(names) <= set(inspect.signature(function).parameters)
