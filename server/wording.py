"""How figures, times and refusals are written for people: in the report, on the terminal."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from bloodnet_model.run_metrics import AucRecord

_NOISE: Final = 1e-9
"""What arithmetic may leave of 0 or 1."""


_REFUSALS: Final[Mapping[str, str]] = {
    "not-approved": "this run's code is not approved at {site}",
    "not-allowed": "{site} asks before a run, and nobody there has allowed this one",
    "quiet-hours": "within {site}'s quiet hours",
    "too-many-epochs": "outside {site}'s policy: epochs",
    "too-many-steps": "outside {site}'s policy: steps",
    "hours-used-up": "{site}'s hours of a day are used up",
    "control-beyond-clip": "outside {site}'s policy: a second vector, which is not clipped",
    "metric-withheld": "outside {site}'s policy: these figures",
    "not-logged": "{site} cannot write its egress log",
    "node-error": "the app failed at {site}; the log there says why",
    "internal-error": "{site} could not answer; the log there says why",
    "no-answer": "no answer from {site} before the deadline",
    "not-sent": "nothing could be sent to {site}",
    "not-connected": "{site} is not connected",
    "nothing-to-train": "{site} has nothing to train on",
    "no-studies": "{site} has no studies for this",
    "low-coverage": "too few of {site}'s labelled studies can be used",
    "below-minimum-cohort": "{site} has too few studies to give figures",
}
"""What a site answers instead of records, by its code, and what is found of its answers; others are words already."""


class HasInterval(Protocol):
    """Whatever has two ends, either of which may be unknown."""

    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def figure(value: float, digits: int = 2) -> str:
    """`value` in [0, 1] with `digits` decimals, more where it would read as 0 or 1 without being it.

    >>> figure(0.884), figure(0.9987), figure(1.0)
    ('0.88', '0.999', '1.00')
    """
    if min(abs(value), abs(1 - value)) < _NOISE:
        value = float(round(value))
    while digits < 4 and 0 < value < 1 and round(value, digits) in (0, 1):
        digits += 1
    return f"{value:.{digits}f}"


def interval(record: AucRecord, digits: int = 2) -> str:
    """`0.82–0.92`, or nothing where the interval is undefined."""
    return _span(record.auc_low, record.auc_high, digits)


def with_interval(record: AucRecord, digits: int = 2) -> str:
    """`0.88 (95 % CI 0.82–0.92)`, or why it is undefined."""
    if record.auc is None:
        return f"undefined ({why_undefined(record)})"
    span = interval(record, digits)
    return f"{figure(record.auc, digits)} ({f'95 % CI {span}' if span else 'no interval'})"


def precision_with_interval(record: AucRecord, digits: int = 3) -> str:
    """`0.81 (0.74–0.87)` of the area under the precision-recall curve, or a dash."""
    if record.auprc is None:
        return "–"
    span = _span(record.auprc_low, record.auprc_high, digits)
    return f"{figure(record.auprc, digits)}{f' ({span})' if span else ''}"


def signed(value: float, digits: int = 3) -> str:
    """`+0.021` or `−0.021`, with a true minus; a digit more where it would read as 0 without being it.

    >>> signed(0.0213), signed(-0.0003), signed(0.0)
    ('+0.021', '−0.0003', '0.000')
    """
    if value and round(value, digits) == 0:
        digits += 1
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'−' if value < 0 else '+'}{text}"


def signed_span(record: HasInterval, digits: int = 3) -> str:
    """`−0.003 to +0.045`, or nothing where the interval is undefined."""
    if record.low is None or record.high is None:
        return ""
    return f"{signed(record.low, digits)} to {signed(record.high, digits)}"


def per_hundred(share: float) -> str:
    """Of 100 patients, how many: never 0 or 100 where it is not.

    >>> per_hundred(0.947), per_hundred(0.998), per_hundred(0.002), per_hundred(1.0)
    ('95', 'more than 99', 'fewer than 1', '100')
    """
    whole = round(100 * share)
    if whole == 100 and share < 1:
        return "more than 99"
    if whole == 0 and share > 0:
        return "fewer than 1"
    return str(whole)


def why_undefined(record: AucRecord) -> str:
    """The reason alone: `no positive study among 12`."""
    return reason_of(record.undefined)


def reason_of(undefined: str | None) -> str:
    """Of `the AUC is undefined: no positive study among 12.` the reason alone."""
    what, _, why = (undefined or "undefined").partition(": ")
    return (why or what).rstrip(".")


def why(code: str, site: str) -> str:
    """Of a refusal, for who knows which site it is of: `outside site-b's policy: epochs`, `too large`."""
    return _REFUSALS[code].format(site=site) if code in _REFUSALS else in_words(code)


def refusal(code: str, site: str) -> str:
    """The same with the site's name in every case.

    >>> refusal("quiet-hours", "site-b"), refusal("too-large", "site-b")
    ("within site-b's quiet hours", 'site-b: too large')
    """
    return why(code, site) if code in _REFUSALS else f"{site}: {in_words(code)}"


def in_words(code: str) -> str:
    """`below-minimum-cohort` as a person reads it."""
    return code.replace("-", " ")


def counted(number: int, one: str, many: str = "") -> str:
    """`1 hospital`, `1,204 hospitals`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """To about two digits.

    >>> duration(0.42), duration(41.3), duration(130), duration(8040), duration(200_000)
    ('0.4 s', '41 s', '2 min', '2 h 14 min', '2 d 8 h')
    """
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"


def duration_in_full(seconds: float) -> str:
    """Of a round figure, in words.

    >>> duration_in_full(30), duration_in_full(120), duration_in_full(3600), duration_in_full(172_800)
    ('30 seconds', '2 minutes', '1 hour', '2 days')
    """
    for unit, unit_s in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= unit_s and seconds % unit_s == 0 and (unit != "day" or seconds > unit_s):
            return counted(int(seconds // unit_s), unit)
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"


def clock(then: datetime, now: datetime) -> str:
    """`14:32`, with the day where it is not today's: `Fri 27 Nov 14:32`."""
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%a} {then.day} {then:%b %H:%M}"


def sentence(text: str) -> str:
    """With a capital in front and a full stop behind."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _span(low: float | None, high: float | None, digits: int) -> str:
    if low is None or high is None:
        return ""
    return f"{figure(low, digits)}–{figure(high, digits)}"
