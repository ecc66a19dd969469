"""Flower as its own PyTorch examples use it: an array for each tensor, FedAvg, training and evaluation in each round.

Nothing is trained: the weights come back as they went.
"""

import json
import time
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

client_app = ClientApp()
server_app = ServerApp()


@client_app.train()
def train(message: Message, _: Context) -> Message:
    state = message.content.array_records["arrays"].to_torch_state_dict()
    content = RecordDict({"arrays": ArrayRecord(state), "metrics": MetricRecord({"num-examples": 1})})
    return Message(content, reply_to=message)


@client_app.evaluate()
def evaluate(message: Message, _: Context) -> Message:
    message.content.array_records["arrays"].to_torch_state_dict()
    return Message(RecordDict({"metrics": MetricRecord({"num-examples": 1, "loss": 0.0})}), reply_to=message)


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    shapes, rounds, sites = json.loads(str(config["shapes"])), int(config["rounds"]), int(config["sites"])
    state = {f"tensor-{i}": torch.randn(shape) for i, shape in enumerate(shapes)}

    def say(number: int, _: ArrayRecord) -> MetricRecord:
        with Path(str(config["told"])).open("a") as file:
            file.write(f"{number} {time.time()}\n" if number else "")
        return MetricRecord()

    strategy = FedAvg(min_train_nodes=sites, min_evaluate_nodes=sites, min_available_nodes=sites)
    strategy.start(grid, ArrayRecord(state), num_rounds=rounds, evaluate_fn=say)
