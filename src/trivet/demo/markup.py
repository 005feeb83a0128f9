"""Marked-up text that nothing can break out of: whatever is no element is escaped.

Names, reasons and causes come from data and from people, so they may hold anything.
"""

import html
import math
import re

_VOID = {"br", "col", "hr", "meta"}
# Controls act on a terminal, bidirectional overrides reorder what is read, and a lone surrogate
# cannot be written as UTF-8.
_UNREADABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class Markup(str):
    """HTML as it will be written. `element` and `joined` make it from escaped parts."""

    __slots__ = ()


def readable(text: str) -> str:
    """Replace each character that acts instead of being read by U+FFFD.

    Example:
        >>> readable("late" + chr(27) + "[2J").encode("ascii", "backslashreplace")
        b'late\\\\ufffd[2J'
    """
    return _UNREADABLE.sub("\ufffd", text)


def escaped(text: str) -> Markup:
    """Return text as HTML; what is HTML already stays as it is."""
    return text if isinstance(text, Markup) else Markup(html.escape(readable(text)))


def element(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """Make an element of HTML or SVG.

    Args:
        name: The element's name; trusted.
        *children: Elements, and texts, which are escaped.
        **attributes: By name; a trailing underscore is dropped, others become hyphens, None is
            left out, and numbers are written with at most two decimals.

    Example:
        >>> element("p", "a < b ", element("b", "c"), class_="note")
        '<p class="note">a &lt; b <b>c</b></p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


def joined(*children: str, by: str = "") -> Markup:
    """Put elements and texts one after another; texts are escaped."""
    return Markup(escaped(by).join(escaped(child) for child in children))


def number(value: float | None, digits: int = 0) -> str:
    """Write a number for people: thousands apart, a true minus, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}".replace("-", "\u2212")


def signed(value: float | None, digits: int = 0) -> str:
    """Write a number with its sign."""
    text = number(value, digits)
    return f"+{text}" if text[0].isdigit() else text


def _attribute(value: str | float) -> str:
    if isinstance(value, str):
        return escaped(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")
