"""Strategies by name. A new one is a file beside this one and a line here."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final

from flwr.serverapp.strategy import Strategy

from bloodnet_model.errors import SettingsError
from strategies.fedavg import FedAvg
from strategies.fedprox import FedProx

STRATEGIES: Final[Mapping[str, Callable[[float], Strategy]]] = {
    "fedavg": lambda _: FedAvg(),
    "fedprox": FedProx,
}


def make_strategy(name: str, proximal_mu: float) -> Strategy:
    """The strategy called `name`, or any Flower strategy given as `module:Class` (made with its defaults)."""
    if name in STRATEGIES:
        return STRATEGIES[name](proximal_mu)
    module_name, _, class_name = name.partition(":")
    try:
        kind = getattr(import_module(module_name), class_name) if class_name else None
    except (ImportError, AttributeError):
        kind = None
    if not (isinstance(kind, type) and issubclass(kind, Strategy)):
        raise SettingsError(
            f"strategy: {name!r} is unknown; choose one of {', '.join(STRATEGIES)}, "
            "or name a Flower strategy as module:Class (flwr.serverapp.strategy:FedMedian)."
        )
    try:
        strategy = kind()
    except TypeError:
        raise SettingsError(
            f"strategy: {name} cannot be made without settings of its own; write a class that gives them, in a module "
            "of yours, and name that."
        ) from None
    for minimum in ("min_train_nodes", "min_evaluate_nodes", "min_available_nodes"):
        if hasattr(strategy, minimum):  # the round loop counts its sites itself; Flower's would wait for ever
            setattr(strategy, minimum, 1)
    return strategy
