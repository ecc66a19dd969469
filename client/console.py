"""What the hospital's commands print."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bloodnet_model.splits import HELD_OUT, SPLITS
from client.dataset import SiteData
from client.exported import CARD, Manifest
from client.findings import Verdict
from client.machine import Machine, size_in_words
from client.model_card import agreement_in_words, data_in_words
from client.preflight import Preflight
from client.scorer import Scorer
from client.triage import Triaged
from client.worklist import Threshold, choose_threshold, names, reason_of, worklist_table

_STYLES = {"problem": "bold red", "warning": "yellow", "note": "dim"}
_VERDICTS = {"ready": "bold green", "ready with warnings": "bold yellow", "not ready": "bold red"}


def print_preflight(preflight: Preflight, page: Path, verdict: Verdict) -> None:
    """The site's verdict, counts and findings; paths only of what was written."""
    console = Console(highlight=False)
    console.print(Text.assemble(f"{preflight.site} is ", (verdict, _VERDICTS[verdict])))
    console.print(f"\n{preflight.summary[0].upper()}{preflight.summary[1:]}\n")
    console.print(_splits(preflight))
    if preflight.findings:
        console.print(_findings(preflight))
    covered = preflight.coverage
    needed, free = size_in_words(preflight.needed_bytes), size_in_words(preflight.machine.free_bytes)
    facts = {
        "coverage": f"{covered.usable} of {covered.labelled} labelled studies can be used",
        "pixels": f"of {preflight.examined} of {preflight.candidates} studies read",
        "privacy": f"{preflight.identified} files with a patient's name, {preflight.burned_in} with burned-in writing",
        "device": _device(preflight.machine),
        "disk": f"{needed} needed for the cache, {free} free",
        "page": str(page),
        "every line": str(page.with_suffix(".csv")),
    }
    _print_facts(console, facts)


def print_index(data: SiteData) -> None:
    """Counts by split, the ledger in one line, the groups whose names would travel, and where things lie."""
    console = Console(highlight=False)
    counts = data.counts()
    for split in SPLITS:
        if split in HELD_OUT and not counts[f"{split}-studies"]:
            continue
        console.print(f"{split:<14}{counts[f'{split}-studies']:>6} studies, {counts[f'{split}-positive']} positive")
    summary = data.ledger().summary()
    console.print(f"{summary[0].upper()}{summary[1:]}")
    covered = data.coverage()
    facts = {"coverage": f"{covered.usable} of {covered.labelled} labelled studies can be used"}
    if data.site.settings.groups != "none":
        groups = Counter(group for split in SPLITS for group in data.groups(split))
        facts["groups"] = ", ".join(f"{name} ({studies})" for name, studies in sorted(groups.items()))
    if not data.site.settings.members:
        facts |= {"ledger": str(data.site.ledger), "pictures": str(data.site.preview)}
    _print_facts(console, facts)


def print_worklist(
    worklist: Sequence[Triaged], threshold: Threshold, scorer: Scorer, others: int, out: Path | None
) -> None:
    """The ranked table, how many are flagged at which threshold and why there, and where the files lie."""
    console = Console(highlight=False)
    console.print(worklist_table(worklist, threshold))
    scored = [study for study in worklist if study.score is not None]
    flagged, unread = sum(map(threshold.flags, scored)), len(worklist) - len(scored)
    console.print(
        f"\n{flagged} of {len(scored)} flagged at a score of {threshold.score:.3g} or more; {unread} not read"
    )
    for study, name in zip(worklist, names(worklist), strict=True):
        if study.score is None:
            why = f"{reason_of(study)} ({study.detail.rstrip('.')})" if study.detail else reason_of(study)
            console.print(f"  {name}: {why}", markup=False, style="red")
    if others:
        console.print(f"{others} file{'' if others == 1 else 's'} left aside: no CT image")
    facts = {"threshold": threshold.why, "model": f"trained on {data_in_words(scorer.data)}; {scorer.runs_on}"}
    if out is not None:
        facts |= {"worklist": str(out / "worklist.csv"), "overlays": str(out)}
    _print_facts(console, facts)


def print_export(manifest: Manifest, out: Path) -> None:
    """What was written, how near it is to PyTorch, and its operating point."""
    threshold = choose_threshold(None, manifest.operating_point)
    facts = {
        "model": f"{manifest.preset}, {manifest.link}, trained on {data_in_words(manifest.data)}",
        "agreement": f"probabilities {agreement_in_words(manifest.difference)}",
        "threshold": f"{threshold.score:.3g}, {threshold.why}",
        "graphs": ", ".join(manifest.files),
        "model card": str(out / CARD),
        "use it": f"bloodnet-client triage STUDIES --model {out}",
    }
    _print_facts(Console(highlight=False), facts)


def _print_facts(console: Console, facts: dict[str, str]) -> None:
    """Paths are not wrapped, so that they can be copied."""
    for name, fact in facts.items():
        console.print(f"{name:<11}{fact}", soft_wrap=True)


def _splits(preflight: Preflight) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("split")
    for name in ("patients", "studies", "hemorrhage", "none", "unknown"):
        table.add_column(name, justify="right")
    for split in preflight.splits:
        unknown = split.studies - split.positive - split.negative
        figures = (split.patients, split.studies, split.positive, split.negative, unknown)
        table.add_row(split.split, *map("{:,}".format, figures))
    return table


def _findings(preflight: Preflight) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_row()
    for finding in preflight.findings:
        table.add_row(Text(finding.level, _STYLES[finding.level]), Text(finding.text))
    table.add_row()
    return table


def _device(machine: Machine) -> str:
    gpu = f"{machine.gpu}, {size_in_words(machine.gpu_memory_bytes)}" if machine.gpu else "no GPU"
    cores = f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
    width = "bfloat16" if machine.bfloat16 else "float32 (no native bfloat16)"
    return f"{gpu}; {cores} of {machine.processor or 'a processor'}, {size_in_words(machine.memory_bytes)}; {width}"
