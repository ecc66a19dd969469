"""A node's health, asked as a container's health check asks it."""

import pytest

from bloodnet_model.errors import SettingsError
from client.health import COORDINATOR, Health, is_serving
from simulation.engines.loopback import HOST, free_ports


def test_a_node_is_well_before_the_coordinator_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # which gRPC would ask
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    address = f"{HOST}:{free_ports(1)[0]}"
    assert not is_serving(address, "", 10)
    health = Health(address)
    assert is_serving(address, "", 30)
    assert not is_serving(address, COORDINATOR, 30)
    health.connected(True)
    assert is_serving(address, COORDINATOR, 30)
    health.connected(False)
    assert not is_serving(address, COORDINATOR, 30)
    with pytest.raises(SettingsError, match="give --health another HOST:PORT"):
        Health(address)
