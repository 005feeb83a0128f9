"""Marked-up text that nothing can break out of: whatever is no element is escaped.

Names, reasons and causes come from data and from people, so they may hold anything.
"""

import html

from trivet.drawing.words import readable

_VOID = {"br", "col", "hr", "meta"}


class Markup(str):
    """HTML as it will be written. `element` and `joined` make it from escaped parts."""

    __slots__ = ()


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


def scrolling(content: Markup, *, label: str) -> Markup:
    """Let something wide scroll by itself on a narrow screen, also by keyboard."""
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=label)


def _attribute(value: str | float) -> str:
    if isinstance(value, str):
        return escaped(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")
