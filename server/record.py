"""What a run writes down as it goes on: every file whole, after every round, and the page as often as it may."""

import platform
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib.metadata import version
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.network import build_network
from bloodnet_model.run_metrics import OK, REFUSED, SCHEMA, Forecast
from bloodnet_model.weights import flat_weights, set_flat_weights
from server import run_folder
from server.evaluation import PooledEvaluation
from server.federation import Federation
from server.forecast import RECENT, forecast
from server.journal import Accepted, Aggregate
from server.live_page import LivePage
from server.rounds import RoundResult
from server.selection import Line, best, selection, stop_now, value, values
from server.sites import Sites

_SOFTWARE: Final = ("bloodnet-federation", "flwr", "torch", "numpy")


class RunRecord:
    """The run folder's files; `metrics` are `metrics.json` without its rounds, `ahead` when the run will end.

    Of the rounds that are over it holds what they are judged by and the last few lines; all of them are in the journal.
    """

    def __init__(self, federation: Federation) -> None:
        """Of a run that was stopped, what its journal knows is there from the beginning."""
        self._federation, self._settings = federation, federation.settings
        self._folder = federation.journal.run_folder
        self._page = LivePage(self._folder)
        self._network = build_network(self._settings.model, seed=0)
        self.ahead: Forecast | None = None
        self.metrics = _metrics_before(federation, flat_weights(self._network).size)
        self._values = values(federation.journal.lines, self._settings.select_by)
        self._recent = deque(federation.journal.lines, RECENT)
        self._write_best()

    def round(self, result: RoundResult) -> dict[str, Any]:
        """Keep a finished round and its weights; returns its line in rounds.jsonl."""
        line = round_line(result, self._federation.journal.readmitted)
        self._values[result.number] = value(line, self._settings.select_by)
        self._recent.append(line)
        self.metrics["sites"], self.metrics["not_admitted"] = _sites(self._federation.sites)
        self.metrics["validation"] = result.validation.as_metrics()  # whoever flags studies needs a threshold from it
        self._tell_what_is_ahead()
        run_folder.write_rounds(self._folder, chain(self._federation.journal.lines, [line]))
        self._write_model(run_folder.MODEL, result.weights)
        if self._best_round() == result.number:
            self._write_model(run_folder.BEST_MODEL, result.weights)
        self._write(chain(self._federation.journal.lines, [line]))
        return line

    def chosen_round(self) -> int:
        """Whose model the run ends with."""
        last = max(self._values)
        return (self._best_round() or last) if self._settings.final_model == "best" else last

    def keep_model(self, weights: NDArray[np.float32]) -> None:
        """The model that the run ends with."""
        self._tell_what_is_ahead()
        self._write_model(run_folder.MODEL, weights)

    def add(self, found: Mapping[str, Any]) -> None:
        """Keep entries of `metrics.json`."""
        if any(self.metrics[name] != entry for name, entry in found.items()):
            self.metrics |= found
            self._write(self._federation.journal.lines)

    def close(self) -> None:
        """The page shows the run as it ended, however it ended."""
        self._page.close()

    def _best_round(self) -> int | None:
        found = best(self._values)
        return found[0] if found else None

    def _tell_what_is_ahead(self) -> None:
        settings = self._settings
        chosen = selection(self._values, settings.select_by, settings.patience, settings.rounds, settings.final_model)
        done = len(self._values) if stop_now(self._values, settings.patience) else settings.rounds
        self.ahead = forecast(list(self._recent), done, datetime.now().astimezone())
        self.metrics["selection"] = chosen and chosen.model_dump(mode="json")
        self.metrics["forecast"] = self.ahead and self.ahead.model_dump(mode="json")

    def _write_best(self) -> None:
        """Of a run that goes on: its file may be of a round that no longer counts."""
        number = self._best_round()
        if number is not None:
            self._write_model(run_folder.BEST_MODEL, self._federation.journal.aggregate(number).weights)

    def _write_model(self, name: str, weights: NDArray[np.float32]) -> None:
        set_flat_weights(self._network, weights)
        run_folder.write_model(self._folder, name, self._network, self._settings)

    def _write(self, lines: Iterable[Line]) -> None:
        run_folder.write_metrics(self._folder, self.metrics | {"rounds": lines})
        self._page.changed()


def _metrics_before(federation: Federation, parameters: int) -> dict[str, Any]:
    """`metrics.json` as it stands before the first round."""
    settings, journal = federation.settings, federation.journal
    sites, not_admitted = _sites(federation.sites)
    return {
        "schema": SCHEMA,
        "run": {
            "name": journal.run_folder.name,
            "start": journal.start,
            "data": settings.data.get("name", "hospitals"),
            "strategy": settings.strategy,
            "strategy_parameters": settings.strategy_parameters,
            "rounds": settings.rounds,
            "preset": settings.model.preset,
            "link": settings.model.network.link,
            "parameters": parameters,
            "seed": settings.seed,
            "minimum_sites": settings.minimum_sites,
            "deadline_s": settings.deadline_s,
            "participation": settings.participation,
            "local_steps": settings.local_steps or None,
            "versions": _versions(),
        },
        "sites": sites,
        "not_admitted": not_admitted,
        "rounds": [],
        "validation": None,
        "test": None,
        "held_out": {},
        "comparisons": [],
        "cross_site": None,
        "baselines": {},
        "selection": None,
        "forecast": None,
    }


def _sites(sites: Sites) -> tuple[dict[str, Any], dict[str, str]]:
    """Those that take part, with what each said of itself; and those that do not, with the reason."""
    told = {
        name: {"counts": dict(info.counts), "ledger": dict(info.ledger), "version": info.version}
        for name, info in sorted(sites.info.items())
    }
    return told, dict(sites.refused)


def _versions() -> dict[str, str]:
    """Of what computes at the coordinator."""
    return {"python": platform.python_version(), **{name: version(name) for name in _SOFTWARE}}


def round_line(result: RoundResult, readmitted: Mapping[str, int]) -> dict[str, Any]:
    """One round as it stands in rounds.jsonl and metrics.json."""
    entries = {site: {"status": why} for site, why in result.resting.items()}
    entries |= {site: _refused(site, result.end) for site in result.refused}
    entries |= {site: _counted(accepted) for site, accepted in result.updates.items()}
    return {
        "round": result.number,
        "seconds": result.seconds,
        "seconds_evaluate": result.seconds_evaluate,
        "sites": dict(sorted(entries.items())),
        "readmitted": sorted(site for site, number in readmitted.items() if number == result.number),
        "train_loss": result.train_loss,
        "validation": _without_histograms(result.validation),
        "dice": result.validation.dice(),
    }


def _refused(site: str, end: Aggregate) -> dict[str, Any]:
    entry: dict[str, Any] = {"status": REFUSED, "reason": end.refused[site]}
    return entry | ({"answered_s": round(end.answered_s[site], 3)} if site in end.answered_s else {})


def _counted(accepted: Accepted) -> dict[str, Any]:
    update = accepted.update
    return {
        "status": OK,
        "studies": update.studies,
        "steps": update.steps,
        "loss": update.losses[0],
        "seconds": round(update.seconds, 3),
        "answered_s": round(accepted.answered_s, 3),
        "norm": accepted.norm,
    }


def _without_histograms(evaluation: PooledEvaluation) -> Mapping[str, Any]:
    return {key: value for key, value in evaluation.as_metrics().items() if key != "histograms"}
