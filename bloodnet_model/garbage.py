"""How often Python looks for garbage. Importing PyTorch and Flower makes a million objects that are none."""

import gc
from typing import Final

_NEW_OBJECTS: Final = 10_000


def search_seldom() -> None:
    """Search after ten thousand new objects, not after seven hundred: imports take a fifth less time."""
    gc.set_threshold(_NEW_OBJECTS)


def leave_as_it_is() -> None:
    """Never search through what there is now, garbage or not: for a process that has just imported all, or that ends.

    Each search through all imports takes a fifth of a second, those at the end of a process take one together, and a
    process that is another's copy has to copy what it searches.
    """
    gc.freeze()
