"""The run's report: one HTML file that needs nothing else, written anew after every round."""

from pathlib import Path

from bloodnet_model.errors import DataError
from bloodnet_model.files import write_whole
from bloodnet_model.run_metrics import load_metrics
from server.report.page import report_html
from server.run_folder import CONFIG, REPORT


def render_report(run_folder: Path, out: Path | None = None) -> Path:
    """Write `report.html`, or `out`, from `metrics.json` and `config.yaml` of `run_folder`; returns its path.

    Works after any round; what is not known yet is said to be so. Raises DataError where a file is missing.
    """
    metrics = load_metrics(run_folder)
    try:
        settings = (run_folder / CONFIG).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{run_folder / CONFIG}: cannot be read; give the whole folder of a run.") from None
    report = out or run_folder / REPORT
    write_whole(report, report_html(metrics, settings))
    return report
