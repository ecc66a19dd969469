"""Files that are written whole or not at all."""

import os
from pathlib import Path

from bloodnet_model.errors import DataError


def write_whole(path: Path, content: bytes | str) -> None:
    """Write under a temporary name, flush to the disk, rename: a reader never sees half a file.

    Raises DataError, naming the path, where the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written ({error.strerror}); make the folder writable.") from None
