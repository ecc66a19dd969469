"""Seeds derived from names, so that nothing depends on the order in which things happen."""

import hashlib


def derive_seed(run_seed: int, *names: str | int) -> int:
    """63-bit seed of `(run_seed, *names)`: equal inputs give equal seeds on every machine."""
    text = "\x1f".join([str(run_seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
