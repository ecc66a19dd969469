"""`bloodnet-server launch` and `stop`: a run with sites that it names, on the coordinator's own SuperLink."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console

from bloodnet_model.errors import DataError, SettingsError
from server.app import OUT, possible_strategy
from server.coordinator.admissions import admitted
from server.coordinator.home import Home
from server.coordinator.run_files import not_admitted, run_name
from server.launch import Node, SuperLink, superlink, watch
from server.run_folder import check_run_folder
from server.settings import RunSettings, run_settings, to_run_config
from server.wording import refusal
from strategies.bundle import own_digest

_OVER: Final = {"name": "", "waiting": "all sites are connected", "refused": "all sites are in the run"}
"""What is said when there is nothing more to say about it."""


def launched_settings(home: Home, config: Path | None, changes: Iterable[str], sites: Sequence[str]) -> RunSettings:
    """Settings of a run: those of the file `config`, if any, with `changes` such as `rounds=12` in their place.

    sites: who takes part; unless given here or in the settings, all that are admitted
    Raises SettingsError for what is wrong, and for a site that is not admitted.
    """
    raw = _config(config) if config else {}
    if isinstance(raw.get("data"), dict) and "sources" in raw["data"]:
        del raw["data"]  # a simulation's: these hospitals bring their own
    for change in changes:
        _put(raw, change)
    if sites:
        raw["sites"] = list(sites)
    known = [name for name, site in admitted(home).items() if not site.revoked]
    if not known:
        raise SettingsError(f"{home.folder}: nobody is admitted; `bloodnet-server admit` a site first.")
    settings = run_settings(raw if raw.get("sites") else {**raw, "sites": known})
    strangers = sorted(set(settings.sites) - set(known))
    if strangers:
        raise SettingsError(f"sites: {', '.join(strangers)} is not admitted; admitted are {', '.join(known)}.")
    possible_strategy(settings)
    return settings


def launch(home: Home, settings: RunSettings, out: Path, console: Console) -> None:
    """Start a run that writes to the folder `out`, say for whom it waits, and its rounds to the end.

    Raises DataError where `out` cannot be used, RoundError where the run fails or the SuperLink does not answer.
    """
    check_run_folder(out)
    with superlink(home.connection) as link:
        link.nodes()  # whether it is up is known before the folder is made
        number = link.start({**to_run_config(settings), OUT: str(out.resolve())})
        console.print(f"run {number} with {', '.join(settings.sites)}, in {out}", highlight=False)
        with console.status(f"run {number}"):
            watch(link, number, out, settings.rounds, console, teller(link, out, settings.sites, console))


def teller(link: SuperLink, out: Path, sites: Sequence[str], console: Console) -> Callable[[], None]:
    """Says what a run is called, for whom it waits, and why, whenever that has changed; to be called again and again.

    By the name and the hash of its code, hospitals say yes to a run.
    """
    said: dict[str, str] = {}

    def tell() -> None:
        sentences = {
            "name": name_sentence(run_name(out)),
            "waiting": waiting_sentence(link.nodes(), sites, datetime.now().astimezone()),
            "refused": refused_sentence(not_admitted(out)),
        }
        for about, sentence in sentences.items():
            if sentence != said.get(about, ""):
                console.print(sentence or _OVER[about], highlight=False, soft_wrap=True)
        said.update(sentences)

    return tell


def name_sentence(name: str) -> str:
    """What to read out to hospitals that ask before a run, or that have other code; empty before the run has a name."""
    return f"to hospitals it is run {name}, with code {own_digest()}" if name else ""


def refused_sentence(refused: Mapping[str, str]) -> str:
    """Who is not in the run, and why; empty where all are."""
    told = ", ".join(refusal(code, site) for site, code in sorted(refused.items()))
    return f"not in the run: {told}" if told else ""


def waiting_sentence(nodes: Iterable[Node], sites: Iterable[str], now: datetime) -> str:
    """`not connected: site-b (never was), site-c (since 14:02)`; empty where all are."""
    known = {node.name: node for node in nodes}
    absent = [name for name in sites if name not in known or not known[name].online]
    told = ", ".join(f"{name} ({_since(known.get(name), now)})" for name in absent)
    return f"not connected: {told}" if told else ""


def stop(home: Home, run: Path | None) -> Path:
    """End the run in the folder `run`, or the only one that goes on; returns its folder.

    Raises DataError where there is none, or several of which none was named.
    """
    with superlink(home.connection) as link:
        going = link.running()
        if run is not None:
            going = {number: folder for number, folder in going.items() if folder == run.resolve()}
        if len(going) != 1:
            names = ", ".join(str(folder) for folder in going.values()) or "none"
            raise DataError(f"{run or home.folder}: name one run that goes on; going on: {names}.")
        ((number, folder),) = going.items()
        link.stop(number)
        return folder


def _since(node: Node | None, now: datetime) -> str:
    if node is None:
        return "not registered; restart `up`"
    if not node.since:
        return "never was"
    then = datetime.fromisoformat(node.since).astimezone(now.tzinfo)
    return f"since {then:%H:%M}" if then.date() == now.date() else f"since {then:%d %b %H:%M}"


def _config(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{path}: cannot be read as YAML ({reason}); mend it.") from None
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: holds no settings; write one `name: value` a line.")
    return raw


def _put(raw: dict[str, Any], change: str) -> None:
    """Put `model.training.studies_per_step=2` in its place; the value is YAML."""
    name, is_set, value = change.partition("=")
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        is_set = ""
    *sections, last = name.strip().split(".")
    if not is_set or not last:
        raise SettingsError(f"--set {change}: is no NAME=VALUE; write it like --set rounds=12.")
    for section in sections:
        inner = raw.get(section)
        raw[section] = dict(inner) if isinstance(inner, Mapping) else {}
        raw = raw[section]
    raw[last] = read
