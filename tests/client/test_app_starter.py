"""The process that apps are forks of: what it spares them."""

from pathlib import Path

import pytest
from flwr.cli.install import install_from_fab

from client.app_starter import once
from strategies.bundle import app_bundle


def test_a_bundle_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    bundle, unpacked = app_bundle(), list[bytes]()

    def install(bundle: bytes, skip_prompt: bool) -> Path:
        unpacked.append(bundle)
        return install_from_fab(bundle, skip_prompt=skip_prompt)

    folders = [once(install)(bundle, skip_prompt=True) for _ in range(2)]
    assert folders[0] == folders[1] == install_from_fab(bundle, skip_prompt=True)
    assert (folders[0] / "client" / "app.py").exists()
    assert unpacked == [bundle]
