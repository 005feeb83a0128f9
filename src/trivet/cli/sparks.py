"""Small charts of one line for terminals."""

import math
from collections.abc import Sequence

from trivet.drawing.words import within_reach

_BLOCKS = "▁▂▃▄▅▆▇█"
_BAR = "▏▎▍▌▋▊▉█"


def sparkline(
    places: Sequence[float],
    values: Sequence[float],
    *,
    across: tuple[float, float],
    upward: tuple[float, float],
    width: int,
) -> str:
    """Draw values over a number as one line of blocks.

    Args:
        places: Where each value stands, rising.
        values: As many; what is not finite is left out.
        across: The places of the first and the last block.
        upward: The values of the lowest and the highest block.
        width: How many blocks. One without a value is drawn as the one before it, behind the last
            value there is a blank.

    Example:
        >>> sparkline([0, 1, 2, 3], [0, 1, 2, 3], across=(0, 3), upward=(0, 3), width=4)
        '▁▃▆█'
    """
    cells: list[float | None] = [None] * width
    span = across[1] - across[0]
    for place, value in zip(places, values, strict=True):
        if math.isfinite(value):
            share = (place - across[0]) / span if span > 0 else 0.0
            cells[min(width - 1, int(share * width))] = value
    last = max((at for at, value in enumerate(cells) if value is not None), default=-1)
    drawn: list[str] = []
    for at, value in enumerate(cells):
        block = " " if value is None else _block(value, upward)
        is_gap = value is None and 0 < at <= last
        drawn.append(drawn[-1] if is_gap else block)
    return "".join(drawn)


def bar(share: float, width: int) -> str:
    """Draw a share from 0 to 1 as a bar of at most `width` cells.

    Example:
        >>> bar(0.5, 4), bar(0.0, 4)
        ('██', '')
    """
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_BAR[rest - 1] if rest else "")


def _block(value: float, upward: tuple[float, float]) -> str:
    low, high = map(within_reach, upward)
    share = (within_reach(value) - low) / (high - low) if high > low else 0.5
    return _BLOCKS[min(len(_BLOCKS) - 1, max(0, int(share * len(_BLOCKS))))]
