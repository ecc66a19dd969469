"""`bloodnet-client check` as it is typed: the data, then the way to the coordinator, and what is told of both."""

import json
import os
from pathlib import Path
from typing import Final

from rich.console import Console

from bloodnet_model.commands import bars
from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from bloodnet_model.network import build_network
from bloodnet_model.settings import ModelSettings
from bloodnet_model.weights import flat_weights
from client.check import check
from client.check_page import check_html
from client.console import print_preflight
from client.dataset import load_site
from client.findings import Verdict, verdict_of
from client.firewall_request import firewall_request
from client.ledger import write_ledger
from client.network_check import NetworkCheck, check_network
from client.network_table import print_network
from client.node import surroundings
from client.site_settings import Site, read_site

_PAGE: Final = "check.html"
_REQUEST: Final = "firewall-request.txt"
_NO_COORDINATOR: Final = (
    "network    not checked: site.yaml names no coordinator yet (`coordinator: HOST:PORT` below `policy:`)"
)


def check_site(folder: Path, model: ModelSettings, studies: int | None, page: Path | None, as_json: bool) -> Verdict:
    """Data, and the way to the coordinator where site.yaml names one; prints both, and writes page and ledger.

    studies: of which pixels are read; all if None
    page:    .html file to write; in the cache if None
    """
    site = load_site(folder)
    page = _page(page or site.cache / _PAGE)
    with bars(Console(stderr=True)) as on_progress:
        preflight, samples = check(site, model.preprocessing, studies, on_progress)
    write_whole(page, check_html(preflight, samples))
    write_ledger(page.with_suffix(".csv"), site.folder, preflight.entries)
    network = _network(site) if site.settings.policy.coordinator else None
    verdict = verdict_of([*preflight.levels, *(network.states if network else ())])
    if as_json:
        print(json.dumps({**preflight.to_json(), "verdict": verdict, "network": network.to_json() if network else []}))
        return verdict
    print_preflight(preflight, page, verdict)
    if network is None:
        print(_NO_COORDINATOR)
    else:
        print()
        _tell(network, site, model, whole=network.verdict == "not ready")
    return verdict


def check_way(folder: Path, model: ModelSettings, as_json: bool) -> Verdict:
    """The way to the coordinator alone; prints it and the request to the network team."""
    site = read_site(folder)
    network = _network(site)
    if as_json:
        print(json.dumps({"verdict": network.verdict, "network": network.to_json()}))
    else:
        _tell(network, site, model, whole=True)
    return network.verdict


def _network(site: Site) -> NetworkCheck:
    os.environ.update(surroundings(os.environ, site))  # as the node will have it
    return check_network(site)


def _tell(network: NetworkCheck, site: Site, model: ModelSettings, whole: bool) -> None:
    """whole: with the text of the request, which is written to a file in any case"""
    parameters = flat_weights(build_network(model, seed=0)).size
    request = firewall_request(
        site.settings.name,
        network.route,
        network.addresses,
        site.folder / site.settings.authority,
        model.preset,
        parameters,
    )
    path = site.cache / _REQUEST
    write_whole(path, f"{request}\n")
    print_network(network, path, request if whole else None)


def _page(path: Path) -> Path:
    """Where the page can be written, with the ledger beside it as .csv."""
    if path.suffix != ".html":
        raise DataError(f"{path}: is no name for a page; let it end with .html.")
    make_folder(path.parent)
    return path
