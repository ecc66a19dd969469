"""The refusal inside the SuperNode's own process: a bundle that is not approved is never unpacked or run.

Flower has no door for a site's own check, and of bundles that are not signed by its makers it refuses all or none. So
two functions of its SuperNode are wrapped: the one that fetches a bundle when a run's first message comes, and the one
that would verify its signature. A refused message is answered with Flower's own error for bundles; other runs go on.
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
from typing import Any, Final, TypeGuard

from flwr.supercore.fab import Fab

from bloodnet_model.errors import SettingsError
from client.bare_errors import OnError, without_texts

TESTED: Final = "1.41.0"
"""The version of Flower whose SuperNode was read and tried."""

Judge = Callable[[bytes, str, int], bool]
"""Told a bundle, the hash that the coordinator gives it, and the number of its run: whether it may run here."""

GetFab = Callable[[str, int], Fab]
"""Flower's way to a bundle: by its hash and its run's number."""

_MODULE: Final = "flwr.supernode.start_client_internal"
_PULL, _VERIFY, _PUSH = "_pull_and_store_message", "_verify_fab", "_push_messages"
_VERDICT: Final = "valid_license"
"""Flower looks whether a bundle's verifications have this key, and verifies further if so."""
_APPROVED, _REFUSED = "approved at this site", "not approved at this site"

log = logging.getLogger("bloodnet.client")


def stand_guard(judge: Judge, on_error: OnError) -> None:
    """From now on a SuperNode of this process runs a bundle only if `judge` says so; whatever `judge` raises refuses.

    on_error: told of every answer that is an error, of a refused bundle's too
    Raises SettingsError on another version of Flower than `TESTED`, or where its parts are not what they were.
    """
    node = import_module(_MODULE)
    pull, verify, push = (getattr(node, name, None) for name in (_PULL, _VERIFY, _PUSH))
    if not (
        version("flwr") == TESTED
        and _takes(pull, "get_fab", "trusted_entities")
        and _takes(verify, "fab")
        and _takes(push, "state", "object_store")
    ):
        raise SettingsError(
            f"flwr {version('flwr')}: the check of what runs here was tried with {TESTED} alone, so nothing is "
            f"started; install flwr=={TESTED}."
        )
    setattr(node, _PULL, _judged(pull, judge))
    setattr(node, _VERIFY, lambda fab, _: fab.verifications == {_VERDICT: _APPROVED})
    setattr(node, _PUSH, without_texts(push, on_error))


def _judged(pull: Callable[..., int | None], judge: Judge) -> Callable[..., int | None]:
    @wraps(pull)
    def pull_judged(
        *, get_fab: Callable[[str, int], Fab], trusted_entities: object = None, **others: Any
    ) -> int | None:
        def fetch(fab_hash: str, run_id: int) -> Fab:
            fab = get_fab(fab_hash, run_id)
            verdict = _APPROVED if _allows(judge, fab, run_id) else _REFUSED
            return dataclasses.replace(fab, verifications={_VERDICT: verdict})  # not those that came with it

        return pull(get_fab=fetch, trusted_entities={"this site": "verifies itself"}, **others)

    return pull_judged


def _allows(judge: Judge, fab: Fab, run_id: int) -> bool:
    try:
        return judge(fab.content, fab.hash_str, run_id) is True
    except Exception as error:
        log.error("Run %d is refused: its bundle could not be judged (%s: %s)", run_id, type(error).__name__, error)
        return False


def _takes(function: Callable[..., Any] | None, *names: str) -> TypeGuard[Callable[..., Any]]:
    return callable(function) and set(names) <= set(inspect.signature(function).parameters)
