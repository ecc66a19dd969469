"""The Flower ClientApp of a hospital. Handlers only translate: unpack, call one function, pack.

What leaves is what `strategies.records` can hold. An error leaves as its code; its text stays in the site's log.
"""

import logging
import os
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from importlib.metadata import version
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from bloodnet_model.errors import BloodNetError, DataError, LowCoverage, Withheld
from client.approval import allowed_runs
from client.dataset import SPLITS, SiteData, Split, load_site, prepare
from client.egress import Asked, depart, trained_s
from client.evaluation import compare_at_site, evaluate_at_site
from client.local_training import network_of, own_network, train_at_site
from client.machine import within_limits
from client.policy import NOT_LOGGED, require_allowed, require_metrics, require_training, shown
from client.preview import refresh_preview
from client.site_settings import Metric, read_site
from strategies import evaluation_records, records
from strategies.records import SiteInfo

app = ClientApp()
log = logging.getLogger("bloodnet.client")

SITE_FOLDER = "site-folder"
"""Key of a node's own configuration: `flower-supernode --node-config 'site-folder="/data"'`."""

SITES_VARIABLE = "BLOODNET_SITES"
"""Set on the machine of Flower's simulation engine: a folder of site folders, of which node i takes the i-th."""

Handler = Callable[[Message, Context], Message]


def answering(handle: Callable[[RecordDict, SiteData], RecordDict]) -> Handler:
    """A Flower handler that opens the site's data, answers with `handle`'s records, or with an error's code alone.

    Nothing leaves that the site's policy forbids, or that is not in its egress log.
    """

    @wraps(handle)
    def handler(message: Message, context: Context) -> Message:
        started = time.monotonic()
        try:
            plan = records.unpack_plan(message.content)
            site = load_site(site_folder(context.node_config, os.environ))
            require_allowed(site.settings.policy, plan.run, allowed_runs(site.kept))
            with within_limits(site.settings):
                content = handle(message.content, covered(prepare(site, plan.model.preprocessing)))
        except Withheld as withheld:
            content = records.refusal(withheld.reason)
        except BloodNetError as error:  # its text may name a file: whoever wants it runs `check` at the site
            log.error("Refused a %s message: %s. `bloodnet-client check` says why.", _kind(message), error.code)
            content = records.refusal(error.code)
        except Exception as error:  # whatever it is, its text may hold a path or a UID
            log.error("Could not answer a %s message: %s at %s", _kind(message), type(error).__name__, _place(error))
            content = records.refusal("internal-error")
        return Message(_departing(message, context, content, time.monotonic() - started), reply_to=message)

    return handler


@app.query("roll_call")
@answering
def roll_call(_: RecordDict, data: SiteData) -> RecordDict:
    try:
        refresh_preview(data)
    except BloodNetError as error:  # a picture is not worth the run
        log.warning("The contact sheet could not be written: %s", error.code)
    info = SiteInfo(data.site.settings.name, version("bloodnet-federation"), data.counts(), data.ledger_counts())
    return records.pack_site_info(info)


@app.train()
@answering
def train(content: RecordDict, data: SiteData) -> RecordDict:
    if not data.studies("train"):
        return records.refusal("no-studies")
    asked, site, now = records.unpack_training(content), data.site, datetime.now().astimezone()
    require_training(site.settings.policy, asked, len(data.studies("train")), now, trained_s(site, now))
    return records.pack_update(train_at_site(data, asked))


@app.evaluate()
@answering
def evaluate(content: RecordDict, data: SiteData) -> RecordDict:
    weights, plan, _ = records.unpack_instruction(content)
    split = allowed_split(data, evaluation_records.requested_split(content))
    threshold = evaluation_records.requested_threshold(content)
    found = evaluate_at_site(data, own_network(data, plan, weights), plan, split, threshold)
    return evaluation_records.pack_evaluation(shown(data.site.settings.policy, found))


@app.evaluate("compare")
@answering
def compare(content: RecordDict, data: SiteData) -> RecordDict:
    plan, request = records.unpack_plan(content), evaluation_records.unpack_comparison(content)
    split = allowed_split(data, request.split, "comparisons")
    first, second = request.weights
    networks = [own_network(data, plan, first), network_of(data, plan, second)]  # the second is not of this run
    sums = compare_at_site(data, networks, plan.model, request, split)
    return records.refusal("too-few-of-a-class") if sums is None else evaluation_records.pack_placements(sums)


def allowed_split(data: SiteData, split: str, *kinds: Metric) -> Split:
    """`split`; raises Withheld where this site says nothing of it, or no figures of these `kinds`."""
    if split not in SPLITS:
        raise Withheld("unknown-split")
    require_metrics(data.site.settings.policy, split, *kinds)
    studies = len(data.studies(split))
    if studies < data.site.settings.minimum_cohort:
        raise Withheld("below-minimum-cohort" if studies else "no-studies")
    return split


def covered(data: SiteData) -> SiteData:
    """`data`; raises LowCoverage where too many of the site's labelled studies are not among them."""
    coverage, least = data.coverage(), data.site.settings.minimum_coverage
    if coverage.share < least:
        raise LowCoverage(
            f"{data.site.folder}: {coverage.usable} of {coverage.labelled} labelled studies can be used, "
            f"fewer than the {least:.0%} of `minimum_coverage`; see why in {data.site.ledger}."
        )
    return data


def site_folder(node_config: Mapping[str, str | int | float | bool], environment: Mapping[str, str]) -> Path:
    """Where this node's site folder lies; only the node's own machine can say so, never the coordinator."""
    if SITE_FOLDER in node_config:
        return Path(str(node_config[SITE_FOLDER]))
    sites = environment.get(SITES_VARIABLE)
    if sites and "partition-id" in node_config:
        folders = sorted(path.parent for path in Path(sites).glob("*/site.yaml"))
        if int(node_config["partition-id"]) < len(folders):
            return folders[int(node_config["partition-id"])]
    raise DataError(f"This node knows no site folder; start it with --node-config '{SITE_FOLDER}=\"/path\"'.")


def _departing(message: Message, context: Context, content: RecordDict, seconds: float) -> RecordDict:
    """`content` as it may leave, once it stands in the site's egress log; a code alone where it cannot."""
    try:
        site = read_site(site_folder(context.node_config, os.environ))
        return depart(site, _question(message), message.content, content, seconds, datetime.now(UTC))
    except Exception as error:
        log.error("A %s message is not answered: the egress log cannot be written (%s)", _kind(message), _place(error))
        return records.refusal(NOT_LOGGED)


def _question(message: Message) -> Asked:
    try:
        plan = records.unpack_plan(message.content)
    except Exception:  # its answer is a refusal already
        return Asked(_kind(message), "", 0)
    return Asked(_kind(message), plan.run, plan.round)


def _kind(message: Message) -> str:
    return message.metadata.message_type


def _place(error: BaseException) -> str:
    """Where an error arose, by line of code: a traceback without its texts."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-3:]))
