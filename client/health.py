"""How a running node is, by gRPC's health protocol (grpc.health.v1), without TLS: for this machine, or its own network.

The protocol's nameless service says that the node's process works. The service `coordinator` says that the coordinator
answers it. A node that waits for a coordinator is well: starting it anew would not help.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_health.v1.health import HealthServicer  # type: ignore[import-untyped]

from bloodnet_model.errors import SettingsError

COORDINATOR: Final = "coordinator"
"""Name of the service that stands for the connection."""

_ANSWER: Final = health_pb2.HealthCheckResponse


class Health:
    """Answers whoever asks at `address`, HOST:PORT, until the process ends; raises SettingsError if it cannot."""

    def __init__(self, address: str) -> None:
        self._services = HealthServicer()
        self.connected(False)
        # without so_reuseport=0 a second node would listen at the same port, and each would get some of the questions
        self._server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(self._services, self._server)
        try:
            self._server.add_insecure_port(address)
        except RuntimeError:
            raise SettingsError(
                f"{address}: the node's health cannot be answered there; give --health another HOST:PORT, or end what "
                "listens there."
            ) from None
        self._server.start()

    def connected(self, is_so: bool) -> None:
        """Say from now on that the coordinator answers, or that it does not."""
        self._services.set(COORDINATOR, _ANSWER.SERVING if is_so else _ANSWER.NOT_SERVING)


def is_serving(address: str, service: str, seconds: float) -> bool:
    """Whether the node at `address` says so of a service; False, too, where nobody answers within `seconds`."""
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=seconds
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == _ANSWER.SERVING)
