"""A card as Markdown with a YAML header, as model hubs take it."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final, cast

from trivet.drawing.words import readable
from trivet.workspace.cards.card import Card, Gap, Grid, Section, Text

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#~])")
_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Words that YAML takes for something else than text."""


def card_markdown(card: Card) -> str:
    """Return a card as Markdown; texts of people cannot break out of their place."""
    return "\n".join(_parts(card)).rstrip() + "\n"


def _parts(card: Card) -> Iterator[str]:
    yield "---"
    yield from _yaml(card.metadata, 0)
    yield "---"
    yield ""
    yield f"# {_plain(card.label)}"
    yield ""
    if card.warning:
        yield from (f"> **Deprecated.** {_plain(card.warning)}", "")
    if card.summary:
        yield from (_plain(card.summary), "")
    gaps = len(card.gaps)
    if gaps:
        yield from (f"**{gaps} gaps** are marked: what nobody recorded.", "")
    for section in card.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield from (f"## {section.title}", "")
    for text in section.texts:
        yield from _quoted(text)
    for line in section.lines:
        yield f"- **{_plain(line.name)}:** {_plain(line.value)}"
    if section.lines:
        yield ""
    for grid in section.grids:
        yield from _grid(grid)
    for gap in section.gaps:
        yield _gap(gap)
    if section.gaps:
        yield ""
    if not (section.texts or section.lines or section.grids or section.gaps):
        yield from ("Nothing is on record.", "")


def _quoted(text: Text) -> Iterator[str]:
    for line in readable(text.text).splitlines():
        yield f"> {_plain(line)}".rstrip()
    yield from (">", f"> — {_plain(text.by)}", "")


def _grid(grid: Grid) -> Iterator[str]:
    yield from (f"{_plain(grid.caption)}:", "")
    yield f"| {' | '.join(map(_plain, grid.headings))} |"
    yield f"|{'---|' * len(grid.headings)}"
    for row in grid.rows:
        yield f"| {' | '.join(map(_plain, row))} |"
    yield ""


def _gap(gap: Gap) -> str:
    return f"- ⚠ **Gap:** {_plain(gap.what)}. Record it: {gap.command}"


def _plain(text: str) -> str:
    """Write text so that it means itself, in one line."""
    return _SPECIAL.sub(r"\\\1", readable(" ".join(text.split())))


def _yaml(value: object, depth: int) -> Iterator[str]:
    """Write mappings and lists as blocks, and everything else as JSON, which YAML contains."""
    indent = "  " * depth
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            name = key if _KEY.fullmatch(key) and key.lower() not in _WORDS else _scalar(key)
            yield from _item(f"{indent}{name}:", item, depth)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _item(f"{indent}-", item, depth)


def _item(head: str, value: object, depth: int) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from _yaml(cast("object", value), depth + 1)
    else:
        yield f"{head} {_scalar(cast('object', value))}"


def _scalar(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
    text = readable(value) if isinstance(value, str) else value
    # Some line ends of Unicode are line ends of YAML, too.
    return json.dumps(text, ensure_ascii=False).replace("\u2028", "\\L").replace("\u2029", "\\P")
