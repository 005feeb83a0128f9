"""Guesses: how many wrong passwords are looked at, of whom and from where.

Each name from each address, each address, and each name have a bucket of guesses that fills again
with time. So a guesser gets a few a minute, and nobody is locked out for good: whoever waits a
little may try again, an address from which a user has signed in before is not held up by what
others guess from elsewhere, and tokens and sessions are not touched by any of it.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from trivet.core.errors import Forbidden

_PAIR: Final = (10.0, 1 / 15)
_ADDRESS: Final = (60.0, 1.0)
_NAME: Final = (100.0, 1 / 2)
"""The most guesses in a row, and how many come back each second."""
_MOST_KEPT: Final = 20_000


class Guesses:
    """The buckets of one process.

    Args:
        now: Seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._left: dict[tuple[str, str], tuple[float, float]] = {}
        self._trusted: dict[tuple[str, str], None] = {}

    def spend(self, user: str, address: str) -> None:
        """Take one guess.

        Raises:
            Forbidden: There is none left (code `too-many-guesses`); `retry_after_s` of its detail
                says when there will be.
        """
        with self._lock:
            buckets = [((user, address), _PAIR), (("", address), _ADDRESS)]
            if (user, address) not in self._trusted:
                buckets.append(((user, ""), _NAME))
            now = self._now()
            left = [self._refilled(key, *rate, now) for key, rate in buckets]
            waits = [(1.0 - n) / rate[1] for n, (_, rate) in zip(left, buckets, strict=True)]
            if max(waits) > 0:
                raise _too_many(max(waits))
            for n, (key, _) in zip(left, buckets, strict=True):
                self._left[key] = (n - 1.0, now)
            if len(self._left) > _MOST_KEPT:
                self._forget(now)

    def succeed(self, user: str, address: str) -> None:
        """Give back what a right password took, and remember where it came from."""
        with self._lock:
            for key in ((user, address), ("", address), (user, "")):
                if key in self._left:
                    n, since = self._left[key]
                    self._left[key] = (n + 1.0, since)
            self._left.pop((user, address), None)
            self._trusted[user, address] = None
            while len(self._trusted) > _MOST_KEPT:
                del self._trusted[next(iter(self._trusted))]

    def _refilled(self, key: tuple[str, str], most: float, per_s: float, now: float) -> float:
        n, since = self._left.get(key, (most, now))
        return min(most, n + (now - since) * per_s)

    def _forget(self, now: float) -> None:
        # What is full again says nothing. Should a flood leave nothing full, the eldest go.
        hour_ago = now - 3600.0
        kept = [item for item in self._left.items() if item[1][1] > hour_ago]
        self._left = dict(sorted(kept, key=lambda item: item[1][1])[-_MOST_KEPT // 2 :])


def _too_many(wait_s: float) -> Forbidden:
    return Forbidden(
        "too many wrong passwords were tried",
        code="too-many-guesses",
        hint=f"Wait {wait_s:.0f} s, or use a token.",
        detail={"retry_after_s": max(1, round(wait_s + 0.5))},
    )
