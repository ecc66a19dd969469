"""The synthetic task is not solved by counting bright voxels."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simulation.phantom import draw_study, scanner_of

STUDIES = 200
BINS_HU = np.arange(0, 101, 5)


def drawn(number: int) -> tuple[NDArray[np.float64], int]:
    """Shares of the HU histogram between 0 and 100, and whether there is blood."""
    habits = scanner_of(number % 4, np.random.default_rng([3, number % 4]))
    study = draw_study(np.random.default_rng([7, number]), habits, 24, 96, number // 4 % 2 == 0)
    counts = np.histogram(study.volume_hu, bins=BINS_HU)[0]
    return counts / counts.sum(), int(any(study.labels))


def separability(features: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """AUC of a logistic regression, cross-validated."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))  # type: ignore[no-untyped-call]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)  # type: ignore[no-untyped-call]
    scores = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")
    return float(roc_auc_score(labels, scores[:, 1]))


@pytest.mark.slow
def test_a_linear_classifier_on_the_histogram_does_not_solve_it() -> None:
    features, labels = map(np.array, zip(*map(drawn, range(STUDIES)), strict=True))
    assert separability(features, labels) < 0.8
    # Blood that filled one more percent of the head's histogram at 60 HU would: the measure can tell.
    bright = features + labels[:, None] * 0.01 * (BINS_HU[:-1] == 60)
    assert separability(bright, labels) > 0.8
