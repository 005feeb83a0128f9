"""Names for runs that were given none."""

from typing import Final

_NAMES: Final = (
    "calm",
    "clear",
    "deep",
    "early",
    "fair",
    "keen",
    "kind",
    "quick",
    "steady",
    "warm",
)
_THINGS: Final = ("ash", "brook", "crane", "dune", "fern", "heron", "lark", "oak", "reed", "wren")


def made_up_name(id: str) -> str:
    """Make a name that people can say; its number comes from an identifier."""
    number = int(id[-8:], 16)
    word = f"{_NAMES[number % 10]}-{_THINGS[number // 10 % 10]}"
    return f"{word}-{number // 100 % 1000}"
