"""NVFlare's FedAvg recipe in its simulator: `python -m benchmarks.peers.nvflare_fedavg FOLDER STEPS`."""

import sys
from pathlib import Path

import torch
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe  # type: ignore[import-not-found]
from nvflare.client.config import ExchangeFormat  # type: ignore[import-not-found]
from nvflare.recipe import SimEnv  # type: ignore[import-not-found]

from benchmarks.peers.work import CLIENTS, ROUNDS, leave


def main(folder: Path, steps: int) -> None:
    recipe = FedAvgRecipe(
        name="fedavg",
        model={"class_path": "benchmarks.peers.work.Model", "args": {"folder": str(folder)}},
        min_clients=CLIENTS,
        num_rounds=ROUNDS,
        train_script=str(Path(__file__).with_name("nvflare_client.py")),
        train_args=str(steps),
        server_expected_format=ExchangeFormat.NUMPY,
    )
    recipe.execute(SimEnv(num_clients=CLIENTS, workspace_root=str(folder / "nvflare")))
    (found,) = (folder / "nvflare").rglob("FL_global_model.pt")
    leave(folder, torch.load(found, weights_only=True)["model"].values())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
