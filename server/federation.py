"""What all rounds of a run share: its sites, its settings, its strategy, its journal, and how the sites are asked."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import numpy as np
from flwr.app import Message
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from bloodnet_model.seeds import derive_seed
from bloodnet_model.splits import Split
from server.exchange import Answer, Progress, exchange
from server.journal import Journal
from server.readmission import aside
from server.settings import RunSettings
from server.sites import Sites
from strategies import records
from strategies.records import RoundPlan
from strategies.round_strategy import RoundStrategy


@dataclass(frozen=True)
class Federation:
    """A run, between its roll call and its end."""

    grid: Grid
    strategy: Strategy
    settings: RunSettings
    sites: Sites
    progress: Progress
    journal: Journal

    @property
    def fewest(self) -> int:
        """Usable updates without which a round does not count."""
        needed = self.strategy.fewest_sites if isinstance(self.strategy, RoundStrategy) else 1
        return max(self.settings.minimum_sites, needed)

    @property
    def aside(self) -> frozenset[str]:
        """Sites that are not asked until the coordinator admits them again."""
        return aside(self.journal)

    def holding(self, split: Split) -> dict[int, str]:
        """Names by node id of the sites that have studies in `split`, without those set aside."""
        not_asked = self.aside
        return {node: name for node, name in self.sites.holding(split).items() if name not in not_asked}

    def drawn(self, number: int) -> dict[int, str]:
        """Names by node id of the sites that train in a round: a seeded draw of those that could when it began.

        It is drawn anew where too few of them have come back after a stop.
        """
        trainers, settings = self.holding("train"), self.settings
        drawn = self.journal.planned(number)
        if drawn is None or len(drawn & set(trainers.values())) < self.fewest:
            drawn = draw(trainers.values(), settings.participation, self.fewest, settings.seed, number)
        return {node: name for node, name in trainers.items() if name in drawn}

    def plan(self, number: int) -> RoundPlan:
        """Of a round, before it is a site's."""
        return round_plan(self.settings, self.journal.run, number)

    def counted(self, plan: RoundPlan, sites: Iterable[str]) -> dict[str, RoundPlan]:
        """`plan` as it goes to each site: it starts from what it kept when its update last counted."""
        last = self.journal.counted_rounds
        return {site: plan.model_copy(update={"counted_round": last.get(site, 0)}) for site in sites}

    def training_plans(self, number: int, sites: Iterable[str]) -> dict[str, RoundPlan]:
        """Each site's own plan of a round's training."""
        own, usual = self.settings.site_epochs, self.settings.local_epochs
        plans = self.counted(self.own(self.plan(number)), sites)
        return {site: plan.model_copy(update={"local_epochs": own.get(site, usual)}) for site, plan in plans.items()}

    def own(self, plan: RoundPlan) -> RoundPlan:
        """`plan` for the run's own weights, to which a site adds its own part, if the strategy leaves it any."""
        personal = self.strategy.personal if isinstance(self.strategy, RoundStrategy) else ""
        return plan.model_copy(update={"personal": personal})

    def showing(self, nodes: Iterable[int]) -> Grid:
        """The grid as a strategy may see it: these nodes, nobody else."""
        return cast(Grid, _OnlyThese(self.grid, nodes))

    def ask(
        self, messages: Iterable[Message], plans: Mapping[str, RoundPlan], label: str, deadlines: int = 1
    ) -> Iterator[Answer]:
        """Exchange one step's messages with the sites that have a plan, showing who has answered.

        A step as long as several has as many deadlines.
        """
        deadline_s = deadlines * self.settings.deadline_s
        names = {node: site for node, site in self.sites.names.items() if site in plans}
        asked = [  # made anew: one that is sent again would have come to the end of its time
            Message(records.with_plan(message.content, plans[names[node]]), node, message.metadata.message_type)
            for message in messages
            if (node := message.metadata.dst_node_id) in names
        ]
        whom = [names[message.metadata.dst_node_id] for message in asked]
        self.progress.step(label, whom, datetime.now() + timedelta(seconds=deadline_s))
        for answer in exchange(self.grid, asked, names, deadline_s):
            self.progress.answer(answer.site)
            yield answer


def round_plan(settings: RunSettings, run: str, number: int) -> RoundPlan:
    return RoundPlan(
        run=run,
        seed=settings.seed,
        round=number,
        total_rounds=settings.rounds,
        local_epochs=settings.local_epochs,
        local_steps=settings.local_steps,
        model=settings.model,
    )


def draw(sites: Iterable[str], share: float, least: int, seed: int, number: int) -> frozenset[str]:
    """`share` of the sites, rounded up, and no fewer than `least` where there are as many; the same for the same seed.

    The order in which the sites are given is no matter.
    """
    names = sorted(sites)
    count = min(len(names), max(least, math.ceil(share * len(names))))
    rng = np.random.default_rng(derive_seed(seed, "participation", number))
    return frozenset(rng.choice(names, count, replace=False).tolist()) if names else frozenset()


class _OnlyThese:
    """A grid that shows some of its nodes."""

    def __init__(self, grid: Grid, nodes: Iterable[int]) -> None:
        self._grid, self._nodes = grid, sorted(nodes)

    def get_node_ids(self) -> list[int]:
        return self._nodes

    def __getattr__(self, name: str) -> object:
        return getattr(self._grid, name)
