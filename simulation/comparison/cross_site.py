"""Every network at every hospital: trained at one or at all, tested on each one's patients."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import fmean
from typing import Any

from bloodnet_model.errors import UndefinedMetric
from client.tested_site import TestedSite
from simulation.comparison.ways import Way


def cross_site(
    ways: Sequence[Way], networks: Mapping[str, Sequence[str]], sites: Sequence[TestedSite]
) -> dict[str, Any]:
    """AUC of every way of training at every site, from that site's own counts; local ways first.

    networks: names of the networks of each way, one a seed

    Of each cell the mean over the seeds, and the mean ends of the seeds' 95 % intervals for new patients (DeLong, on
    the logit scale); either is None where it does not exist.
    """
    local_first = sorted(ways, key=lambda way: not way.site)
    return {
        "tested": {site.name: _classes(site) for site in sites},
        "trained": {
            way.name: {"own": way.site, "auc": {site.name: _cell(site, networks[way.name]) for site in sites}}
            for way in local_first
        },
    }


def _classes(site: TestedSite) -> dict[str, int]:
    return {"positive": int((site.labels == 1).sum()), "negative": int((site.labels == 0).sum())}


def _cell(site: TestedSite, networks: Sequence[str]) -> dict[str, Any]:
    cell: dict[str, Any] = {"mean": None, "by_seed": [], "interval": None}
    with suppress(UndefinedMetric):
        histograms = [site.histogram(name) for name in networks]
        cell["by_seed"] = [histogram.auc() for histogram in histograms]
        cell["mean"] = fmean(cell["by_seed"])
        lows, highs = zip(*(histogram.auc_interval() for histogram in histograms), strict=True)
        cell["interval"] = [fmean(lows), fmean(highs)]
    return cell
