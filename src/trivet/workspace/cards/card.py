"""A card before it is written down: sections of facts, texts and tables, and marked gaps."""

from typing import Any

import msgspec


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something that nobody recorded."""

    what: str
    """Which fact is missing."""
    command: str
    """What records it."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A named fact."""

    name: str
    value: str


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """A table of facts."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wrote."""

    text: str
    by: str
    """Who, and when."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a card."""

    key: str
    title: str
    texts: tuple[Text, ...] = ()
    lines: tuple[Line, ...] = ()
    grids: tuple[Grid, ...] = ()
    gaps: tuple[Gap, ...] = ()


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A model card. The same facts give the same card, to the byte."""

    label: str
    summary: str
    warning: str
    """That it is deprecated; empty when it is not."""
    metadata: dict[str, Any]
    """The header that model hubs read, in their terms."""
    sections: tuple[Section, ...]

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Everything that is missing."""
        return tuple(gap for section in self.sections for gap in section.gaps)
