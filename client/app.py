"""The Flower ClientApp of a hospital. Handlers only translate: unpack, call one function, pack.

What leaves is what `strategies.records` can hold. An error leaves as its code; its text stays in the site's log.
"""

import logging
import os
import time
import traceback
from collections.abc import Callable, Mapping
from functools import wraps
from importlib.metadata import version
from pathlib import Path

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from bloodnet_model.device import best_device
from bloodnet_model.errors import BloodNetError, DataError, LowCoverage, Withheld
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.seeds import derive_seed
from bloodnet_model.training import Schedule, train_round
from bloodnet_model.weights import flat_weights, set_flat_weights
from client.dataset import SPLITS, SiteData, Split, load_site, prepare
from client.evaluation import compare_at_site, evaluate_at_site
from client.machine import within_limits
from client.preview import refresh_preview
from client.state import SiteState
from strategies import evaluation_records, records
from strategies.records import RoundPlan, SiteInfo, Update

app = ClientApp()
log = logging.getLogger("bloodnet.client")

SITE_FOLDER = "site-folder"
"""Key of a node's own configuration: `flower-supernode --node-config 'site-folder="/data"'`."""

SITES_VARIABLE = "BLOODNET_SITES"
"""Set on the machine of Flower's simulation engine: a folder of site folders, of which node i takes the i-th."""

Handler = Callable[[Message, Context], Message]


def answering(handle: Callable[[RecordDict, SiteData], RecordDict]) -> Handler:
    """A Flower handler that opens the site's data, answers with `handle`'s records, or with an error's code alone."""

    @wraps(handle)
    def handler(message: Message, context: Context) -> Message:
        try:
            plan = records.unpack_plan(message.content)
            site = load_site(site_folder(context.node_config, os.environ))
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
        return Message(content, reply_to=message)

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
    weights, plan, proximal_mu = records.unpack_instruction(content)
    return records.pack_update(train_at_site(data, weights, plan, proximal_mu))


@app.evaluate()
@answering
def evaluate(content: RecordDict, data: SiteData) -> RecordDict:
    weights, plan, _ = records.unpack_instruction(content)
    split = allowed_split(data, evaluation_records.requested_split(content))
    threshold = evaluation_records.requested_threshold(content)
    found = evaluate_at_site(data, _network(data, plan, weights), plan, split, threshold)
    return evaluation_records.pack_evaluation(found)


@app.evaluate("compare")
@answering
def compare(content: RecordDict, data: SiteData) -> RecordDict:
    plan, request = records.unpack_plan(content), evaluation_records.unpack_comparison(content)
    split = allowed_split(data, request.split)
    networks = [_network(data, plan, weights) for weights in request.weights]
    sums = compare_at_site(data, networks, plan.model, request, split)
    return records.refusal("too-few-of-a-class") if sums is None else evaluation_records.pack_placements(sums)


def allowed_split(data: SiteData, split: str) -> Split:
    """`split`; raises Withheld where this site says nothing of it."""
    if split not in SPLITS:
        raise Withheld("unknown-split")
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


def train_at_site(data: SiteData, weights: np.ndarray, plan: RoundPlan, proximal_mu: float) -> Update:
    """Train from `weights` on this site's training studies; its seed is that of (run, site, round)."""
    started = time.monotonic()
    network = _network(data, plan, weights)
    state = SiteState(data.site.cache, plan.run)
    studies = data.studies("train")
    result = train_round(
        network,
        studies,
        plan.model,
        Schedule(plan.round, plan.total_rounds, plan.local_epochs, plan.local_steps),
        np.random.default_rng(derive_seed(plan.seed, data.site.settings.name, plan.round)),
        state.after(plan.counted_round),
        proximal_mu,
    )
    if plan.round < plan.total_rounds:
        state.save(plan.round, result.optimizer_state, plan.counted_round)
    losses = (result.loss, result.mask_loss, result.slice_loss, result.study_loss)
    return Update(
        flat_weights(network),
        len(studies),
        result.steps,
        losses,
        time.monotonic() - started,
        plan.round,
        sum(int(study.mask_known.sum()) for study in studies),
    )


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


def _kind(message: Message) -> str:
    return message.metadata.message_type


def _place(error: BaseException) -> str:
    """Where an error arose, by line of code: a traceback without its texts."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-3:]))


def _network(data: SiteData, plan: RoundPlan, weights: np.ndarray) -> BloodNet:
    network = build_network(plan.model, seed=0)
    set_flat_weights(network, weights)
    return network.to(best_device(data.site.settings.device))
