"""A card as one HTML page that needs no network and no script."""

import re
from typing import Final

from trivet.drawing.markup import Markup, element, joined, scrolling
from trivet.drawing.page import page_section, render_page
from trivet.workspace.cards.card import Card, Gap, Grid, Section, Text

_SENTENCE: Final = 40
"""Longer texts in a table are read as sentences."""
_CODE: Final = re.compile(r"`([^`]+)`")


def card_page(card: Card) -> str:
    """Return a card as a whole HTML document."""
    parts = [element("p", "Model card", class_="eyebrow"), element("h1", card.label)]
    if card.summary:
        parts.append(element("p", card.summary, class_="lead"))
    if card.warning:
        parts.append(element("p", f"This version is {card.warning}", class_="warning"))
    gaps = len(card.gaps)
    told = f"{gaps} gaps are marked: what nobody recorded." if gaps else "Nothing is missing."
    parts.append(element("p", told, class_="note"))
    links = (
        element("li", element("a", section.title, href=f"#{section.key}"))
        for section in card.sections
    )
    parts.append(element("nav", element("ul", *links), aria_label="Sections"))
    sections = (page_section(each.key, each.title, _section(each)) for each in card.sections)
    body = element("body", element("header", *parts), element("main", *sections))
    return render_page(f"Model card of {card.label}", body)


def _section(section: Section) -> Markup:
    parts = [_text(text) for text in section.texts]
    if section.lines:
        pairs = (
            element("div", element("dt", line.name), element("dd", line.value))
            for line in section.lines
        )
        parts.append(element("dl", *pairs, class_="card"))
    parts += [_grid(grid) for grid in section.grids]
    parts += [_gap(gap) for gap in section.gaps]
    return joined(*parts) if parts else element("p", "Nothing is on record.", class_="muted")


def _text(text: Text) -> Markup:
    paragraphs = (element("p", part) for part in text.text.split("\n") if part.strip())
    return element("blockquote", *paragraphs, element("footer", text.by, class_="note"))


def _grid(grid: Grid) -> Markup:
    heads = (element("th", heading, scope="col") for heading in grid.headings)
    rows = (element("tr", *(_cell(cell) for cell in row)) for row in grid.rows)
    table = element(
        "table",
        element("caption", grid.caption),
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
    )
    return scrolling(table, label=grid.caption)


def _cell(text: str) -> Markup:
    # On a narrow screen a sentence beside figures would be a column of single words.
    return element("td", text, class_="words" if len(text) > _SENTENCE else None)


def _gap(gap: Gap) -> Markup:
    pieces = _CODE.split(gap.command)
    command = [element("code", piece) if at % 2 else piece for at, piece in enumerate(pieces)]
    words = element("strong", "Gap: ")
    return element("p", words, f"{gap.what}. Record it: ", *command, class_="warning")
