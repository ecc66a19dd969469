"""Stock Flower in its simulation engine: `python -m benchmarks.peers.flower_ray FOLDER STEPS`."""

import os
import sys
from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.server.superlink.fleet.vce.backend.backend import BackendConfig
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.peers.work import AT_ONCE, CLIENTS, ROUNDS, answer, first_arrays, leave

client_app, server_app = ClientApp(), ServerApp()


@client_app.train()
def train(message: Message, _: Context) -> Message:
    arrays, config = message.content.array_records["arrays"], message.content.config_records["config"]
    trained = answer(arrays.to_numpy_ndarrays(), int(str(config["steps"])))
    content = RecordDict({"arrays": ArrayRecord(trained), "metrics": MetricRecord({"num-examples": 1})})
    return Message(content, reply_to=message)


@server_app.main()
def main(grid: Grid, _: Context) -> None:
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=CLIENTS, min_available_nodes=CLIENTS)
    result = strategy.start(
        grid, ArrayRecord(first_arrays(folder)), num_rounds=ROUNDS, train_config=ConfigRecord({"steps": steps})
    )
    leave(folder, result.arrays.to_numpy_ndarrays())


if __name__ == "__main__":
    each: BackendConfig = {"client_resources": {"num_cpus": len(os.sched_getaffinity(0)) / AT_ONCE, "num_gpus": 0.0}}
    run_simulation(server_app, client_app, CLIENTS, backend_config=each)
