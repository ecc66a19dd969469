"""Strategies by name. A new one is a file beside this one and a line here."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from inspect import isabstract
from typing import Final

from flwr.serverapp.strategy import Strategy

from bloodnet_model.errors import SettingsError
from bloodnet_model.settings import validated
from strategies.ditto import Ditto
from strategies.fedadam import FedAdam
from strategies.fedavg import FedAvg
from strategies.fedavgm import FedAvgM
from strategies.fedbn import FedBN
from strategies.fednova import FedNova
from strategies.fedprox import FedProx
from strategies.fedyogi import FedYogi
from strategies.krum import Krum
from strategies.median import Median
from strategies.round_strategy import RoundStrategy
from strategies.scaffold import Scaffold
from strategies.trimmed_mean import TrimmedMean

STRATEGIES: Final[Mapping[str, type[RoundStrategy]]] = {
    "fedavg": FedAvg,
    "fedprox": FedProx,
    "fedavgm": FedAvgM,
    "fedadam": FedAdam,
    "fedyogi": FedYogi,
    "fednova": FedNova,
    "scaffold": Scaffold,
    "fedbn": FedBN,
    "ditto": Ditto,
    "trimmed-mean": TrimmedMean,
    "median": Median,
    "krum": Krum,
}

Parameters = Mapping[str, float | int | str]


def make_strategy(name: str, parameters: Parameters) -> Strategy:
    """The strategy called `name`, or any Flower strategy as `module:Class`, with its parameters.

    Raises SettingsError for an unknown name, an unknown parameter, and a value of another type or range.
    """
    kind = STRATEGIES.get(name) or _imported(name)
    if issubclass(kind, RoundStrategy):
        return validated(kind, parameters, where="strategy_parameters")
    try:
        strategy = kind(**parameters)
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"strategy_parameters: {name} cannot be made with {', '.join(parameters) or 'none'} ({error}); give what "
            "its class asks for, or a class of yours."
        ) from None
    for minimum in ("min_train_nodes", "min_evaluate_nodes", "min_available_nodes"):
        if hasattr(strategy, minimum):  # the round loop counts its sites itself; Flower's would wait for ever
            setattr(strategy, minimum, 1)
    return strategy


def resolved_parameters(strategy: Strategy, given: Parameters) -> dict[str, float | int | str]:
    """All parameters of a strategy of this project, defaults among them; of another, those that were `given`."""
    return strategy.model_dump(mode="json") if isinstance(strategy, RoundStrategy) else dict(given)


def _imported(name: str) -> type[Strategy]:
    module_name, _, class_name = name.partition(":")
    try:
        kind = getattr(import_module(module_name), class_name) if class_name else None
    except (ImportError, AttributeError):
        kind = None
    if isinstance(kind, type) and issubclass(kind, Strategy) and not isabstract(kind):
        return kind
    near = get_close_matches(name, STRATEGIES, n=1)
    raise SettingsError(
        f"strategy: {name!r} is unknown{f', did you mean {near[0]}?' if near else ';'} choose one of "
        f"{', '.join(STRATEGIES)}, or name a Flower strategy as module:Class (flwr.serverapp.strategy:FedMedian)."
    )
