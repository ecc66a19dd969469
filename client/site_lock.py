"""One process at a time changes a site's cache."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from bloodnet_model.errors import DataError
from client.site_settings import SITE_FILE, Site


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Alone with the site's cache: a second process waits here until the first has built what both want.

    Raises DataError where the cache cannot be written, now or on the way.
    """
    try:
        site.cache.mkdir(parents=True, exist_ok=True)
        with (site.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except (OSError, sqlite3.OperationalError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(
            f"{site.cache}: cannot be written ({reason}); "
            f"make it writable, or name another folder as `cache` in {site.folder / SITE_FILE}."
        ) from None
