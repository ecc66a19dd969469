"""A ClientApp for our ServerApp whose hospitals hold no data: it answers as the real one does, with made-up numbers."""

from importlib.metadata import version
from time import monotonic

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from benchmarks.peers.work import answer
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.network import build_network
from bloodnet_model.settings import ModelSettings
from strategies import evaluation_records, records


def client_app(steps: int, tested: int) -> ClientApp:
    """Sites with one study to train on, which they do by `work.answer`, and `tested` ones to validate and test on."""
    app = ClientApp()

    @app.query("roll_call")
    def roll_call(message: Message, context: Context) -> Message:
        counts = {"train-studies": 1, "validation-studies": tested, "test-studies": tested}
        info = records.SiteInfo(_name(context.node_id), version("bloodnet-federation"), counts, {})
        return Message(records.pack_site_info(info), reply_to=message)

    @app.train()
    def train(message: Message, _: Context) -> Message:
        started = monotonic()
        weights, plan, _mu = records.unpack_instruction(message.content)
        trained = answer(_split(weights, plan.model) if steps else [weights], steps)
        flat = np.concatenate([array.ravel() for array in trained])
        losses, seconds = (0.0, 0.0, 0.0, 0.0), monotonic() - started
        update = records.Update(flat, 1, plan.local_epochs, losses, seconds, plan.round)  # the gate: a step an epoch
        return Message(records.pack_update(update), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        plan, split = records.unpack_plan(message.content), evaluation_records.requested_split(message.content)
        found = evaluation_records.SiteEvaluation(plan.round, split, _histograms(context.node_id, tested))
        return Message(evaluation_records.pack_evaluation(found), reply_to=message)

    return app


def answered(message: Message, node_id: int, app: ClientApp) -> Message:
    """What a SuperNode does with a message."""
    context = Context(run_id=1, node_id=node_id, node_config={}, state=RecordDict(), run_config={})
    return app(message, context)


def _name(node_id: int) -> str:
    return f"hospital-{node_id}"


def _split(weights: NDArray[np.float32], model: ModelSettings) -> list[NDArray[np.float32]]:
    """The flat vector as the arrays of the network's parameters."""
    shapes = [parameter.shape for parameter in build_network(model, 0).parameters()]
    ends = np.cumsum([shape.numel() for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(weights, ends), shapes, strict=True)]


def _histograms(site: int, studies: int) -> dict[str, ScoreHistogram]:
    """Of scores that know a little, half of them of positive studies."""
    labels = np.arange(studies) % 2
    scores = 1 / (1 + np.exp(-np.random.default_rng(site).normal(2 * labels - 1.0, 1.0)))
    return {name: ScoreHistogram.from_scores(scores, labels.astype(np.int8)) for name in CLASSES}
