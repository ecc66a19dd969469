"""Vectors that need not lie in memory: weights of any number of sites are summed a block at a time.

A numpy array is a `Vector`, and so is a tensor of a safetensors file, of which only the part asked for is read.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from bloodnet_model.errors import WeightsError

_LENGTH_BYTES: Final = 8
"""At the start of a safetensors file: how long its header is; https://github.com/huggingface/safetensors#format."""
_FLOAT32: Final = np.dtype("<f4")


class Vector(Protocol):
    """float32 values, of which a part can be had."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class StoredVector:
    """float32 values of a file from a byte on; made by `stored`, and as long as the file lies unchanged."""

    path: Path
    first_byte: int
    length: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]:
        """Values `part.start` to `part.stop`, read anew each time; raises WeightsError where they are gone."""
        start, stop, _ = part.indices(self.length)
        count = max(0, stop - start)
        try:
            values = np.fromfile(self.path, _FLOAT32, count, offset=self.first_byte + start * _FLOAT32.itemsize)
        except OSError as error:
            raise _damaged(self.path, error.strerror or type(error).__name__) from None
        if len(values) != count:
            raise _damaged(self.path, "it has become shorter")
        return values


def stored(path: Path, name: str) -> StoredVector:
    """The float32 tensor `name` (values,) of a safetensors file, unread.

    Raises WeightsError, naming the file, where it is damaged or holds no such vector.
    """
    try:
        with safe_open(path, framework="np"):  # refuses what is no whole and consistent file
            pass
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            entry = json.loads(file.read(header_bytes)).get(name)
    except (OSError, SafetensorError, ValueError) as error:
        raise _damaged(path, type(error).__name__) from None
    if entry is None or entry["dtype"] != "F32" or len(entry["shape"]) != 1:
        raise _damaged(path, f"it holds no float32 vector {name!r}")
    return StoredVector(path, _LENGTH_BYTES + header_bytes + entry["data_offsets"][0], entry["shape"][0])


def _damaged(path: Path, why: str) -> WeightsError:
    return WeightsError(f"{path}: cannot be read ({why}); bring it back from a backup, or ask its site again.")
