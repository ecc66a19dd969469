"""The splits that all parties share: which patients are trained on, and which are only ever scored."""

from typing import Final, Literal

Split = Literal["train", "validation", "test", "test-random", "test-enriched"]

DEALT: Final[tuple[Split, ...]] = ("train", "validation", "test")
"""Into these a site's patients are dealt."""

HELD_OUT: Final[tuple[Split, ...]] = ("test-random", "test-enriched")
"""Test sets of their own, into which patients are put by name alone: a sample as it came, and one rich in blood.

The two kinds on which BloodNet was published (arXiv 1907.00148).
"""

SPLITS: Final = (*DEALT, *HELD_OUT)
"""A study is in one of them."""
