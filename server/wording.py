"""How the report writes its figures."""

from bloodnet_model.run_metrics import AucRecord


def figure(value: float, digits: int = 2) -> str:
    """`value` in [0, 1] with `digits` decimals, more where it would read as 0 or 1 without being it.

    >>> figure(0.884), figure(0.9987), figure(1.0)
    ('0.88', '0.999', '1.00')
    """
    while digits < 4 and 0 < value < 1 and round(value, digits) in (0, 1):
        digits += 1
    return f"{value:.{digits}f}"


def interval(record: AucRecord, digits: int = 2) -> str:
    """`0.82–0.92`, or nothing where the interval is undefined."""
    if record.auc_low is None or record.auc_high is None:
        return ""
    return f"{figure(record.auc_low, digits)}–{figure(record.auc_high, digits)}"


def why_undefined(record: AucRecord) -> str:
    """The reason alone: `no positive study among 12`."""
    return (record.undefined or "").partition(": ")[2].rstrip(".")


def in_words(code: str) -> str:
    """`below-minimum-cohort` as a person reads it."""
    return code.replace("-", " ")
