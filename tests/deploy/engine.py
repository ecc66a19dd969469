"""Images and containers by buildah and podman, where no Docker runs and perhaps no registry of images is reached."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("podman", "buildah", "runc", "catatonit", "uidmap", "fuse-overlayfs"),
    *("netavark", "aardvark-dns", "iptables", "mmdebstrap"),
)
BASE = "docker.io/library/python:3.11-slim-bookworm"
STAND_IN = "localhost/bloodnet-base:bookworm"
COMPOSE = str(Path(sys.executable).parent / "podman-compose")
_IN_STAND_IN = "python3.11,python3-pip,python3.11-venv,python-is-python3,ca-certificates,tzdata"
# crun, podman's usual runtime, and limits beyond a machine's own fail where that machine is a container itself
_SETTINGS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
events_logger = "file"
"""


def set_up(folder: Path) -> None:
    """Install what is missing; `folder` gets settings for podman. Ends with a sentence where that cannot be."""
    if os.geteuid() != 0:
        sys.exit("Containers with networks of their own need root here: type `sudo make test-containers`.")
    missing = [name for name in PACKAGES if subprocess.run(["dpkg", "-s", name], capture_output=True).returncode]
    if missing and shutil.which("apt-get") is None:
        sys.exit(f"These are needed, and there is no apt-get here to install them: {', '.join(missing)}.")
    if missing:
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)
    (folder / "containers.conf").write_text(_SETTINGS)
    os.environ["CONTAINERS_CONF"] = str(folder / "containers.conf")


def run(*command: str, **surroundings: str) -> str:
    """What a command printed; fails with its words if it fails."""
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ | surroundings, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{shlex.join(command)}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def build(target: str, folder: Path) -> str:
    """The image of one of the Containerfile's targets; its layers are kept for the next time."""
    name = f"localhost/bloodnet-{target}:0.1.0"
    mounts = [word for mount in _pip_settings(folder) for word in ("--volume", mount)]
    # docker's format, since OCI's has no health checks; no isolation but a chroot, for want of more on small machines
    run(*("buildah", "bud", "--format", "docker", "--layers", "--isolation", "chroot", "--network", "host"), *mounts,
        *("--file", "deploy/Containerfile", "--target", target, "--build-arg", f"PYTHON={_base(folder)}"),
        *("--tag", name, "."))  # fmt: skip
    return name


def _base(folder: Path) -> str:
    """Python's own image; where no registry has it, a stand-in of Debian's packages."""
    if _succeeds("podman", "pull", "--quiet", BASE):
        return BASE
    if not _succeeds("podman", "image", "exists", STAND_IN):
        root = folder / "stand-in.tar"
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={_IN_STAND_IN}", "bookworm", str(root))
        run("podman", "import", "--quiet", str(root), STAND_IN)
        root.unlink()
    return STAND_IN


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def _pip_settings(folder: Path) -> Iterator[str]:
    """Mounts with which pip finds packages in a build as it finds them here; they leave nothing in the image."""
    told = run(sys.executable, "-m", "pip", "config", "list").splitlines()
    settings = {}
    for line in told:  # such as global.cert='/etc/…', then :env:.cert='…', which goes before it
        key, _, value = line.partition("=")
        settings[key.rpartition(".")[2]] = value.strip("'\"")
    conf = folder / "pip.conf"
    conf.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
    yield f"{conf}:/etc/pip.conf:ro"
    yield from (f"{path}:{path}:ro" for path in sorted(set(_own_paths(settings.values()))))


def _own_paths(values: Iterable[str]) -> Iterator[Path]:
    for word in " ".join(values).split():
        path = Path(word.removeprefix("file://"))
        if path.is_absolute() and path.exists():
            yield path.parent if path.name == "simple" else path  # beside an index lie the files that it names
