"""What each way of training did on the sites' test patients: all that `comparison.json` holds."""

from collections.abc import Mapping, Sequence
from typing import Any

from bloodnet_model.errors import UndefinedMetric
from client.tested_site import TestedSite
from simulation.comparison.cross_site import cross_site
from simulation.comparison.ways import Training, Way
from simulation.paired_comparison import compared, pooled

Networks = Mapping[str, Sequence[str]]
"""Names of the networks of each way, one a seed."""


def results(trainings: Sequence[Training], sites: Sequence[TestedSite], seed: int) -> dict[str, Any]:
    """Ways, differences from the first on all patients, and what federating was worth to each hospital."""
    ways = list({training.way.name: training.way for training in trainings}.values())
    networks = {way.name: [of.name for of in trainings if of.way.name == way.name] for way in ways}
    reference, *others = [way for way in ways if not way.site]
    return {
        "reference": reference.name,
        "test": {"studies": sum(_known(site) for site in sites), "sites": len(sites)},
        "ways": {way.name: _way(way, networks, trainings, sites) for way in ways},
        "differences": {way.name: _against(reference, way, networks, sites, seed) for way in others},
        "hospitals": {way.site: _worth(reference, way, networks, sites, seed) for way in ways if way.site},
        "cross_site": cross_site(ways, networks, sites),
    }


def _known(site: TestedSite) -> int:
    return int((site.labels >= 0).sum())


def _way(way: Way, networks: Networks, trainings: Sequence[Training], sites: Sequence[TestedSite]) -> dict[str, Any]:
    mine = [of for of in trainings if of.way.name == way.name]
    return {"auc": _aucs(sites, networks[way.name]), "steps": [of.steps() for of in mine]}


def _worth(
    reference: Way, alone: Way, networks: Networks, sites: Sequence[TestedSite], seed: int
) -> dict[str, dict[str, Any]]:
    """The federation minus a hospital's own training, on its own patients and on all others'."""
    own = [site for site in sites if site.name == alone.site]
    others = [site for site in sites if site.name != alone.site]
    return {
        "own": _against(reference, alone, networks, own, seed),
        "others": _against(reference, alone, networks, others, seed),
    }


def _against(reference: Way, other: Way, networks: Networks, sites: Sequence[TestedSite], seed: int) -> dict[str, Any]:
    """AUCs of both on these sites' patients, and the difference; its reason where that does not exist."""
    aucs = {"auc_first": _aucs(sites, networks[reference.name]), "auc_second": _aucs(sites, networks[other.name])}
    try:
        return aucs | compared(sites, reference.name, other.name, networks, seed).as_record()
    except UndefinedMetric as reason:
        return aucs | {"delta": None, "undefined": str(reason)}


def _aucs(sites: Sequence[TestedSite], names: Sequence[str]) -> list[float | None]:
    found = pooled(sites, names)
    try:
        return [found[name].auc() for name in names]
    except UndefinedMetric:
        return [None for _ in names]
