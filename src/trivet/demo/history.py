"""Exact sums over what was known: integers, sorted by group and instant, added up once.

A float that is summed in another order is another float. These sums are of integers, so a group's
answer does not depend on what other groups, or the future, hold.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_MINUTE_BITS = 32
_MINUTE = (1 << _MINUTE_BITS) - 1


def _keys(groups: Integers, minutes: Integers) -> Integers:
    return (groups << _MINUTE_BITS) + minutes


@dataclass(frozen=True)
class History:
    """Events of many groups, in the order of their groups and instants.

    Attributes:
        keys: Group and minute in one sorted number, shape (n,).
        sums: Running totals of each value over all events before, shape (n + 1, values).
        values: The values in the order of `keys`, shape (n, values).
    """

    keys: Integers
    sums: Integers
    values: Integers

    def count(self, groups: Integers, minutes: Integers) -> Integers:
        """How many events stand before the end of a minute, counted over all groups in order."""
        return np.searchsorted(self.keys, _keys(groups, minutes), side="right")

    def totals(
        self, groups: Integers, minutes: Integers, *, window_min: int | None = None
    ) -> Integers:
        """Add up a group's events known at a minute.

        Args:
            groups: One group a question, shape (q,).
            minutes: The instant of each question; an event of that very minute counts.
            window_min: Only events of the last so many minutes; all when None.

        Returns:
            Shape (q, 1 + values): how many events, and the total of each value.
        """
        last = self.count(groups, minutes)
        start = np.zeros_like(minutes) - 1 if window_min is None else minutes - window_min
        first = self.count(groups, start)
        return np.column_stack((last - first, self.sums[last] - self.sums[first]))

    def latest(self, groups: Integers, minutes: Integers) -> tuple[Integers, Integers]:
        """Find a group's last event known at a minute.

        Returns:
            Its position among the events (-1 where the group has none yet), and its minute.
        """
        at = self.count(groups, minutes) - 1
        # One more key at the end, of no group, answers for position -1.
        keys = np.append(self.keys, -1)[at]
        return np.where(keys >> _MINUTE_BITS == groups, at, -1), keys & _MINUTE

    def value(self, at: Integers, column: int = 0) -> Floats:
        """Read a value at positions that `latest` found; NaN at -1."""
        return np.append(self.values[:, column].astype(np.float64), np.nan)[at]


def gather(groups: Integers, minutes: Integers, *values: Integers) -> History:
    """Sort events into a history.

    Args:
        groups: A number >= 0 for the group of each event, shape (n,).
        minutes: When each became known, minutes >= 0 of one time line, shape (n,).
        values: Integers to add up. They also break ties, so the order is a property of the events.
    """
    keys = _keys(groups, minutes)
    order = np.lexsort((*reversed(values), keys))
    table = np.column_stack(values)[order] if values else np.empty((keys.size, 0), np.int64)
    sums = np.concatenate((np.zeros((1, table.shape[1]), np.int64), np.cumsum(table, axis=0)))
    return History(keys[order], sums, table)


def ratio(top: Integers, bottom: Integers) -> Floats:
    """Divide, where there is something to divide by; NaN elsewhere."""
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
