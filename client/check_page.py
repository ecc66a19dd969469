"""The page of a preflight: what was found, what to do, and some studies to look at. It stays at the site."""

from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import imagecodecs
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bloodnet_model.page import render_page
from bloodnet_model.reasons import REASONS
from client.check import Sample
from client.check_template import BODY, STYLE
from client.ledger import Entry, Status
from client.looked import HISTOGRAM_BINS, HISTOGRAM_HU
from client.machine import size_in_words
from client.preflight import Preflight
from client.remedies import REMEDIES

_EXAMPLES: Final = 3
_KINDS: Final = ("study", "series", "file", "label")
_WIDTH, _HEIGHT, _FOOT = 330, 112, 24
"""Of a histogram, in the units of its viewBox."""


def check_html(preflight: Preflight, samples: Sequence[Sample]) -> str:
    """The page as HTML; equal arguments give equal text."""
    return render_page(
        BODY,
        {"thousands": "{:,}".format, "in_bytes": size_in_words},
        STYLE,
        headline=f"{preflight.site}: {preflight.verdict}",
        preflight=preflight,
        rows=list(_rows(preflight.entries)),
        used=Counter(entry.kind for entry in preflight.entries if entry.status == "used"),
        samples=[(sample, _picture(sample.picture.slices), _histogram(sample.picture.histogram)) for sample in samples],
    )


@dataclass(frozen=True)
class Row:
    """One reason of one kind of ledger line, with some of the items it was given for."""

    kind: str
    count: int
    reason: str
    status: Status
    meaning: str
    remedy: str
    examples: tuple[Entry, ...]


def _rows(entries: Sequence[Entry]) -> Iterator[Row]:
    """Studies first; of a kind, the broken ones first, then the commonest."""
    found: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.reason:
            found[entry.kind, entry.reason].append(entry)
    rank = ("quarantined", "skipped", "used")
    for (kind, reason), of_it in sorted(
        found.items(),
        key=lambda item: (_KINDS.index(item[0][0]), rank.index(item[1][0].status), -len(item[1]), item[0]),
    ):
        examples = tuple(islice(of_it, _EXAMPLES))
        yield Row(kind, len(of_it), reason, of_it[0].status, REASONS[reason], REMEDIES.get(reason, ""), examples)


def _picture(slices: NDArray[np.uint8]) -> str:
    return f"data:image/png;base64,{b64encode(imagecodecs.png_encode(slices)).decode()}"


def _histogram(counts: NDArray[np.int64]) -> Markup:
    """Voxels by HU as an `<svg>`; the root of the counts, for air would hide all else."""
    low, high = HISTOGRAM_HU
    floor = _HEIGHT - _FOOT
    tissue = counts[int((-500 - low) / (high - low) * HISTOGRAM_BINS) :]
    tallest = np.sqrt(max(int(tissue.max()), 1))
    heights = np.minimum(np.sqrt(counts) / tallest, 1) * (floor - 14)
    step = _WIDTH / HISTOGRAM_BINS
    outline = "".join(f"V{floor - height:.1f}H{(bin + 1) * step:.1f}" for bin, height in enumerate(heights))

    def x(hu: float) -> float:
        return (hu - low) / (high - low) * _WIDTH

    marks = "".join(
        f'<line x1="{x(hu):.1f}" x2="{x(hu):.1f}" y1="10" y2="{floor + 4}" stroke="var(--muted)" stroke-width=".7"'
        f' stroke-dasharray="2 3"/><text x="{x(hu):.1f}" y="{_HEIGHT - 8}" text-anchor="middle" font-size="11"'
        f' fill="var(--muted)">{name}</text>'
        for hu, name in ((-1000, ""), (-500, "−500"), (0, "water 0"), (500, "500"), (1000, "bone 1000"))
    )
    blood = (
        f'<rect x="{x(50):.1f}" y="10" width="{x(90) - x(50):.1f}" height="{floor - 10}"'
        ' fill="var(--pooled)" opacity=".18"/>'
    )
    return Markup(
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Histogram of HU">{blood}'
        f'<path d="M0 {floor}{outline}V{floor}Z" fill="var(--site)"/>{marks}'
        f'<text x="2" y="{_HEIGHT - 8}" font-size="11" fill="var(--muted)">air</text></svg>'
    )
