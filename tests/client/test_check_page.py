"""The preflight's page, of a real check."""

import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import torch

from bloodnet_model.settings import ModelSettings
from client.check import check, sampled
from client.check_page import check_html
from client.dataset import load_site
from client.inspection import inspect
from client.preflight import Preflight
from tests.client.dicom_factory import head_hu, uid, write_labels, write_site, write_slice


def quiet(stage: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site whose second study has a slice cut off and whose PACS gave a script as a series description."""
    write_site(tmp_path, {k: k % 2 for k in range(1, 9)})
    plane = np.zeros((32, 28))
    tags: dict[str, Any] = {
        "SeriesDescription": "<script>alert(1)</script>",
        "PatientName": "Doe^Jane",
        "BurnedInAnnotation": "YES",
    }
    write_slice(tmp_path / "dicom" / "2" / "cut.dcm", plane, index=40, study=2, PixelData=b"\0" * 8, **tags)
    return tmp_path


def page_of(site: Path, small: ModelSettings, studies: int | None = None) -> tuple[str, Preflight]:
    preflight, samples = check(load_site(site), small.preprocessing, studies, quiet)
    return check_html(preflight, samples), preflight


def test_it_says_what_was_found_and_what_to_do(site: Path, small: ModelSettings) -> None:
    html, preflight = page_of(site, small)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))
    assert "This site is ready with warnings" in text
    assert "8 of 8" in text
    assert (
        "1 file: The pixel data is shorter than the header announces. Export these files from the PACS again." in text
    )
    assert "dicom/2/cut.dcm" in html
    assert (preflight.identified, preflight.burned_in) == (1, 1)
    assert "<script" not in html
    assert "Doe" not in html


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(("device", "level"), [("auto", "note"), ("cpu", ""), ("gpu", "problem")])
def test_a_missing_gpu_is_a_problem_where_one_is_demanded(
    site: Path, small: ModelSettings, device: str, level: str
) -> None:
    with (site / "site.yaml").open("a") as file:
        file.write(f"device: {device}\n")
    _, preflight = page_of(site, small, 1)
    said = {finding.code: finding.level for finding in preflight.findings}
    assert said.get("no-gpu", "") == level
    assert (preflight.verdict == "not ready") == (device == "gpu")


def test_it_stands_alone_and_its_tags_close(site: Path, small: ModelSettings) -> None:
    html, _ = page_of(site, small)
    open_tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in ("meta", "img", "br"):
                open_tags.append(tag)
            assert all(not (value or "").startswith(("http", "//")) for name, value in attrs if name in ("src", "href"))

        def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Reader().feed(html)
    assert open_tags == []


def test_its_pictures_show_heads(site: Path, small: ModelSettings) -> None:
    html, _ = page_of(site, small)
    pictures = [imagecodecs.png_decode(b64decode(text)) for text in re.findall(r"base64,([^\"]+)", html)]
    assert len(pictures) == 6
    assert all(picture.shape == (32, 8 * 24, 3) and picture.std() > 40 for picture in pictures)
    assert html.count("<svg") == 6


def test_equal_sites_give_equal_pages(site: Path, small: ModelSettings) -> None:
    assert page_of(site, small)[0] == page_of(site, small)[0]


def test_a_sample_is_stated_and_the_same_each_time(site: Path, small: ModelSettings) -> None:
    html, preflight = page_of(site, small, studies=3)
    assert (preflight.examined, preflight.candidates) == (3, 8)
    assert "Pixels of 3 of 8 studies were read" in html
    candidates = inspect(load_site(site), quiet).candidates
    assert sampled(candidates, 3) == sampled(candidates[::-1], 3)
    assert len(sampled(candidates, 100)) == 8


def test_too_few_usable_studies_are_not_ready(site: Path, small: ModelSettings) -> None:
    write_labels(site / "labels.csv", [{"study_instance_uid": uid(k), "any": k % 2} for k in range(1, 20)])
    html, preflight = page_of(site, small)
    assert preflight.verdict == "not ready"
    assert "Only 8 of 19 labelled studies can be used" in html


def test_one_patient_number_for_all_is_noticed(tmp_path: Path, small: ModelSettings) -> None:
    write_site(tmp_path, {k: k % 2 for k in range(1, 5)})
    for number in range(1, 5):
        for index, path in enumerate(sorted((tmp_path / "dicom" / str(number)).iterdir(), reverse=True)):
            write_slice(path, head_hu(number)[index], index=index, study=number, patient="ANON")
    assert "one-patient" in {finding.code for finding in page_of(tmp_path, small)[1].findings}
