"""Which documents meet a condition, judged by their columns.

Columns hold only the beginning of a long text, so a judgement has two answers: which documents
meet the condition for sure, and which may meet it. Those between are judged by the whole document.
"""

import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from trivet.adapters.sqlite.catalog_columns import (
    Column,
    Doubt,
    Judgement,
    Mask,
    Rows,
    Shelf,
)
from trivet.core.catalog import (
    ORDERED_TEXT,
    Compare,
    Condition,
    Either,
    Every,
    Has,
    OneOf,
    Operator,
)
from trivet.core.documents import Pattern, holds, text_test

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
    sure, may = _judge(shelf, condition, shelf.is_used)
    doubtful = np.flatnonzero(may & ~sure)
    if len(doubtful):
        for row, document in zip(doubtful, shelf.documents(doubtful), strict=True):
            sure[row] = holds(condition, document.attributes)
    return np.flatnonzero(sure)


def _judge(shelf: Shelf, condition: Condition, among: Mask) -> Judgement:
    """Judge the slots in `among`; in all others it holds not."""
    if isinstance(condition, Every):
        return _judge_every(shelf, condition, among)
    if isinstance(condition, Either):
        return _judge_either(shelf, condition, among)
    column = shelf.column(condition.name)
    if isinstance(condition, Has):
        sure = may = (column.is_number | column.is_text) != condition.negated
    elif isinstance(condition, OneOf):
        sure, may = _judge_one_of(column, condition, among)
    elif isinstance(condition.value, str):
        sure, may = _judge_text(column, condition.operator, condition.value, among)
    else:
        compared = _COMPARISONS[condition.operator](column.numbers, float(condition.value))
        sure = may = compared & column.is_number
    return sure & among, may & among


def _judge_every(shelf: Shelf, condition: Every, among: Mask) -> Judgement:
    sure = may = among
    for part in sorted(condition.parts, key=_cost):
        part_sure, part_may = _judge(shelf, part, may)
        sure, may = sure & part_sure, part_may
    return sure.copy(), may


def _judge_either(shelf: Shelf, condition: Either, among: Mask) -> Judgement:
    sure, may = np.zeros_like(among), np.zeros_like(among)
    for part in sorted(condition.parts, key=_cost):
        part_sure, part_may = _judge(shelf, part, among & ~sure)
        sure, may = sure | part_sure, may | part_may
    return sure, may


def _cost(condition: Condition) -> int:
    """Return a whole number that rises with the work of judging: comparing texts comes last."""
    if isinstance(condition, Compare) and isinstance(condition.value, str):
        return 3 if condition.operator in {"like", "ilike"} else 2
    return 0 if isinstance(condition, Compare | Has) else 1


def _judge_one_of(column: Column, condition: OneOf, among: Mask) -> Judgement:
    texts = {value for value in condition.values if isinstance(value, str)}
    beginnings = {text[:ORDERED_TEXT] for text in texts}
    sure, may = column.judge_texts(
        texts.__contains__, lambda text: (False, text in beginnings), among
    )
    wanted = np.array([v for v in condition.values if not isinstance(v, str)], np.float64)
    is_one = column.is_number & np.isin(column.numbers, wanted)
    if condition.negated:
        is_there = column.is_number | column.is_text
        return is_there & ~is_one & ~may, is_there & ~is_one & ~sure
    return sure | is_one, may | is_one


def _judge_text(column: Column, word: Operator, wanted: str, among: Mask) -> Judgement:
    if word == "ilike":
        judge_long = _doubt
    elif word == "like":
        judge_long = _pattern_judge(wanted)
    else:
        judge_long = _order_judge(word, wanted)
    return column.judge_texts(text_test(word, wanted), judge_long, among)


def _doubt(_: str) -> Doubt:
    return False, True


def _order_judge(word: str, wanted: str) -> Callable[[str], Doubt]:
    """Judge long texts by their beginnings: where these differ, they decide."""
    compare, beginning = _COMPARISONS[word], wanted[:ORDERED_TEXT]

    def judge(text: str) -> Doubt:
        if text == beginning:
            return _doubt(text)
        found = bool(compare(text, beginning))
        return found, found

    return judge


def _pattern_judge(wanted: str) -> Callable[[str], Doubt]:
    """Judge long texts by their beginnings: what matches before a final `%` goes on matching."""
    pattern = Pattern(wanted)
    beginning = Pattern(wanted.split("%", 1)[0][:ORDERED_TEXT] + "%")
    is_open = wanted.endswith("%")

    def judge(text: str) -> Doubt:
        if is_open and pattern.matches(text):
            return True, True
        return False, beginning.matches(text)

    return judge
