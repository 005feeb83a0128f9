"""Where a reader of the log stands: how much of each segment it has seen.

Written as text, `1-3,5,4@9216` says: segments 1, 2, 3 and 5 are read to their ends, and segment 4
up to byte 9,216. Segments are numbered in the order of their creation, so the text stays short.
"""

import re
from typing import Final

from trivet.core.errors import Invalid

_PART: Final = re.compile(r"([0-9]{1,10})(?:(-|@)([0-9]{1,15}))?")


class Position:
    """A reader's place in a stream; moves forward only.

    Args:
        text: A position as `text` or `prefix` wrote it; None for the beginning.

    Raises:
        Invalid: The text is no position.

    Example:
        >>> position = Position("1-3,4@9216")
        >>> position.is_done(2), position.offset(4), position.offset(5)
        (True, 9216, None)
        >>> position.finish(4)
        >>> position.text()
        '1-4'
    """

    def __init__(self, text: str | None = None) -> None:
        self._done: list[tuple[int, int]] = []
        self._offsets: dict[int, int] = {}
        for part in text.split(",") if text else ():
            found = _PART.fullmatch(part)
            if found is None:
                raise Invalid(
                    "after is no position of this log",
                    code="bad-position",
                    hint="Pass a position as `read` yielded it.",
                )
            first, kind, second = int(found[1]), found[2], found[3]
            if kind == "@":
                self._offsets[first] = int(second)
            else:
                self._done.append((first, int(second) if kind else first))

    def is_done(self, number: int) -> bool:
        """Say whether a sealed segment was read to its end."""
        return any(first <= number <= last for first, last in self._done)

    def offset(self, number: int) -> int | None:
        """Return the byte up to which a segment was read; None when it was not begun."""
        return self._offsets.get(number)

    def advance(self, number: int, offset: int) -> None:
        """Note that a segment was read up to a byte."""
        self._offsets[number] = offset

    def finish(self, number: int) -> None:
        """Note that a sealed segment was read to its end."""
        self._offsets.pop(number, None)
        if self.is_done(number):
            return
        ranges = sorted([*self._done, (number, number)])
        merged = ranges[:1]
        for first, last in ranges[1:]:
            if first == merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        self._done = merged

    def prefix(self, number: int) -> str:
        """Write the position up to the byte offset within one segment, which is to be appended."""
        return ",".join([*self._parts(but=number), f"{number}@"])

    def text(self) -> str:
        """Write the position."""
        return ",".join(self._parts())

    def _parts(self, but: int | None = None) -> list[str]:
        done = [f"{first}-{last}" if first < last else str(first) for first, last in self._done]
        return done + [f"{n}@{at}" for n, at in sorted(self._offsets.items()) if n != but]
