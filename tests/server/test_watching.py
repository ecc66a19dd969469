"""What whoever watches a run is told when it ends before its time."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from flwr.common.constant import Status, SubStatus
from flwr.supercore.run import RunStatus
from rich.console import Console

from bloodnet_model.errors import RoundError
from server.launch import NoAnswer, SuperLink, watch

RESUMABLE = "What it has done is in its journal, and it can be resumed."


class Told:
    """What is asked of a SuperLink."""

    def __init__(self, tell: Callable[[], RunStatus]) -> None:
        self._tell = tell

    def status(self, _: int) -> RunStatus:
        return self._tell()


def said(folder: Path, tell: Callable[[], RunStatus]) -> str:
    with pytest.raises(RoundError) as caught:
        watch(cast(SuperLink, Told(tell)), 7, folder, 2, Console(stderr=True))
    return str(caught.value)


def test_flowers_words_are_made_a_sentence_and_ours_are_given(tmp_path: Path) -> None:
    def failed(details: str) -> Callable[[], RunStatus]:
        return lambda: RunStatus(Status.FINISHED, SubStatus.FAILED, details)

    assert said(tmp_path, failed("No heartbeat")) == f"Run 7 failed (No heartbeat). {RESUMABLE}"
    assert said(tmp_path, failed("")) == f"Run 7 failed. {RESUMABLE}"
    assert said(tmp_path, failed("ServerApp failed with exception: The disk is full.")) == "The disk is full."


def test_a_superlink_that_is_gone_is_no_end_of_the_run(tmp_path: Path) -> None:
    def gone() -> RunStatus:
        raise NoAnswer("DIR: no SuperLink answers.")

    assert said(tmp_path, gone) == f"DIR: no SuperLink answers. {RESUMABLE}"
