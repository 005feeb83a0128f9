"""What happens to open stores when their process ends, or forks."""

import atexit
import os
import weakref
from typing import Protocol


class Store(Protocol):
    """A store with files and threads of its own."""

    def close(self) -> None:
        """Finish what waits and let go of everything. Safe to call twice."""
        ...

    def after_fork(self) -> None:
        """Forget, in a child process, what its parent will write and whose locks it holds."""
        ...


_open: "weakref.WeakSet[Store]" = weakref.WeakSet()


def look_after(store: Store) -> None:
    """Close the store when the process ends, and start it afresh in a forked child."""
    _open.add(store)


def _close_all() -> None:
    for store in list(_open):
        store.close()


def _after_fork() -> None:
    for store in list(_open):
        store.after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
