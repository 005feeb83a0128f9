"""Names for runs that were given none, and texts that can be recorded."""

from typing import Final

from trivet.core.errors import Invalid

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


def check_text(text: object, what: str) -> None:
    """Check that something is a text, and has characters alone.

    Python's names of files and arguments that are no UTF-8 have halves of some (surrogates).

    Raises:
        Invalid: It is none, or has something else.
    """
    if not isinstance(text, str):
        raise Invalid(f"{what} is {text!r}; expected text", code="bad-text")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid(
            f"{what} has {text[error.start]!r} at {error.start}, which is no character",
            code="bad-text",
            hint="Write it as text.encode(errors='replace').decode().",
        ) from error
