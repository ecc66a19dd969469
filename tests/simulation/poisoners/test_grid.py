"""Which answers are turned round on their way, how, and that the gate lets them pass."""

from dataclasses import replace
from typing import cast

import numpy as np
from flwr.app import Error, RecordDict
from flwr.serverapp import Grid

from simulation.poisoners.grid import SignFlipped, flipped
from strategies import records
from strategies.records import Update
from tests.server.nodes import in_training, rounds_of, site, started


def test_the_change_has_the_other_sign_and_the_rest_is_as_it_was() -> None:
    honest = Update(np.array([2, 2, 1], np.float32), 9, 5, (1.0, 0.5, 0.3, 0.2), 3.0, 2, 7)
    sent = records.unpack_update(flipped(records.pack_update(honest), np.array([1, 2, 3], np.float32)))
    assert sent.weights[:].tolist() == [0, 2, 5]
    assert replace(sent, weights=honest.weights) == honest


def test_large_weights_lose_nothing_of_a_small_change() -> None:
    before = np.full(1, 2**20, np.float32)
    update = Update(before + np.float32(0.125), 1, 1, (0.0, 0.0, 0.0, 0.0), 0.0)
    sent = records.unpack_update(flipped(records.pack_update(update), before))
    assert sent.weights[:].tolist() == [2**20 - 0.125]


def test_a_refusal_stays_as_it_is() -> None:
    answer = records.refusal("no-studies")
    assert flipped(answer, np.zeros(3, np.float32)) is answer


def test_the_gate_lets_it_pass_and_the_other_sites_are_left_alone() -> None:
    nodes = {1: site("a", 1.0), 2: site("b", 2.0), 3: site("c", 4.0)}
    with started(nodes, norm_ratio=10) as federation:
        poisoned = replace(federation, grid=cast(Grid, SignFlipped(federation.grid, [2])))
        results = rounds_of(poisoned)
    assert [result.refused for result in results] == [{}, {}]
    assert [result.weights.tolist() for result in results] == [[1.0] * 3, [2.0] * 3]
    assert set(results[-1].validation.sites) == {"a", "b", "c"}


def test_a_poisoner_that_fails_fails_as_others_do() -> None:
    broken: RecordDict | Error
    for broken, reason in ((Error(0, ""), "node-error"), (records.refusal("bad-data"), "bad-data")):
        nodes = {1: site("a", 1.0), 2: in_training(site("b", 2.0), broken)}
        with started(nodes, rounds=1) as federation:
            (result,) = rounds_of(replace(federation, grid=cast(Grid, SignFlipped(federation.grid, [2]))))
        assert result.refused == {"b": reason}
        assert result.weights.tolist() == [1.0] * 3
