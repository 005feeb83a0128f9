"""Which documents meet a condition, judged by their columns.

Columns hold only the beginning of a long text, so a judgement has two answers: which documents
meet the condition for sure, and which may meet it. Those between are judged by the whole document.
"""

import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from trivet.adapters.sqlite.catalog_columns import Column, Mask, Rows, Shelf
from trivet.core.catalog import (
    ORDERED_TEXT,
    Condition,
    Either,
    Every,
    Has,
    OneOf,
)
from trivet.core.documents import Pattern, holds, text_test

Judgement = tuple[Mask, Mask]
"""Where it holds for sure, and where it may."""
_COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def rows_where(shelf: Shelf, condition: Condition | None) -> Rows:
    """Return the places of the documents that meet a condition."""
    if condition is None:
        return np.flatnonzero(shelf.is_used)
    sure, may = _judge(shelf, condition)
    sure, may = sure & shelf.is_used, may & shelf.is_used
    doubtful = np.flatnonzero(may & ~sure)
    if len(doubtful):
        for row, document in zip(doubtful, shelf.documents(doubtful), strict=True):
            sure[row] = holds(condition, document.attributes)
    return np.flatnonzero(sure)


def _judge(shelf: Shelf, condition: Condition) -> Judgement:
    if isinstance(condition, Every | Either):
        return _judge_parts(shelf, condition)
    column = shelf.column(condition.name)
    if isinstance(condition, Has):
        found = (column.is_number | column.is_text) != condition.negated
        return found, found
    if isinstance(condition, OneOf):
        return _is_one_of(column, condition)
    if isinstance(condition.value, str):
        return _judge_text(column, condition.operator, condition.value)
    found = _COMPARISONS[condition.operator](column.numbers, float(condition.value))
    found &= column.is_number
    return found, found


def _judge_parts(shelf: Shelf, condition: Every | Either) -> Judgement:
    is_every = isinstance(condition, Every)
    sure = np.full(len(shelf.is_used), is_every)
    may = sure.copy()
    for part in condition.parts:
        judged = _judge(shelf, part)
        sure, may = (
            (sure & judged[0], may & judged[1]) if is_every else (sure | judged[0], may | judged[1])
        )
    return sure, may


def _is_one_of(column: Column, condition: OneOf) -> Judgement:
    texts = {value for value in condition.values if isinstance(value, str)}
    wanted = [value for value in condition.values if not isinstance(value, str)]
    sure = column.is_number & np.isin(column.numbers, np.array(wanted, np.float64))
    may = sure.copy()
    if texts:
        beginnings = {text[:ORDERED_TEXT] for text in texts}
        may |= column.texts_where(text in beginnings for text in column.texts)
        sure |= column.texts_where(
            text in texts and len(text) < ORDERED_TEXT for text in column.texts
        )
    if condition.negated:
        is_there = column.is_number | column.is_text
        return is_there & ~may, is_there & ~sure
    return sure, may


def _judge_text(column: Column, word: Any, wanted: str) -> Judgement:
    test = text_test(word, wanted)
    sure = column.texts_where(
        test(text) if len(text) < ORDERED_TEXT else False for text in column.texts
    )
    if all(len(text) < ORDERED_TEXT for text in column.texts):
        return sure, sure
    judge_long = _pattern_judge(wanted) if word == "like" else _order_judge(word, wanted)
    judged = [
        judge_long(text) if len(text) >= ORDERED_TEXT else (False, False) for text in column.texts
    ]
    surely = column.texts_where(one for one, _ in judged)
    maybe = column.texts_where(one for _, one in judged)
    return sure | surely, sure | maybe


def _order_judge(word: str, wanted: str) -> Callable[[str], tuple[bool, bool]]:
    """Judge long texts by their beginnings: where these differ, they decide."""
    if word == "ilike":
        return lambda _: (False, True)
    compare, beginning = _COMPARISONS[word], wanted[:ORDERED_TEXT]

    def judge(text: str) -> tuple[bool, bool]:
        if text == beginning:
            return False, True
        found = bool(compare(text, beginning))
        return found, found

    return judge


def _pattern_judge(wanted: str) -> Callable[[str], tuple[bool, bool]]:
    """Judge long texts by their beginnings: what matches before a final `%` goes on matching."""
    pattern, first = Pattern(wanted), wanted.split("%", 1)[0]
    beginning = Pattern(first[:ORDERED_TEXT] + "%")
    is_open = wanted.endswith("%")

    def judge(text: str) -> tuple[bool, bool]:
        if is_open and pattern.matches(text):
            return True, True
        return False, beginning.matches(text)

    return judge
