import pytest

from bloodnet_model.reader_study import ReaderDifference
from simulation.ablation.claim import verdict
from simulation.paired_comparison import Comparison

AUCS = {"dependent": 0.90, "independent": 0.86, "attention": 0.88, "shuffled": 0.85}


def against(delta: float, spread: float = 1e-4) -> Comparison:
    """`dependent` minus a rival: 200 studies, two seeds that agree."""
    return Comparison("dependent", "x", ReaderDifference((delta, delta), spread, spread, 0.0, 200), (0.0, 0.0))


@pytest.mark.parametrize(
    ("delta", "aucs", "says", "why"),
    [
        (0.03, {}, "holds", "dependent minus attention is +0.030 (+0.010 to +0.050), above 0"),
        (0.01, {}, "undecided", "which holds 0; about 780 such test studies would decide it"),
        (-0.03, {}, "fails", "below 0"),
        (0.03, {"shuffled": 0.91}, "fails", "dependent (0.900) does not exceed shuffled (0.910)"),
        (0.03, {"shuffled": 0.90}, "fails", "does not exceed"),
        (0.03, {"independent": 0.89}, "holds", "dependent minus independent"),
    ],
)
def test_the_rule(delta: float, aucs: dict[str, float], says: str, why: str) -> None:
    comparisons = {link: against(delta) for link in ("independent", "attention", "shuffled")}
    found = verdict({**AUCS, **aucs}, comparisons)
    assert found is not None
    assert found.says == says
    assert why in found.why


def test_the_better_rival_is_what_counts() -> None:
    comparisons = {"independent": against(0.05), "attention": against(0.0), "shuffled": against(0.05)}
    found = verdict(AUCS, comparisons)
    assert found is not None
    assert (found.says, found.rival) == ("undecided", "attention")
    assert "no number of such studies" in found.why


@pytest.mark.parametrize("missing", ["independent", "attention", "shuffled"])
def test_without_an_arm_that_it_needs_the_rule_says_nothing(missing: str) -> None:
    comparisons = {link: against(0.05) for link in ("independent", "attention", "shuffled") if link != missing}
    assert verdict(AUCS, comparisons) is None
