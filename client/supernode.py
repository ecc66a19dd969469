"""`python -m client.supernode FOLDER HEALTH ADDRESS flower-supernode ARGUMENT...`: a site's SuperNode, with its guard.

`bloodnet-client run` becomes this process; nobody else starts it.
"""

import logging
import os
import re
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import psutil
from flwr.app import Message
from flwr.common.constant import ErrorCode
from flwr.supercore.exit import ExitCode, add_exit_handler, flwr_exit
from flwr.supercore.logger import FLOWER_LOGGER, console_handler, update_console_handler
from flwr.supernode.cli import flower_supernode

from bloodnet_model.commands import run_command
from bloodnet_model.errors import BloodNetError
from bloodnet_model.garbage import leave_as_it_is
from client.approval import approved_bundles, keep_refused
from client.connection import Connection, watch_requests
from client.egress import Departure, write_down
from client.guard import Judge, stand_guard
from client.health import Health
from client.policy import NOT_APPROVED
from client.receiving import answer_at_once
from client.site_settings import Site, read_site
from strategies.bundle import bundle_digest, bundle_files, own_digest

NODE_ERROR: Final = "node-error"
"""Code in the egress log of an app's process that failed; the coordinator calls it so, too."""

_GRACE_S: Final = 5.0
_NOISE: Final = "|".join(
    (
        r"\s*",
        "FAB verification failed.*",
        "Cannot get processing duration.*",
        "Connection (attempt failed|successful).*",
    )
)
"""Messages of Flower's that say nothing, or what our own say better, about a refused bundle or an outage."""

log = logging.getLogger("bloodnet.client")


def main() -> None:
    folder, health_address, own_address, *sys.argv = sys.argv[1:]
    site = read_site(Path(folder))
    set_up_logs()
    connection = Connection(Health(health_address).connected)
    watch_requests(connection)
    add_exit_handler(end_children, run_before_force_exit=True)
    add_exit_handler(lambda: os._exit(1) if connection.refused else None)  # the last one; Flower would exit with 0
    own = own_digest()
    stand_guard(judge_for(site, own), lambda error: note_error(site.kept, error))
    log.info("%s connects to %s; bundle %s is installed", site.settings.name, site.settings.policy.coordinator, own)
    answer_at_once(own_address)
    leave_as_it_is()
    flower_supernode()
    flwr_exit(ExitCode.SUPERNODE_CONNECTION_ERROR, "The node has ended; its threads would go on.")


def end_children() -> None:
    """End the app where it is at work: Flower would let it train on, and find out in its own time that nobody listens.

    It is interrupted as by Ctrl-C, so that it takes away a file that it has begun to write.
    """
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.Error):
            child.send_signal(signal.SIGINT)
    for child in psutil.wait_procs(children, _GRACE_S)[1]:
        with suppress(psutil.Error):
            child.kill()


def judge_for(site: Site, own: str) -> Judge:
    """Says yes to the bundle with digest `own`, that of this installation, and to those that IT approved."""

    def judge(bundle: bytes, said_hash: str, run: int) -> bool:
        digest = bundle_digest(bundle_files(bundle))
        right = sha256(bundle).hexdigest() == said_hash
        if right and digest in {own, *approved_bundles(site.kept).names()}:
            log.info("Run %d brings bundle %s: %s", run, digest, "as installed" if digest == own else "approved here")
            return True
        log.error(
            "Run %d is refused: bundle %s is not approved at %s, and nothing of it was run. "
            "`bloodnet-client review %s` shows how it differs from what is installed.",
            *(run, digest, site.settings.name, digest),
        )
        keep_refused(site.kept, digest, bundle)
        return False

    return judge


def set_up_logs() -> None:
    """One line an event, with its time; colours for a terminal alone."""
    logging.basicConfig(format="%(levelname)s %(asctime)s: %(message)s", level=logging.WARNING)
    log.setLevel(logging.INFO)
    FLOWER_LOGGER.propagate = False
    FLOWER_LOGGER.addFilter(lambda record: not re.fullmatch(_NOISE, record.getMessage()))
    level = min(logging.INFO, console_handler.level)
    update_console_handler(level=level, timestamps=True, colored=sys.stderr.isatty())


def note_error(kept: Path, error: Message) -> None:
    """Write the egress log's line of an answer that Flower made itself: a refused bundle, or a process that failed.

    It leaves even if that cannot be written, for Flower would wait for it for ever; it says no more than a number.
    """
    try:
        write_down(kept, _error_line(error))
    except BloodNetError as failure:
        log.error("Run %d: error %d leaves without a line: %s", error.metadata.run_id, error.error.code, failure)


def _error_line(error: Message) -> Departure:
    said = error.metadata
    return Departure(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        run=str(said.run_id),
        round=0,
        kind=said.message_type,
        code=NOT_APPROVED if error.error.code == ErrorCode.INVALID_FAB else NODE_ERROR,
        bytes=len(error.deflate()),
        sha256=error.object_id,
        norm=None,
        clipped=None,
        seconds=0.0,
    )


if __name__ == "__main__":
    run_command(main)
