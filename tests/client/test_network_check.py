"""The network half of `check`, against real sockets: every way to be wrong has a name of its own, and a remedy."""

import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from bloodnet_model.errors import SettingsError
from client import network_way
from client.firewall_request import firewall_request
from client.keys import make_node_key
from client.network_check import NetworkCheck, check_network
from client.network_heartbeat import on_clock
from client.network_route import Route, route_to
from client.site_settings import Site, SiteSettings
from tests.client.doors import (
    HOST,
    Certificates,
    Coordinator,
    Proxy,
    Serve,
    cut,
    door,
    full_door,
    plain_http,
    silent,
    ssh,
)

NAME = "coordinator.invalid"
"""Never resolved by anybody (RFC 2606)."""
PROXIES = [name for scheme in ("http", "https", "all", "no") for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_way, "LIMIT_S", 1.5)
    monkeypatch.setattr("client.network_check.LIMIT_S", 3.0)


@pytest.fixture
def ours(tmp_path: Path) -> Certificates:
    """The coordinator's authority, whose certificate the site has."""
    return Certificates(tmp_path)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_node_key(tmp_path / "node.key")
    return tmp_path / "node.key"


def walked(folder: Path, port: int, host: str = HOST) -> NetworkCheck:
    policy = {"coordinator": f"{host}:{port}"}
    settings = SiteSettings.model_validate({"name": "site-a", "dicom": ["d"], "policy": policy})
    return check_network(Site(folder, settings))


def codes(check: NetworkCheck) -> dict[str, str]:
    """By step: what was found; `ok` where nothing is wrong."""
    return {step.name: step.code or step.state for step in check.steps}


def text_of(check: NetworkCheck, name: str) -> str:
    return next(step.text for step in check.steps if step.name == name)


def at(serve: Serve, folder: Path, host: str = HOST) -> NetworkCheck:
    with door(serve) as port:
        return walked(folder, port, host)


OPEN = {"disk": "ok", "name": "ok", "port": "ok"}
UNTRIED = {"clock": "not tried", "heartbeat": "not tried"}


def test_an_open_way_ends_in_a_heartbeat(tmp_path: Path, ours: Certificates, key: Path) -> None:
    coordinator = Coordinator(ours.server())
    check = at(coordinator, tmp_path)
    assert codes(check) == {**OPEN, "TLS": "ok", "clock": "ok", "heartbeat": "ok"}
    assert check.verdict == "ready"
    assert coordinator.asked == ["activate-node", "send-node-heartbeat", "deactivate-node"]
    assert "TLSv1.3" in text_of(check, "TLS")


def test_a_key_that_is_not_admitted_is_no_error_of_the_network(tmp_path: Path, ours: Certificates, key: Path) -> None:
    check = at(Coordinator(ours.server(), status=412), tmp_path)
    assert codes(check) == {**OPEN, "TLS": "ok", "clock": "ok", "heartbeat": "not-admitted"}
    assert check.verdict == "ready with warnings"
    assert "send site-a.admission.json" in text_of(check, "heartbeat")


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "key-refused"), (404, "no-coordinator"), (502, "coordinator-down"), (500, "coordinator-down")],
)
def test_what_the_coordinator_answers_is_told(
    tmp_path: Path, ours: Certificates, key: Path, status: int, code: str
) -> None:
    assert codes(at(Coordinator(ours.server(), status=status), tmp_path))["heartbeat"] == code


def test_a_request_that_is_held_back_is_told_from_a_closed_port(tmp_path: Path, ours: Certificates, key: Path) -> None:
    check = at(Coordinator(ours.server(), hangs=True), tmp_path)
    assert codes(check) == {**OPEN, "TLS": "ok", "heartbeat": "no-answer"}


def test_a_port_that_refuses_and_one_that_drops(tmp_path: Path, ours: Certificates, key: Path) -> None:
    with door(silent) as port:
        pass
    check = walked(tmp_path, port)
    assert codes(check) == {
        "disk": "ok",
        "name": "ok",
        "port": "port-refused",
        **UNTRIED,
        "files": "not tried",
        "TLS": "not tried",
    }
    with full_door() as port:
        check = walked(tmp_path, port)
    assert codes(check)["port"] == "port-silent"
    assert "firewall request" in text_of(check, "port")


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    check = walked(tmp_path, 443, NAME)
    assert codes(check)["name"] in ("unknown-name", "dns-silent")
    assert codes(check)["port"] == "not tried"
    assert check.verdict == "not ready"


@pytest.mark.parametrize(("serve", "code"), [(silent, "tls-silent"), (cut, "tls-cut"), (plain_http, "no-tls")])
def test_a_port_without_tls(tmp_path: Path, ours: Certificates, key: Path, serve: Serve, code: str) -> None:
    assert codes(at(serve, tmp_path)) == {**OPEN, "TLS": code, **UNTRIED}


def test_an_old_tls(tmp_path: Path, ours: Certificates, key: Path) -> None:
    old = ours.server()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    assert codes(at(Coordinator(old), tmp_path))["TLS"] == "old-tls"


def test_interception_is_named_with_its_issuer(tmp_path: Path, ours: Certificates, key: Path) -> None:
    firewall = Certificates(tmp_path / "firewall", "St. Elsewhere Security Gateway")
    interceptor = Coordinator(firewall.server())
    check = at(interceptor, tmp_path)
    assert codes(check) == {**OPEN, "TLS": "tls-intercepted", **UNTRIED}
    assert "issued by “St. Elsewhere Security Gateway”" in text_of(check, "TLS")
    assert f"exempt {HOST} from TLS inspection" in text_of(check, "TLS")
    assert interceptor.asked == []  # nothing was said to whoever it is


def test_another_authority_of_the_same_name_is_no_interception(tmp_path: Path, ours: Certificates, key: Path) -> None:
    assert codes(at(Coordinator(Certificates(tmp_path / "new").server()), tmp_path))["TLS"] == "other-authority"


def test_a_certificate_for_another_host(tmp_path: Path, ours: Certificates, key: Path) -> None:
    check = at(Coordinator(ours.server("fl.example.org")), tmp_path)
    assert codes(check)["TLS"] == "other-host"
    assert "for fl.example.org, not for 127.0.0.1" in text_of(check, "TLS")


def test_a_certificate_out_of_its_time(tmp_path: Path, ours: Certificates, key: Path) -> None:
    assert codes(at(Coordinator(ours.server(days=-1, since_days=9)), tmp_path))["TLS"] == "certificate-expired"
    assert codes(at(Coordinator(ours.server(since_days=-2)), tmp_path))["TLS"] == "certificate-not-yet-valid"


def test_expiry_is_said_60_days_ahead_and_stops_nothing(tmp_path: Path, ours: Certificates, key: Path) -> None:
    check = at(Coordinator(ours.server(days=59.5)), tmp_path)
    assert codes(check) == {**OPEN, "TLS": "certificate-expires", "clock": "ok", "heartbeat": "ok"}
    assert "expires in 59 days" in text_of(check, "TLS")
    assert codes(at(Coordinator(ours.server(days=62)), tmp_path))["TLS"] == "ok"


@pytest.mark.parametrize("ahead_s", [-600, 600])
def test_a_clock_beyond_flowers_limits_stops_the_site(
    tmp_path: Path, ours: Certificates, key: Path, ahead_s: float
) -> None:
    check = at(Coordinator(ours.server(), status=401, ahead_s=ahead_s), tmp_path)
    assert codes(check) == {**OPEN, "TLS": "ok", "clock": "clock-off", "heartbeat": "not tried"}
    assert f"s {'behind' if ahead_s > 0 else 'ahead of'} the coordinator's" in text_of(check, "clock")
    assert "5 s ahead or 305 s behind" in text_of(check, "clock")


@pytest.mark.parametrize(
    ("ahead_s", "code"),
    [(1.9, ""), (-59, ""), (3, "clock-drifts"), (-90, "clock-drifts"), (6, "clock-off"), (-306, "clock-off")],
)
def test_clocks(ahead_s: float, code: str) -> None:
    found = on_clock(ahead_s)
    assert (found.code if found else "") == code


def test_a_missing_authority_is_said_and_the_port_is_tried_before(tmp_path: Path, key: Path) -> None:
    check = at(silent, tmp_path)
    assert codes(check) == {**OPEN, "files": "node-not-ready", "TLS": "not tried", **UNTRIED}


class TestBehindAProxy:
    """The coordinator's name is known to the proxy alone, as in most hospitals."""

    @pytest.fixture
    def proxy(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
        proxy = Proxy()
        with door(proxy) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@{HOST}:{port}")
            yield proxy

    def test_the_way_leads_through_it(self, tmp_path: Path, ours: Certificates, key: Path, proxy: Proxy) -> None:
        check = at(Coordinator(ours.server(NAME)), tmp_path, NAME)
        assert codes(check) == {**OPEN, "proxy": "ok", "TLS": "ok", "clock": "ok", "heartbeat": "ok"}
        assert {head.split()[1].rpartition(":")[0] for head in proxy.asked} == {NAME}
        assert all("\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=" in head for head in proxy.asked)
        assert "HTTPS_PROXY" in text_of(check, "name")
        assert "secret" not in "".join(step.text for step in check.steps)

    @pytest.mark.parametrize(("status", "code"), [(403, "proxy-forbids"), (407, "proxy-login"), (503, "proxy-cut-off")])
    def test_what_the_proxy_says_is_told(
        self, tmp_path: Path, ours: Certificates, key: Path, proxy: Proxy, status: int, code: str
    ) -> None:
        proxy.status = status
        check = walked(tmp_path, 443, NAME)
        assert codes(check) == {**OPEN, "proxy": code, "files": "not tried", "TLS": "not tried", **UNTRIED}
        assert f"HTTP {status}" in text_of(check, "proxy")

    def test_an_interceptor_behind_it_is_named(
        self, tmp_path: Path, ours: Certificates, key: Path, proxy: Proxy
    ) -> None:
        check = at(Coordinator(Certificates(tmp_path / "other", "Gateway").server(NAME)), tmp_path, NAME)
        assert codes(check)["TLS"] == "tls-intercepted"


def test_what_is_no_proxy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for serve, code in ((silent, "proxy-silent"), (cut, "proxy-silent"), (ssh, "no-proxy")):
        with door(serve) as port:
            monkeypatch.setenv("https_proxy", f"{HOST}:{port}")
            assert codes(walked(tmp_path, 443, NAME))["proxy"] == code


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HTTPS_PROXY": "http://p:3128"}, "p:3128"),
        ({"https_proxy": "p:3128", "HTTPS_PROXY": "http://q:1"}, "p:3128"),
        ({"ALL_PROXY": "http://p"}, "p:80"),
        ({"HTTP_PROXY": "http://p:1"}, "fl.example.org:443"),
        ({"grpc_proxy": "http://p:1"}, "fl.example.org:443"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "intranet,example.org"}, "fl.example.org:443"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "fl.example.org:443"),
    ],
)
def test_the_environment_leads_as_it_leads_the_node(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    route = route_to("fl.example.org:443")
    assert f"{route.next_host}:{route.next_port}" == expected


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "HTTP_PROXY"])
@pytest.mark.parametrize("value", ["socks5://p:1080", "ftp://p:1"])
def test_a_proxy_with_which_the_node_would_not_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="cannot be used"):
        route_to("fl.example.org:443")


def test_the_firewall_request_holds_what_a_network_team_asks(tmp_path: Path, ours: Certificates) -> None:
    text = firewall_request(
        "site-a", Route("fl.example.org", 443), ["192.0.2.7", "2001:db8::7"], tmp_path / "ca.crt", "tiny", 1 << 20
    )
    said = " ".join(text.split())
    for words in (
        "fl.example.org (now 192.0.2.7, 2001:db8::7)",
        "443, TCP, outgoing only",
        "TLS 1.2 or later, without inspection",
        "8.0 MiB to this site and 4.0 MiB from it",
        "less than 60 s",
    ):
        assert words in said
    assert max(map(len, text.splitlines())) <= 78
    assert "Through" not in text
    assert len([line for line in text.splitlines() if re.fullmatch("  ([0-9A-F]{2}:){15}[0-9A-F]{2}", line)]) == 2


def test_what_may_be_sent_names_no_host(tmp_path: Path) -> None:
    told = json.dumps(walked(tmp_path, 443, NAME).to_json())
    assert NAME not in told
    assert str(tmp_path) not in told
