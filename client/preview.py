"""A contact sheet of prepared studies for the site's own eyes: is the head upright, centred, and its mask in place?"""

import io
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import Final

from bloodnet_model.files import write_whole
from bloodnet_model.study import Study
from client.dataset import SPLITS, SiteData, Split
from client.strip import strip

STUDIES: Final = 6
IN_WORDS: Final = {1: "positive", 0: "negative", -1: "unlabelled"}


def refresh_preview(data: SiteData) -> None:
    """Write the contact sheet where there is none, or one of data that has been prepared anew since."""
    site = data.site
    if site.settings.members:  # each has its own
        return
    if not site.preview.exists() or site.preview.stat().st_mtime < site.ledger.stat().st_mtime:
        write_preview(data)


def write_preview(data: SiteData) -> Path:
    """Write `preview.png` into the site's cache and return its path; it names no patient and stays at the site.

    One study a row, first window, slices evenly spaced from inferior to superior, mask outlined in red.
    """
    from matplotlib.figure import Figure  # a seventh of what the ClientApp would import for every message

    rows = list(_chosen(data))
    figure = Figure(figsize=(12, 1.8 * max(1, len(rows))), facecolor="black", layout="constrained")
    grid = figure.subplots(max(1, len(rows)), squeeze=False)[:, 0]
    for axes in grid:
        axes.set_axis_off()
    for axes, (split, study) in zip(grid, rows, strict=False):
        axes.imshow(strip(study.windows, study.mask_bits))
        title = f"{split}, {IN_WORDS[int(study.study_labels[0])]}, {study.slices} slices"
        axes.set_title(title, color="white", fontsize=9, loc="left")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")  # the Agg renderer; no pyplot and none of its global state
    write_whole(data.site.preview, picture.getvalue())
    return data.site.preview


def _chosen(data: SiteData) -> Iterator[tuple[Split, Study]]:
    """Up to `STUDIES` studies: splits in turn, and in each, positives and negatives in turn."""
    by_split = []
    for split in SPLITS:
        studies = data.studies(split)
        sides = ([s for s in studies if bool(s.study_labels[0] == 1) is positive] for positive in (True, False))
        by_split.append([(split, study) for pair in zip_longest(*sides) for study in pair if study is not None])
    in_turn = (row for turn in zip_longest(*by_split) for row in turn if row is not None)
    yield from islice(in_turn, STUDIES)
