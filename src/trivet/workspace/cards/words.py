"""What all sections of cards are written with: numbers, lines, texts and gaps."""

import shlex
from collections.abc import Iterable
from typing import cast

from trivet.drawing.words import readable
from trivet.models.card_texts import SECTIONS, CardText
from trivet.workspace.cards.card import Gap, Line, Text
from trivet.workspace.cards.evidence import Evidence


def grouped(number: int) -> str:
    """Write a whole number with its thousands apart."""
    return f"{number:,}"


def written(value: float, low: float | None = None, high: float | None = None) -> str:
    """Write a figure with its interval, if it has one."""
    if low is None or high is None:
        return plain(value)
    return f"{plain(value)} ({plain(low)} to {plain(high)})"


def plain(value: float) -> str:
    """Write a number in four digits; a zero has no sign."""
    return f"{value + 0.0:.4g}"


def lines(pairs: Iterable[tuple[str, str]]) -> tuple[Line, ...]:
    """Return named facts; those without a value are left out."""
    return tuple(Line(name=name, value=value) for name, value in pairs if value)


def texts_of(evidence: Evidence, *sections: str) -> tuple[Text, ...]:
    """Return what people wrote for some sections."""
    found = ((name, evidence.texts.get(name)) for name in sections)
    return tuple(_text(name, said) for name, said in found if said is not None)


def gaps_of(evidence: Evidence, *sections: str) -> tuple[Gap, ...]:
    """Return a gap for each of some sections that nobody wrote."""
    # A name may hold anything; in a command it is one word, and ends no quotation of Markdown's.
    label = shlex.quote(readable(evidence.subject.label).replace("`", "'"))
    return tuple(
        Gap(what=SECTIONS[name], command=f'`trivet models describe {label} {name} "..."`')
        for name in sections
        if name not in evidence.texts
    )


def reported(evidence: Evidence, prefix: str) -> dict[str, object]:
    """Return what the run reported under a prefix, such as `params.`."""
    return {
        name.removeprefix(prefix): value
        for name, value in evidence.reported.items()
        if name.startswith(prefix)
    }


def strings(value: object) -> list[str]:
    """Return the texts of a list that a person wrote; of anything else none."""
    return [str(item) for item in cast("list[object]", value)] if isinstance(value, list) else []


def _text(section: str, said: CardText) -> Text:
    return Text(text=said.text, by=f"{section}: {said.by}, {said.time:%Y-%m-%d}")
