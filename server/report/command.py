"""What `bloodnet-server report` does, with what its flags say."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bloodnet_model.errors import SettingsError
from bloodnet_model.files import make_folder, write_whole
from bloodnet_model.run_metrics import RunMetrics
from server.report import render_report
from server.report.answer import shown_of
from server.report.markdown import as_markdown
from server.report.plot import Plot
from server.report.plots import plots_of
from server.report.runs import load_runs, run_lines
from server.report.runs_page import runs_html, runs_plots
from server.report.table import as_csv, as_json

WRITERS: Final[Mapping[str, Callable[[Mapping[str, RunMetrics]], str]]] = {
    "json": as_json,
    "csv": as_csv,
    "md": as_markdown,
}
COMPARISON: Final = "report-comparison.html"


def write_page(folders: Sequence[Path], out: Path | None) -> Path:
    """The page of one run, in its folder unless `out` is given, or of several beside each other; returns its path."""
    _check(folders, out)
    if len(folders) == 1:
        return render_report(folders[0], out)
    page = out or Path(COMPARISON)
    write_whole(page, runs_html(load_runs(folders)))
    return page


def text_of(folders: Sequence[Path], form: str) -> str:
    """The runs' figures in a form of `WRITERS`, to be printed or kept."""
    _check(folders, None)
    return WRITERS[form](load_runs(folders))


def write_text(text: str, out: Path) -> Path:
    _check((), out)
    write_whole(out, text)
    return out


def write_figures(folders: Sequence[Path], into: Path) -> int:
    """Every figure as SVG and PNG; of several runs a folder each, beside the figures of all. Returns how many."""
    runs = load_runs(folders)
    if len(runs) == 1:
        return _write(_plots(next(iter(runs.values()))), into)
    written = _write(runs_plots(run_lines(runs)).values(), into)
    return written + sum(_write(_plots(metrics), into / name) for name, metrics in _by_folder(runs))


def _plots(metrics: RunMetrics) -> Iterable[Plot]:
    return plots_of(metrics, shown_of(metrics)).values()


def _write(plots: Iterable[Plot], into: Path) -> int:
    written = 0
    for plot in plots:
        make_folder(into)
        write_whole(into / f"{plot.name}.svg", plot.svg_file())
        write_whole(into / f"{plot.name}.png", plot.png())
        written += 1
    return written


def _by_folder(runs: Mapping[str, RunMetrics]) -> Iterable[tuple[str, RunMetrics]]:
    """A run may be called after a path: its name becomes that of one folder, numbered so that no two are the same."""
    for number, (name, metrics) in enumerate(runs.items(), start=1):
        yield f"{number}-{re.sub(r'[^A-Za-z0-9_-]+', '-', name).strip('-')}", metrics


def _check(folders: Sequence[Path], out: Path | None) -> None:
    for place, folder in enumerate(folders):
        if folder.resolve() in {other.resolve() for other in folders[:place]}:
            raise SettingsError(f"{folder}: is given twice; name each run once.")
    if out is not None and out.is_dir():
        raise SettingsError(f"--out {out}: is a folder; give the name of a file in it.")
