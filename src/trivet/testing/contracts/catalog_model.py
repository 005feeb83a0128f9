"""What a search should find, by looking at every document, and random searches to compare.

It is written for itself, by other means than the adapters use, so that no mistake is made twice.
"""

import math
import re
from functools import cmp_to_key
from typing import Any

from hypothesis import strategies as st

from trivet.core.catalog import (
    Compare,
    Condition,
    Document,
    Either,
    Every,
    Has,
    OneOf,
    Order,
    Search,
    Value,
)

LONG = "long " * 40
"""As many characters as an order looks at."""
NAMES = ("metrics.m", "params.p", "tags.t")
GROUPS = ("one", "two", "three")
_NUMBERS = (0.0, -0.0, 1.0, -1.5, 2.0, 1e300, -1e-300, math.inf, -math.inf, math.nan)
_TEXTS = ("", "a", "A", "ab", "b%", "a_b", "straße", "STRASSE", "茶", "\0", "😀", "1", "nan")
_LONG_TEXTS = (LONG, LONG + "a", LONG + "b", LONG[:-1])
_PATTERNS = ("", "%", "_", "a%", "%b", "%a%", "_b", "%ss%", "long%", "%a", "l%b", LONG + "_")

values = st.sampled_from(_NUMBERS) | st.sampled_from(_TEXTS) | st.sampled_from(_LONG_TEXTS)
attributes = st.dictionaries(st.sampled_from(NAMES), values)
orders = st.lists(st.builds(Order, st.sampled_from(NAMES), st.booleans()), max_size=3).map(tuple)
groups = st.none() | st.lists(st.sampled_from((*GROUPS, "none such")), max_size=4).map(tuple)
_leaves = (
    st.builds(
        Compare, st.sampled_from(NAMES), st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), values
    )
    | st.builds(
        Compare,
        st.sampled_from(NAMES),
        st.sampled_from(["like", "ilike"]),
        st.sampled_from(_PATTERNS + _TEXTS),
    )
    | st.builds(
        OneOf, st.sampled_from(NAMES), st.lists(values, max_size=4).map(tuple), st.booleans()
    )
    | st.builds(Has, st.sampled_from(NAMES), st.booleans())
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3).flatmap(
        lambda parts: st.sampled_from([Every(tuple(parts)), Either(tuple(parts))])
    ),
    max_leaves=5,
)


def expected(documents: dict[str, Document], search: Search) -> list[str]:
    """Return the identifiers that a search finds, in its order, without a limit."""
    found = [
        document
        for document in documents.values()
        if (search.groups is None or document.group in search.groups)
        and (search.where is None or meets(search.where, document.attributes))
    ]

    def compare(one: Document, two: Document) -> int:
        for order in search.order:
            a, b = one.attributes.get(order.name), two.attributes.get(order.name)
            if (difference := _difference(a, b, falls=order.falls)) != 0:
                return difference
        return -1 if one.id < two.id else 1

    return [document.id for document in sorted(found, key=cmp_to_key(compare))]


def _difference(one: Any, two: Any, *, falls: bool) -> int:
    classes = _class(one), _class(two)
    if classes[0] != classes[1]:
        return classes[0] - classes[1]
    if classes[0] > 1:
        return 0
    a, b = (value[:200] if isinstance(value, str) else value for value in (one, two))
    difference = int(a > b) - int(a < b)
    return -difference if falls else difference


def _class(value: Any) -> int:
    """Number, text, NaN, nothing."""
    if value is None:
        return 3
    if isinstance(value, str):
        return 1
    return 2 if math.isnan(value) else 0


def meets(condition: Condition, of: dict[str, Value]) -> bool:
    """Whether attributes meet a condition."""
    match condition:
        case Every(parts):
            return False not in [meets(part, of) for part in parts]
        case Either(parts):
            return True in [meets(part, of) for part in parts]
        case Has(name, negated):
            return (name not in of) if negated else (name in of)
        case OneOf(name, wanted, negated):
            return name in of and negated != any(of[name] == one for one in wanted)
        case Compare(name, _, wanted):
            there = of.get(name)
            if there is None or isinstance(there, str) != isinstance(wanted, str):
                return False
            return _compares(there, condition.operator, wanted)


def _compares(there: Any, operator: str, wanted: Any) -> bool:
    if operator == "like":
        return _like(there, wanted)
    if operator == "ilike":
        return _like(there.casefold(), wanted.casefold())
    return {
        "=": there == wanted,
        "!=": there != wanted,
        "<": there < wanted,
        "<=": there <= wanted,
        ">": there > wanted,
        ">=": there >= wanted,
    }[operator]


def _like(text: str, pattern: str) -> bool:
    pieces = {"%": ".*", "_": "."}
    expression = "".join(pieces.get(one, re.escape(one)) for one in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None
