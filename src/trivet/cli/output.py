"""How answers look on a terminal: tables, dates, sizes, and nothing that needs a library."""

import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from trivet.core.errors import Invalid, NotFound, Unavailable
from trivet.drawing.words import readable


def to_json(data: Any) -> str:  # noqa: ANN401  # whatever a service answers
    """Encode an answer as JSON text, structs and datetimes included."""
    return msgspec.json.format(msgspec.json.encode(data, enc_hook=str)).decode()


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str = "none") -> str:
    """Lay out rows under headings; numbers are right-aligned.

    Args:
        headings: One per column.
        rows: Cells; None is shown as a dash.
        empty: What to say when there are no rows.
    """
    if not rows:
        return empty
    cells = [[_cell(value).replace("\n", " ") for value in row] for row in rows]
    widths = [
        max(width_of(heading), *(width_of(row[i]) for row in cells))
        for i, heading in enumerate(headings)
    ]
    right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(headings))]
    first = "  ".join(_pad(h, w, r) for h, w, r in zip(headings, widths, right, strict=True))
    lines = [first.rstrip()]
    lines.append("  ".join("-" * width for width in widths))
    lines += [
        "  ".join(_pad(c, w, r) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def fields(pairs: Sequence[tuple[str, object]]) -> str:
    """Lay out names and values, one pair a line; further lines of a value stand below the first."""
    width = max((len(name) for name, _ in pairs), default=0)
    below = "\n" + " " * (width + 2)
    return "\n".join(
        f"{name:<{width}}  {_cell(value).replace(chr(10), below)}" for name, value in pairs
    )


def write_page(place: str, text: str) -> None:
    """Write a text into the file that somebody named.

    Raises:
        NotFound: The folder is not there.
        Invalid: It is a folder itself.
        Unavailable: It cannot be written.
    """
    path = Path(place)
    check_folder(path)
    if path.is_dir():
        raise Invalid(f"{place} is a folder; expected the name of a file", code="no-file")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unavailable(
            f"{place} cannot be written: {error.strerror}",
            code="not-written",
            hint="Look at its permissions and the free space, or write elsewhere.",
        ) from error


def check_folder(path: Path) -> None:
    """Make sure that the folder of a file is there.

    Raises:
        NotFound: It is not.
    """
    if not path.absolute().parent.is_dir():
        raise NotFound(
            f"there is no folder {path.parent} for {path.name}",
            code="no-folder",
            hint="Make it first, or write elsewhere.",
        )


def size(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """Write a length of time for people.

    Example:
        >>> duration(3.25), duration(250), duration(7500)
        ('3.25 s', '4 m 10 s', '2 h 05 m')
    """
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} m"
    return f"{hours // 24} d {hours % 24} h"


_SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")


def width_of(text: str) -> int:
    r"""Count the cells of a terminal that text takes: two for a Chinese character, none for a mark.

    Example:
        >>> width_of("训练 a"), width_of("e\u0301")
        (6, 1)
    """
    if text.isascii() and "\x1b" not in text:
        return len(text)
    return sum(_cells(letter) for letter in _SEQUENCE.sub("", text))


def cut(text: str, width: int) -> str:
    """Return text that takes at most `width` cells; what was cut ends in an ellipsis.

    Example:
        >>> cut("训练模型", 5)
        '训练…'
    """
    if width_of(text) <= width:
        return text
    kept, room = "", width - 1
    for letter in text:
        room -= _cells(letter)
        if room < 0:
            break
        kept += letter
    return f"{kept}…" if width > 0 else ""


def padded(text: str, width: int) -> str:
    """Fill text up with spaces to `width` cells."""
    return text + " " * (width - width_of(text))


def _cells(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in {"Cf", "Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def is_colourful() -> bool:
    """Say whether colours and moving lines are welcome: a terminal, and NO_COLOR not set."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return readable(str(value))


def _pad(text: str, width: int, right: bool) -> str:  # noqa: FBT001  # a column's property
    filling = " " * (width - width_of(text))
    return filling + text if right else text + filling
