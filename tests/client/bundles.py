"""App bundles for tests: that of this installation, and ones that are a little different."""

import io
import zipfile
from collections.abc import Mapping

from strategies.bundle import app_bundle, bundle_files


def packed(files: Mapping[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def changed_bundle(line: str, name: str = "client/app.py") -> bytes:
    """The installed bundle, as Flower builds it, with a line put before a file's first."""
    from flwr.cli.build import build_fab_from_files

    files = bundle_files(app_bundle())
    del files[".info/CONTENT"]
    files[name] = line.encode() + b"\n" + files[name]
    return build_fab_from_files(files)[0]
