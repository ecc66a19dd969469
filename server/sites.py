"""Who takes part: the roll call at the start of a run."""

from dataclasses import dataclass

from flwr.app import Message
from flwr.serverapp import Grid

from bloodnet_model.errors import RoundError
from bloodnet_model.splits import Split
from server.exchange import Progress, exchange
from strategies import records
from strategies.records import RoundPlan, SiteInfo


@dataclass(frozen=True)
class Sites:
    """The sites of a run: names by node id, what each said of itself, and why others are not in."""

    names: dict[int, str]
    info: dict[str, SiteInfo]
    refused: dict[str, str]

    def holding(self, split: Split) -> dict[int, str]:
        """Names by node id of those that have studies in `split`."""
        return {node: name for node, name in self.names.items() if self.info[name].counts.get(f"{split}-studies")}


def roll_call(grid: Grid, plan: RoundPlan, deadline_s: float, minimum_sites: int, progress: Progress) -> Sites:
    """Ask every connected node for its name and counts, preparing its data if that is still to be done.

    Raises RoundError where fewer than `minimum_sites` can train, with the reason of each that cannot.
    """
    nodes = {node: f"node-{node}" for node in sorted(grid.get_node_ids())}
    config = records.pack_plan(plan)
    messages = [Message(records.question(config), node, records.ROLL_CALL) for node in nodes]
    progress.step("preparing sites", len(nodes))
    answers = exchange(grid, messages, nodes, deadline_s, lambda site, _: progress.answer(site))
    names: dict[int, str] = {}
    info: dict[str, SiteInfo] = {}
    present = answers.unpacked(records.unpack_site_info)
    refused = dict(answers.refused)
    for node, label in nodes.items():
        site = present.get(label)
        if site is None:
            continue
        if site.name in info:
            refused[f"{site.name} (second)"] = "name-taken"
        else:
            names[node], info[site.name] = site.name, site
    sites = Sites(names, info, refused)
    trainers = sites.holding("train").values()
    if len(trainers) < minimum_sites:
        absent = refused | {site: "nothing-to-train" for site in info if site not in trainers}
        why = ", ".join(f"{site}: {code}" for site, code in sorted(absent.items())) or "no node is connected"
        raise RoundError(f"{len(trainers)} of the {minimum_sites} sites this run needs can train ({why}).")
    return sites
