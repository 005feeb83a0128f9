"""Holding a trial for as long as it runs, and saying so when somebody else does."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from trivet.core.errors import TrivetError

SILENT_S: Final = 2.0
"""After so long it is said what is waited for."""
_log = logging.getLogger("trivet.pipelines")


class Waits:
    """Says once what a search has been waiting for."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._is_told = False

    def tell(self, search: str, trials: Sequence[int], lease_s: float) -> None:
        """Hear that others hold these trials; say it once it has lasted.

        Args:
            search: What people call the search.
            trials: Numbers of trials that others hold; may be none.
            lease_s: How long a trial waits for its process.
        """
        self._since = self._since or time.monotonic()
        if self._is_told or not trials or time.monotonic() - self._since < SILENT_S:
            return
        self._is_told = True
        _log.warning(
            "search %r waits for trials that other processes hold (%s); that of a process which "
            "died is taken over within %g s",
            search,
            ", ".join(map(str, trials)),
            lease_s,
        )


class Held:
    """Prolongs a lease for the time of a `with` block.

    Args:
        prolong: Prolongs it; False when somebody else has it by now.
        every_s: How often.
    """

    def __init__(self, prolong: Callable[[], bool], every_s: float) -> None:
        self._prolong = prolong
        self._every_s = every_s
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="trial-lease", daemon=True)

    def __enter__(self) -> None:
        self._keeper.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._keeper.join()

    def _keep(self) -> None:
        while not self._over.wait(self._every_s):
            try:
                if not self._prolong():
                    return
            except TrivetError:
                continue  # the stores are away for a moment; the lease is longer than that
