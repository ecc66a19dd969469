"""Who takes part: the roll call at the start of a run, and newcomers later on."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from flwr.app import Message
from flwr.serverapp import Grid

from bloodnet_model.errors import RoundError, SettingsError, UnusableAnswer
from bloodnet_model.splits import Split
from server.exchange import NOT_APPROVED, Progress, exchange
from server.settings import RunSettings
from server.wording import refusal
from strategies import records
from strategies.records import RoundPlan, SiteInfo

NOT_NAMED: Final = "not-in-this-run"
_POLL_S: Final = 1.0
_NOT_ALLOWED: Final = "not-allowed"
_ASKED_AGAIN: Final = (_NOT_ALLOWED, NOT_APPROVED)
"""What somebody at the site may still say yes to, while the run goes on."""
_AGAIN_S: Final = 30.0


@dataclass
class Sites:
    """The sites of a run: names by node id, what each said of itself, and why others are not in."""

    names: dict[int, str] = field(default_factory=dict)
    info: dict[str, SiteInfo] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    called: set[int] = field(default_factory=set)
    again: dict[int, float] = field(default_factory=dict)
    """When to ask nodes once more that have said no for the time being; of `time.monotonic`."""

    def holding(self, split: Split) -> dict[int, str]:
        """Names by node id of those that have studies in `split`."""
        return {node: name for node, name in self.names.items() if self.info[name].counts.get(f"{split}-studies")}

    def call_newcomers(self, grid: Grid, plan: RoundPlan, settings: RunSettings, progress: Progress) -> None:
        """Ask every node that was not asked before for its name and counts; data not yet prepared is prepared there.

        A site at which nobody has approved the run's code, or allowed the run, is asked again half a minute later.

        Where the SuperLink knows a node by a name, the run asks it by that name, and it can answer with no other.
        """
        waiting = {node for node, then in self.again.items() if then > time.monotonic()}
        known = self.called - self.again.keys() | waiting
        registered = {node: name for node, name in _registered(grid).items() if node not in known}
        if settings.sites:
            registered = {node: name for node, name in registered.items() if not name or name in settings.sites}
        self.called |= registered.keys()
        self.again = {node: then for node, then in self.again.items() if node not in registered}
        labels = {node: name or f"node-{node}" for node, name in sorted(registered.items())}
        if not labels:
            return
        config = records.pack_plan(plan)
        messages = [Message(records.question(config), node, records.ROLL_CALL) for node in labels]
        progress.step("preparing sites", labels.values(), datetime.now() + timedelta(seconds=settings.deadline_s))
        nodes, admitted = {label: node for node, label in labels.items()}, []
        for answer in exchange(grid, messages, labels, settings.deadline_s):
            progress.answer(answer.site)
            try:
                admitted.append((nodes[answer.site], answer.unpacked(records.unpack_site_info)))
            except UnusableAnswer as error:
                self.refused[answer.site] = error.reason
                if error.reason in _ASKED_AGAIN:
                    self.again[nodes[answer.site]] = time.monotonic() + _AGAIN_S
        for node, info in sorted(admitted, key=lambda pair: pair[0]):
            self._admit(node, info, registered[node], settings.sites)

    def _admit(self, node: int, info: SiteInfo, registered: str, named: Iterable[str]) -> None:
        if registered and info.name != registered:
            self.refused[registered] = "another-name"
        elif named and info.name not in named:
            self.refused[info.name] = NOT_NAMED
        elif info.name in self.info:
            self.refused[f"{info.name} (second)"] = "name-taken"
        else:
            self.names[node], self.info[info.name] = info.name, info
            self.refused.pop(registered or f"node-{node}", None)  # what it said before somebody there said yes


def roll_call(grid: Grid, plan: RoundPlan, settings: RunSettings, progress: Progress) -> Sites:
    """The sites of the run: those that it names, or whoever is connected, waiting for them as long as it may.

    Raises SettingsError where fewer than `minimum_sites` can train, with the reason of each that cannot.
    """
    sites, until = Sites(), time.monotonic() + settings.wait_s
    clock = datetime.now() + timedelta(seconds=settings.wait_s)
    sites.call_newcomers(grid, plan, settings, progress)
    while (absent := _absent(sites, settings)) and time.monotonic() < until:
        progress.step("waiting for sites to connect", absent, clock)
        time.sleep(min(_POLL_S, max(0.0, until - time.monotonic())))
        sites.call_newcomers(grid, plan, settings, progress)
    _require_enough(sites, settings, absent)
    return sites


def _registered(grid: Grid) -> dict[int, str]:
    """Names by node id as the SuperLink knows them; empty where it knows none, as in a simulation."""
    names = {node.node_id: node.name for node in grid.get_nodes()}
    return {node: names.get(node, "") for node in sorted(grid.get_node_ids())}


def _absent(sites: Sites, settings: RunSettings) -> list[str]:
    """Whom the run waits for: sites that it names and that have not answered in any way, or as many as it lacks.

    A site that asks before a run is waited for, too: somebody there has to be told the run's name.
    """
    if settings.sites:
        lost = {name for name, reason in sites.refused.items() if reason != _NOT_ALLOWED}
        return [name for name in settings.sites if name not in sites.info and name not in lost]
    lacking = settings.minimum_sites - len(sites.called)
    return [f"{lacking} more"] if lacking > 0 else []


def _require_enough(sites: Sites, settings: RunSettings, absent: Iterable[str]) -> None:
    trainers = sites.holding("train").values()
    if len(trainers) >= settings.minimum_sites:
        return
    why = sites.refused | {site: "nothing-to-train" for site in sites.info if site not in trainers}
    why = {site: "not-connected" for site in absent if settings.sites} | why
    connected = f"{len(sites.called)} are connected" if sites.called else "no node is connected"
    reasons = ", ".join(refusal(code, site) for site, code in sorted(why.items())) or connected
    error = SettingsError if settings.minimum_sites > len(sites.called) else RoundError
    raise error(
        f"{len(trainers)} of the {settings.minimum_sites} sites this run needs can train ({reasons}); "
        f"{'see to these sites, or ' if why else ''}lower minimum_sites."
    )
