"""`bloodnet-client run` behind a hospital's proxy: the coordinator's name is known to the proxy alone."""

import socket
import threading
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
import yaml
from rich.console import Console

from client.audit import audit
from client.keys import make_node_key, public_key
from client.site_settings import read_site
from server.app import OUT
from server.certificates import AUTHORITY, issue_server_certificate, make_authority
from server.launch import superlink, watch
from server.settings import to_run_config
from simulation.engines.loopback import HOST, free_ports, start_superlink
from simulation.engines.programs import programs
from tests.client.doors import carry
from tests.client.test_node import SETTINGS, answers, start_node
from tests.conftest import DrawHospitals
from tests.processes import wait_until

NAME = "coordinator.invalid"
"""Never resolved by anybody (RFC 2606)."""


class Proxy(ThreadingTCPServer):
    """Knows one name, and lets CONNECT through to it alone; `asked` are the first lines of all that it was asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int) -> None:
        self.port, self.asked = port, list[str]()
        super().__init__((HOST, 0), Connection)


class Connection(StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        first = self.rfile.readline().decode().strip()
        while self.rfile.readline().strip():
            pass
        self.server.asked.append(first)
        if first.split()[:2] != ["CONNECT", f"{NAME}:443"]:
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        with socket.create_connection((HOST, self.server.port)) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=carry, args=(there, self.connection), daemon=True).start()
            carry(self.connection, there)


@pytest.mark.slow
def test_a_run_goes_through_the_proxy_and_the_nodes_own_processes_do_not(
    draw_hospitals: DrawHospitals, tmp_path: Path
) -> None:
    (site,) = draw_hospitals(tmp_path / "hospitals", 1)
    (port, health), folder = free_ports(2), tmp_path / "flower"
    keys = folder / "keys"
    keys.mkdir(parents=True)
    make_authority(keys, "test")
    issue_server_certificate(keys, [HOST, NAME])
    settings = yaml.safe_load((site / "site.yaml").read_text())
    settings |= {"authority": str(keys / AUTHORITY), "policy": {"coordinator": f"{NAME}:443"}}
    (site / "site.yaml").write_text(yaml.safe_dump(settings))
    make_node_key(site / "node.key")
    with (
        Proxy(port) as proxy,
        programs(folder) as started,
        superlink(start_superlink(keys, port, started)) as link,
    ):
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        wait_until(lambda: answers(link))
        link.register(public_key(site / "node.key"), site.name)
        at = f"http://{HOST}:{proxy.server_address[1]}"
        node = start_node(folder, site, health, HTTPS_PROXY=at, HTTP_PROXY=at, NO_PROXY="")
        try:
            wait_until(lambda: link.online() == {site.name})
            run = link.start({**to_run_config(SETTINGS), OUT: str(tmp_path / "run")})
            watch(link, run, tmp_path / "run", SETTINGS.rounds, Console(stderr=True))
        finally:
            node.kill()
            node.wait()
            proxy.shutdown()
    assert {line.code for line in audit(read_site(site).kept).lines} == {"ok"}
    assert {line.split()[1] for line in proxy.asked} == {f"{NAME}:443"}
