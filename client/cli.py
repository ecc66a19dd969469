"""`bloodnet-client`: the hospital's command. Heavy imports are made inside the commands."""

import json
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast, get_args

import typer

from bloodnet_model.commands import bars, run_command
from bloodnet_model.errors import SettingsError
from bloodnet_model.version_option import add_version

if TYPE_CHECKING:
    from bloodnet_model.commands import OnProgress
    from bloodnet_model.settings import DeviceChoice

app = typer.Typer(
    help="The hospital's side of a federation. Nothing that these commands print or write leaves the hospital.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # which fits paragraphs to the terminal
)
add_version(app)

Folder = Annotated[Path, typer.Argument(help="Site folder: it holds site.yaml and labels.csv.", show_default=False)]
Preset = Annotated[str, typer.Option(help="Preset whose network the slices are prepared for.")]
Model = Annotated[
    Path, typer.Option(help="model.safetensors of a run, or a folder that `export` wrote.", show_default=False)
]
Here = Annotated[Path, typer.Option("--site", help="Site folder.")]
Revoke = Annotated[bool, typer.Option("--revoke", help="Take it back.")]
HealthAddress = Annotated[
    str | None,
    typer.Option(help="HOST:PORT where gRPC's health protocol is answered; loopback, one above --port, if not said."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print counts and codes alone, fit to send.")]

_PORT: Final = 9094
_HEALTH: Final = f"127.0.0.1:{_PORT + 1}"
_HEALTH_S: Final = 5.0


def main() -> None:
    os.umask(0o077)  # what it writes tells of patients: it is for its owner alone
    run_command(app)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Site folder; made if need be.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="The site's name: letters, digits, hyphens. It travels.")] = None,
    dicom: Annotated[
        list[str] | None, typer.Option(help="Folder, zip or .txt list of DICOM files; may be given again.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Table of what is known of the studies.")] = None,
) -> None:
    """Write a commented site.yaml, an empty labels.csv and the site's key; asks for what no option says."""
    from client.admission import admission_file
    from client.keys import public_key
    from client.site_settings import read_site
    from client.site_template import suggested_name, write_site

    answers = {
        "name": name or _answer("Name of this site (it travels)", suggested_name(folder)),
        "dicom": dicom or _answer("Folders or zip files with DICOM, with commas between", "dicom").split(","),
        "labels": labels or _answer("Table of labels", "labels.csv"),
    }
    written = write_site(folder, {**answers, "dicom": [part.strip() for part in answers["dicom"] if part.strip()]})
    for path in written.new:
        print(f"written  {path}")
    for path in written.kept:
        print(f"kept     {path} (it was there)")
    site = read_site(folder)
    print(f"\nSend {admission_file(site)} to the coordinator: in it is the public half of this site's key.\n")
    print(public_key(folder / site.settings.key))
    print(f"Fill in the labels, one row a study; then:  bloodnet-client check {folder}")


@app.command()
def check(
    folder: Folder,
    sample: Annotated[int | None, typer.Option(min=1, help="Read the pixels of so many studies, not of all.")] = None,
    preset: Preset = "tiny",
    out: Annotated[
        Path | None, typer.Option(help="Where to write the page; check.html in the cache if not said.")
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="The way to the coordinator alone, and the firewall request; no data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say whether a site is ready, and what to do if not; exit code 0 if ready, 1 if not, 2 if it cannot be read.

    Data first; then the way to the coordinator, once site.yaml names one, and what to send to the network team.
    """
    from bloodnet_model.settings import model_settings
    from client.check_command import check_site, check_way

    model = model_settings(preset)
    verdict = check_way(folder, model, as_json) if network else check_site(folder, model, sample, out, as_json)
    raise typer.Exit(1 if verdict == "not ready" else 0)


@app.command()
def index(folder: Folder, preset: Preset = "tiny", as_json: AsJson = False) -> None:
    """Read a site's DICOM, prepare what can be trained on, and say why not the rest.

    Writes the admission file anew, with label kinds and with counts that are not below the minimum cohort.
    """
    from bloodnet_model.settings import model_settings
    from client.admission import indexed_admission_file
    from client.console import print_index
    from client.dataset import load_site, prepare
    from client.preview import refresh_preview

    site = load_site(folder)
    with _progress() as on_progress:
        data = prepare(site, model_settings(preset).preprocessing, on_progress)
    admission = None if site.settings.members else indexed_admission_file(data)
    if as_json:
        print(json.dumps({"counts": data.counts(), "ledger": data.ledger_counts()}))
        return
    refresh_preview(data)
    print_index(data)
    if admission is not None:
        print(f"{admission} says so to the coordinator; send it once more if you wish.")


@app.command()
def triage(
    paths: Annotated[
        list[Path], typer.Argument(help="A study's folder, a folder of studies, or a zip file.", show_default=False)
    ],
    model: Model,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which on a study is flagged; the model's own if not said."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or gpu.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for worklist.csv, worklist.json and overlays.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the worklist as JSON; it names studies.")] = False,
) -> None:
    """Score unlabelled studies and rank them: what cannot be read first, then by score. Research use only."""
    from client.console import print_worklist
    from client.scorer import load_scorer
    from client.triage import find_studies, ranked
    from client.triage import triage as triaged
    from client.worklist import choose_threshold, lines, refuse_other, write_worklist

    if out is not None:
        refuse_other(out)
    scorer = load_scorer(model, _device(device))
    with _progress() as on_progress:
        found = find_studies(paths, on_progress)
        total, done = len(found.studies) + len(found.barren), []
        for study in triaged(found, scorer):
            done.append(study)
            on_progress("scoring", len(done), total)
    worklist, limit = ranked(done), choose_threshold(threshold, scorer.operating_point)
    if out is not None:
        write_worklist(out, worklist, limit)
    if as_json:
        print(json.dumps(lines(worklist, limit)))
    else:
        print_worklist(worklist, limit, scorer, found.others, out)


@app.command()
def export(
    model: Annotated[Path, typer.Option(help="model.safetensors, in its run's folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write; new or empty.", show_default=False)],
    kind: Annotated[str, typer.Option("--format", help="onnx, openvino or torchscript.")] = "onnx",
    sensitivity: Annotated[
        float, typer.Option(help="The threshold is chosen to reach it on the run's validation patients.")
    ] = 0.95,
) -> None:
    """Write a model in a format that runs without PyTorch, with its threshold and a model card."""
    from client.console import print_export
    from client.export import export as exported

    print_export(exported(model, kind, out, sensitivity), out)


@app.command()
def run(
    folder: Folder,
    port: Annotated[int, typer.Option(min=1, max=65534, help="On this machine's loopback.")] = _PORT,
    health: HealthAddress = None,
) -> None:
    """Connect to the coordinator and answer it, in the foreground, until SIGTERM or Ctrl-C.

    Only the app that is installed here runs, or one that was approved; what leaves stands in the egress log.
    """
    from client.dataset import load_site
    from client.node import become_node

    become_node(load_site(folder), port, health or f"127.0.0.1:{port + 1}")


@app.command()
def health(
    address: Annotated[str, typer.Option("--at", help="HOST:PORT that `run` was given as --health.")] = _HEALTH,
    connected: Annotated[bool, typer.Option("--connected", help="Demand that the coordinator answers, too.")] = False,
) -> None:
    """Ask a running node how it is: exit code 0 if it works, 1 if not. For a container's health check, or a monitor."""
    from client.health import COORDINATOR, is_serving

    works = is_serving(address, "", _HEALTH_S)
    answered = works and is_serving(address, COORDINATOR, _HEALTH_S)
    if not works:
        print(f"no node answers at {address}")
    else:
        print(
            "the node works, and the coordinator answers it" if answered else "the node works; no coordinator answers"
        )
    raise typer.Exit(0 if works and (answered or not connected) else 1)


@app.command()
def review(
    bundle: Annotated[str, typer.Argument(help="A .fab file, or the digest of a bundle that was refused here.")],
    site: Here = Path(),
) -> None:
    """Show how an app bundle differs from the code that is installed here; its digest comes last."""
    import click

    from client.approval import find_bundle, is_digest
    from client.review import review as reviewed
    from client.site_settings import read_site
    from strategies.bundle import app_bundle, bundle_files

    kept = read_site(site).kept if is_digest(bundle) else Path()
    theirs = bundle_files(find_bundle(bundle, kept))
    click.echo_via_pager(reviewed(theirs, bundle_files(app_bundle())).text)


@app.command()
def approve(
    bundle: Annotated[str, typer.Argument(help="A digest as `review` shows it, or a .fab file.")],
    site: Here = Path(),
    revoke: Revoke = False,
) -> None:
    """Let an app bundle run at this site, though it is not the one that is installed here."""
    from client.approval import approved_bundles, find_bundle, is_digest
    from client.site_settings import read_site
    from strategies.bundle import bundle_digest, bundle_files

    approved = approved_bundles(read_site(site).kept)
    digest = bundle if is_digest(bundle) else bundle_digest(bundle_files(find_bundle(bundle, approved.path.parent)))
    if revoke:
        approved.take_back(digest)
        print(f"no longer approved: {digest}\nA node that has it already runs it until it is restarted.")
    else:
        approved.grant(digest)
        print(f"approved: {digest}\nThe node need not be restarted.")


@app.command()
def allow(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, as `audit` shows it.")],
    site: Here = Path(),
    revoke: Revoke = False,
) -> None:
    """Take part in a run, where `ask_before_run` is set in the site's policy."""
    from client.approval import allowed_runs
    from client.site_settings import read_site

    settled = read_site(site)
    allowed = allowed_runs(settled.kept)
    if revoke:
        allowed.take_back(name)
        print(f"no longer allowed: {name}")
        return
    allowed.grant(name)
    asked = settled.settings.policy.ask_before_run
    print(f"allowed: {name}" if asked else f"allowed: {name} (ask_before_run is off: every run is)")


@app.command()
def audit(
    folder: Folder,
    noted: Annotated[str, typer.Option(help="Digest that an earlier audit ended with; it must still be there.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print lines, totals and digest as JSON.")] = False,
) -> None:
    """Show what has left this site, and verify that the log of it is as it was written.

    Exit code 0 if it is, 1 if a line was changed, left out or taken off the end, 2 if there is no log.
    """
    from client.audit import audit as audited
    from client.audit_table import print_audit
    from client.site_settings import read_site

    found = audited(read_site(folder).kept, noted)
    if as_json:
        print(json.dumps(found.to_json()))
    else:
        print_audit(found)
    if found.fault:
        print(f"error: {found.fault}", file=sys.stderr)
        raise typer.Exit(1)


def _device(name: str) -> "DeviceChoice":
    from bloodnet_model.settings import DeviceChoice

    if name not in get_args(DeviceChoice):
        raise SettingsError(f"--device {name}: is unknown; choose one of {', '.join(get_args(DeviceChoice))}.")
    return cast("DeviceChoice", name)


def _answer(question: str, usual: str) -> str:
    """What a person at a terminal answers; the usual where there is none."""
    return str(typer.prompt(question, default=usual)) if sys.stdin.isatty() else usual


def _progress() -> "AbstractContextManager[OnProgress]":
    from rich.console import Console

    return bars(Console(stderr=True))
