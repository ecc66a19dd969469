"""The report as a person meets it: opened in a headless Chromium, on a wide and a narrow window, dark, and in print."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram, summary
from server.report import render_report
from server.report.command import write_page
from tests.server.rich_run import rich_metrics

RUNS = ("finished", "withheld", "first round", "set aside", "no round", "twenty hospitals", "two runs")
NAMES = ("chromium", "chromium-browser", "google-chrome")
A4_HEIGHT_PX = 1017  # 297 mm less margins of 14 mm


def withheld() -> dict[str, Any]:
    """A small run in which one hospital gives nothing, another's figures do not exist, and a name is long."""
    metrics = rich_metrics(sites=4, rounds=3, planned=3, data="synthetic")
    test = metrics["test"]
    test["sites"]["st-mary"] = {"withheld": "below-minimum-cohort"}
    nobody = summary(ScoreHistogram.from_scores([0.2, 0.4], [0, 0]))
    test["sites"]["riverside"] = dict.fromkeys(CLASSES, nobody)
    test["groups"] = {"scanner GE": nobody}
    test["within_hospital"] = {
        "auc": None,
        "auc_low": None,
        "auc_high": None,
        "tau": None,
        "hospitals": 1,
        "undefined": "one hospital alone has an AUC.",
    }
    test["calibration"] |= {"temperature": None, "bias": None, "recalibrated": None}
    test["segmentation"] |= {"dice": None, "dice_studies": 0, "volume": None, "called": None, "not_called": None}
    test["operating"][0]["pooled"]["ppv"] = {"count": 0, "of": 0, "value": None, "low": None, "high": None}
    metrics["sites"]["the-university-hospital-of-the-far-northern-district"] = {}
    metrics["cross_site"]["rows"]["st-mary alone"]["riverside"] = nobody
    return metrics


def write(folder: Path, metrics: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "config.yaml").write_text("strategy: fedavg\n" + "a-long-key: " + "x" * 300 + "\n")
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("reports")
    runs = {
        "finished": rich_metrics(rounds=24, planned=24, patience=20),
        "withheld": withheld(),
        "first round": rich_metrics(rounds=1),
        "set aside": rich_metrics(rounds=7),
        "no round": rich_metrics(rounds=0),
        "twenty hospitals": rich_metrics(sites=20, rounds=8, planned=8, participation=0.6),
    }
    folders = {name: write(home / name, metrics) for name, metrics in runs.items()}
    written = {name: render_report(folder) for name, folder in folders.items()}
    both = [folders["finished"], folders["first round"]]
    return {**written, "two runs": write_page(both, home / "two-runs.html")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.fail("Chromium is not installed; install it (Debian and Ubuntu: apt-get install chromium).")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def said(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page, and everything that went wrong in it: words on its console, errors, and requests beside its own."""
    page, wrong = browser.new_page(), list[str]()
    page.on("console", lambda message: wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("request", lambda request: wrong.append(request.url) if request.url != page.url else None)
    yield page, wrong
    page.close()


def visit(page: Page, path: Path, width: int = 1280, **media: Any) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(**media)
    page.goto(path.as_uri())


@pytest.mark.parametrize("run", RUNS)
def test_page_asks_for_nothing_and_complains_of_nothing(
    run: str, pages: dict[str, Path], said: tuple[Page, list[str]]
) -> None:
    page, wrong = said
    visit(page, pages[run])
    page.wait_for_load_state("networkidle")
    assert [entry for entry in wrong if entry != pages[run].as_uri()] == []


SIZES = "() => [...document.querySelectorAll('figure')].map(f => [f.id, f.querySelector('svg')?.getBBox()?.width ?? 0])"
ROWS = """() => [...document.querySelectorAll('table')].map(t => [t.caption?.textContent ?? '',
    [...t.tBodies].flatMap(b => [...b.rows]).filter(r => r.cells.length > 1 && r.textContent.trim()).length])"""
HEADS = "() => [...document.querySelectorAll('th')].filter(t => !t.scope).length"
LINKS = "() => [...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.hash)).length"


@pytest.mark.parametrize("run", RUNS)
def test_every_figure_is_drawn_and_every_table_filled(run: str, pages: dict[str, Path], browser: Browser) -> None:
    page = browser.new_page()
    visit(page, pages[run])
    figures, tables = page.evaluate(SIZES), page.evaluate(ROWS)
    assert all(width > 100 for _, width in figures), figures
    assert all(caption and rows for caption, rows in tables), tables
    assert (len(figures) >= 6) is (run in ("finished", "withheld", "first round", "set aside", "twenty hospitals"))
    assert page.evaluate(HEADS) == 0
    assert page.evaluate(LINKS) == 0
    page.close()


BEYOND = """() => [...document.querySelectorAll('main *')]
    .filter(e => !e.closest('.scroll, svg, pre, details:not([open]) > :not(summary)')
        && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => `${e.tagName} ${e.className} ${e.textContent.slice(0, 60)}`)"""


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("run", RUNS)
def test_page_never_scrolls_sideways(run: str, width: int, pages: dict[str, Path], browser: Browser) -> None:
    page = browser.new_page()
    visit(page, pages[run], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(BEYOND) == []
    page.close()


CUT_TEXT = """() => [...document.querySelectorAll('figure svg')].flatMap(svg => {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim());
    const boxes = texts.map(t => t.getBoundingClientRect());
    const cut = texts.filter((t, i) => boxes[i].left < frame.left - 2 || boxes[i].right > frame.right + 2
        || boxes[i].top < frame.top - 2 || boxes[i].bottom > frame.bottom + 2).map(t => `cut: ${t.textContent}`);
    const over = [];
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b, j) => {
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 2 && high > 0.3 * Math.min(a.height, b.height))
            over.push(`over: ${texts[i].textContent} / ${texts[i + 1 + j].textContent}`);
    }));
    return [...cut, ...over].map(what => `${svg.parentElement.id} ${what}`);
})"""


@pytest.mark.parametrize("run", RUNS)
def test_words_in_figures_are_whole_and_apart(run: str, pages: dict[str, Path], browser: Browser) -> None:
    page = browser.new_page()
    visit(page, pages[run])
    assert page.evaluate(CUT_TEXT) == []
    page.close()


CONTRAST = """() => {
    const pen = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d');
    const rgba = colour => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data].map(v => v / 255); };
    const light = ([r, g, b]) => [r, g, b].map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
        if (c[3] > 0.99) return c; } return rgba('white'); };
    const words = 'h1, h2, h3, p, td, th, dt, dd, li, a, strong, span, caption, summary, svg text';
    return [...document.querySelectorAll(words)]
        .filter(e => e.textContent.trim()).map(e => {
            const style = getComputedStyle(e), page = behind(e);
            const ink = rgba(e.closest('svg') ? style.fill : style.color);
            const [a, b] = [light(ink), light(page)].sort();
            return [(b + 0.05) / (a + 0.05), `${e.tagName} ${e.textContent.slice(0, 40)}`]; })
        .filter(([ratio]) => ratio < 4.5 && ratio > 1.001);
}"""
"""Words that are hard to read, after WCAG 2.2; those of a figure in the page's own colour stand on a bar."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("run", ["finished", "withheld", "two runs"])
def test_words_can_be_read_in_both_schemes(run: str, scheme: str, pages: dict[str, Path], browser: Browser) -> None:
    page = browser.new_page()
    visit(page, pages[run], color_scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(29, 32, 38)"}[scheme]
    assert page.evaluate(CONTRAST) == []
    page.close()


CUT_IN_PRINT = """() => [...document.querySelectorAll('.scroll, pre, table')]
    .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible'
        || e.scrollHeight > e.clientHeight + 1 && getComputedStyle(e).overflowY !== 'visible'
        || e.getBoundingClientRect().right > innerWidth + 1 || !e.checkVisibility())
    .map(e => `${e.tagName} ${e.className} ${e.textContent.slice(0, 60)}`)"""
TALL_IN_PRINT = (
    "() => Math.max(0, ...[...document.querySelectorAll('figure')].map(f => f.getBoundingClientRect().height))"
)


@pytest.mark.parametrize("run", RUNS)
def test_print_leaves_nothing_cut(run: str, pages: dict[str, Path], browser: Browser) -> None:
    page = browser.new_page()
    visit(page, pages[run], width=700, media="print")  # A4 less margins of 12 mm
    assert page.evaluate(CUT_IN_PRINT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert page.evaluate(TALL_IN_PRINT) < A4_HEIGHT_PX
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
