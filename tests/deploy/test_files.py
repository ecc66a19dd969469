"""The container files agree with the project that they are built from, and keep what they promise to hospitals' IT."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.coordinator.home import CoordinatorSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
USER = "10001:10001"
COMPOSE = {"hospital": "compose.client.yaml", "coordinator": "compose.server.yaml"}


def service(name: str) -> dict[str, Any]:
    (only,) = yaml.safe_load((DEPLOY / name).read_text())["services"].values()
    return dict(only)


def stages() -> dict[str, str]:
    return dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", CONTAINERFILE, re.MULTILINE | re.DOTALL))


def test_torch_is_the_pinned_one_and_comes_first() -> None:
    (pin,) = (name for name in PROJECT["dependencies"] if name.startswith("torch"))
    installs = re.findall(r"pip --python (?:\\\n|.)+", stages()["build"])
    assert len(installs) == 2
    assert installs[0].split()[-1] == pin
    assert all("--constraint constraints.txt" in line for line in installs)  # which pins all the rest, Flower too
    assert f"{pin}\n" in (ROOT / "constraints.txt").read_text()


def test_the_base_is_named_with_its_version_and_is_one_that_the_project_runs_on() -> None:
    (base,) = re.findall(r"^ARG PYTHON=(.*)", CONTAINERFILE, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.1[123]-slim-[a-z]+", base)
    assert set(re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE)) == {"${PYTHON}", "installed"}


def test_versions_are_the_projects() -> None:
    version = PROJECT["version"]
    assert f'org.opencontainers.image.version="{version}"' in CONTAINERFILE
    for target, file in COMPOSE.items():
        assert service(file)["image"] == f"bloodnet-{target}:{version}"
    assert service("compose.client.gpu.yaml")["image"] == f"bloodnet-hospital:{version}-cuda"


@pytest.mark.parametrize("target", COMPOSE)
def test_an_image_is_of_no_root_and_is_asked_for_its_health_without_a_shell(target: str) -> None:
    stage = stages()[target]
    assert re.findall(r"^USER (.*)", stage, re.MULTILINE) == [USER]
    for instruction in ("ENTRYPOINT", "CMD", "HEALTHCHECK"):
        (line,) = re.findall(rf"^{instruction} .*", stage, re.MULTILINE)
        assert re.search(r'\["[^]]*"\]$', line), line
    assert "curl" not in CONTAINERFILE


@pytest.mark.parametrize(("target", "file"), COMPOSE.items())
def test_a_container_may_write_its_folder_and_tmp_alone(target: str, file: str) -> None:
    it = service(file)
    assert (it["user"], it["read_only"], it["cap_drop"]) == (USER, True, ["ALL"])
    assert it["security_opt"] == ["no-new-privileges"]
    assert [mount.partition(":")[0] for mount in it["tmpfs"]] == ["/tmp"]
    writable = [mount for mount in it["volumes"] if not mount.endswith(":ro")]
    assert [mount.rpartition(":")[2] for mount in writable] == [it["command"][1]]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "userns_mode"} & set(it)
    assert (it["build"]["target"], it["build"]["dockerfile"]) == (target, "deploy/Containerfile")
    assert (DEPLOY / it["build"]["context"] / it["build"]["dockerfile"]).is_file()


def test_a_hospital_opens_no_port_and_the_coordinator_one() -> None:
    assert "ports" not in service(COMPOSE["hospital"])
    assert "EXPOSE" not in stages()["hospital"]
    (port,) = service(COMPOSE["coordinator"])["ports"]
    usual = str(CoordinatorSettings.model_fields["port"].default)
    assert port.rpartition(":")[2] == usual
    assert re.findall(r"^EXPOSE (.*)", stages()["coordinator"], re.MULTILINE) == [usual]
    assert service(COMPOSE["coordinator"])["sysctls"] == {"net.ipv4.ip_unprivileged_port_start": usual}


def test_only_what_is_installed_gets_into_an_image() -> None:
    """A list of what may be in, so that a site's folder that lies in a checkout is not."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    rooms = set(told["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    files = {"LICENSE", "README.md", "constraints.txt", "pyproject.toml"}
    assert {line[1:] for line in lines if line.startswith("!")} == rooms | files
