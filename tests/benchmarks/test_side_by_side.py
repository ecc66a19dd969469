"""The benchmark beside the peers refuses contenders that did not do the same work."""

import numpy as np
import pytest

from benchmarks.peers.side_by_side import require_same
from benchmarks.peers.work import answer, magnitude

_FIRST = [np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), np.ones(3, np.float32)]


@pytest.mark.parametrize("steps", [0, 2])
def test_who_trained_is_told_from_who_handed_back_what_it_got(steps: int) -> None:
    trained, untouched = (magnitude(arrays) / magnitude(_FIRST) - 1 for arrays in (answer(_FIRST, steps), _FIRST))
    require_same({"ours": trained, "peer": trained})
    with pytest.raises(RuntimeError, match="same work"):
        require_same({"ours": trained, "peer": untouched})


def test_contenders_that_all_trained_nothing_are_refused() -> None:
    with pytest.raises(RuntimeError, match="same work"):
        require_same({"ours": 0.0, "peer": 0.0})
