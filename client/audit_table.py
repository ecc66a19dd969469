"""What `bloodnet-client audit` prints: what left, by run and round, and whether the log can be believed."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.audit import Audit, totals
from client.egress import Departure
from client.terminal import printable

_RIGHT = {"round", "bytes", "norm"}


def print_audit(found: Audit) -> None:
    """A table for each run in the order in which they began, then totals; a fault goes to whoever calls."""
    console = Console(highlight=False)
    runs: dict[str, list[Departure]] = {}
    for line in found.lines:
        runs.setdefault(line.run, []).append(line)
    for run, lines in runs.items():
        console.print(_table(run, lines))
    told = totals(found.lines)
    console.print(
        f"{told['answers']} answers left, {_bytes(told['bytes'])} bytes: {told['given']} with what was asked for "
        f"({told['updates']} of them updates), {told['refused']} refusals."
    )
    if not found.fault:
        console.print(f"The log is as it was written. To see later that it still is, note this digest:\n{found.digest}")


def _table(run: str, lines: Sequence[Departure]) -> Table:
    title = Text(f"run {printable(run)}" if run else "of no run that could be read", style="bold")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("round", "left at (UTC)", "asked for", "answer", "bytes", "norm"):
        table.add_column(name, justify="right" if name in _RIGHT else "left", no_wrap=name not in ("answer", "norm"))
    for line in lines:
        table.add_row(*map(Text, _cells(line)))
    table.add_section()
    return table


def _cells(line: Departure) -> Iterator[str]:
    yield str(line.round or "")
    yield line.time.removesuffix("+00:00").replace("T", " ")
    yield printable(line.kind)
    yield "given" if line.code == "ok" else line.code
    yield _bytes(line.bytes)
    yield _norm(line)


def _norm(line: Departure) -> str:
    if line.norm is None:
        return ""
    return f"{line.norm:.4g}" if line.clipped is None else f"{line.norm:.4g}, clipped from {line.clipped:.4g}"


def _bytes(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f")
