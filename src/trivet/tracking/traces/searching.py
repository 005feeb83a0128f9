"""What filters over traces may speak of."""

import math
from collections.abc import Callable
from typing import Final

import msgspec

from trivet.core.catalog import Compare, Condition, Either, OneOf
from trivet.core.filtering import Entity, Grammar, Kind

_FIELDS: Final[dict[str, Kind]] = {
    "request_id": "text",
    "client_request_id": "text",
    "name": "text",
    "status": "text",
    "run_id": "text",
    "timestamp": "number",
    "execution_time": "number",
    "end_time": "number",
    "experiment_id": "number",
}
_ALIASES: Final = {
    "trace_id": "request_id",
    "timestamp_ms": "timestamp",
    "execution_time_ms": "execution_time",
    "end_time_ms": "end_time",
}
_JUDGED: Final = ("feedback.", "expectation.")
_NEGATIVE: Final = frozenset({"!="})


def trace_grammar(links: Callable[[], int]) -> Grammar:
    """Return the grammar of searches for traces.

    Args:
        links: Returns to how many runs a trace belongs at most, besides its own.
    """
    own = Entity(prefix="", fields=_FIELDS)
    tags, metadata = Entity(prefix="tags."), Entity(prefix="metadata.")

    def refine(condition: Condition) -> Condition:
        if not isinstance(condition, Compare | OneOf):
            return condition
        if condition.name == "run_id":
            return _of_any_run(condition, links())
        if condition.name.startswith(_JUDGED) and isinstance(condition, Compare):
            return _of_judgement(condition)
        return condition

    return Grammar(
        entities={
            **dict.fromkeys(("attributes", "attribute", "attr", "trace"), own),
            **dict.fromkeys(("tags", "tag"), tags),
            **dict.fromkeys(("metadata", "request_metadata"), metadata),
            "feedback": Entity(prefix="feedback.", kind="either"),
            "expectation": Entity(prefix="expectation.", kind="either"),
        },
        bare=own,
        aliases=_ALIASES,
        refine=refine,
    )


def _of_any_run(condition: Compare | OneOf, links: int) -> Condition:
    """A trace belongs to its own run and to those it was linked to."""
    if isinstance(condition, OneOf) and condition.negated:
        return condition
    if isinstance(condition, Compare) and condition.operator in _NEGATIVE:
        return condition
    linked = (msgspec.structs.replace(condition, name=f"runs.{place}") for place in range(links))
    return Either((condition, *linked))


def _of_judgement(condition: Compare) -> Condition:
    """Text in quotes means a number, too: `feedback.stars = '5'`."""
    if not isinstance(condition.value, str) or condition.operator not in {"=", "!="}:
        return condition
    number = _number(condition.value)
    if number is not None:
        same = Compare(condition.name, condition.operator, number)
    elif condition.operator == "!=":
        same = Compare(condition.name, ">=", -math.inf)  # any number is another than this text
    else:
        return condition
    return Either((condition, same))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
