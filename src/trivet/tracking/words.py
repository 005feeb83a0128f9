"""The words in which people search for runs, and what documents call the same things.

MLflow's words are understood as well; see `reporting.searching` for those alone.
"""

from collections.abc import Callable, Collection
from typing import Final, Protocol

import msgspec

from trivet.core.catalog import Compare, Condition, Either, Every, Has, OneOf, Order, Value
from trivet.core.documents import text_test
from trivet.core.errors import Invalid
from trivet.core.filtering import Entity, Grammar, Kind
from trivet.tracking.documents import WORDS
from trivet.tracking.reporting.documents import NUMBERS
from trivet.tracking.reporting.facts import LOST
from trivet.tracking.reporting.searching import run_grammar

ATTRIBUTES: Final[dict[str, str]] = {
    "id": "run_id",
    "name": "run_name",
    "flow": "run_name",
    "experiment": "experiment_id",
    "status": "status",
    "user": "user_id",
    "began": "start_time",
    "ended": "end_time",
}
"""What documents call a run's own fields."""
_KINDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(ATTRIBUTES, "text"),
    "began": "time",
    "ended": "time",
}
_ALIASES: Final = {
    "run_id": "id",
    "run_name": "name",
    "run name": "name",
    "user_id": "user",
    "start_time": "began",
    "end_time": "ended",
    "created": "began",
}
STATUSES: Final[dict[str, str]] = {
    word: status for status, word in (WORDS | {"scheduled": "SCHEDULED"}).items()
}
"""How a run stands, by how documents say it."""


class Place(Protocol):
    """What a grammar must know of the project it is for."""

    def most_inputs(self) -> int:
        """Return how many data sets a run has at most."""
        ...

    def numbers_of(self, condition: Compare | OneOf) -> Collection[str]:
        """Return the numbers, as text, of the experiments whose names meet a condition."""
        ...

    def known(self, prefix: str) -> Collection[str]:
        """Return the attributes of runs that begin so."""
        ...


def finder_grammar(place: Place) -> Grammar:
    """Return the grammar of searches for any runs of a project."""
    theirs = run_grammar(place.most_inputs)
    own = Entity(prefix="", fields=_KINDS)
    parameters = Entity(prefix="params.", kind="either")
    changed = {
        name: own if entity is theirs.bare else entity for name, entity in theirs.entities.items()
    }
    for name in ("params", "param", "parameters", "parameter"):
        changed[name] = parameters
    refine_input = theirs.refine

    def refine(condition: Condition) -> Condition:
        name = getattr(condition, "name", "")
        if name.startswith("datasets.") and refine_input is not None:
            return refine_input(condition)
        if isinstance(condition, Compare | OneOf | Has):
            return _REFINED.get(name, _as_document_says)(condition, place)
        return condition

    return Grammar(entities=changed, bare=own, aliases=_ALIASES, refine=refine, known=place.known)


def as_orders(order: Order) -> tuple[Order, ...]:
    """Return what documents are ordered by: parameters that are numbers, by number.

    Raises:
        Invalid: Runs have no order by this.
    """
    if order.name.startswith("datasets.") or order.name == "experiment":
        raise Invalid(
            f"runs cannot be ordered by {order.name!r}; expected a metric, a parameter, a tag or "
            "a field such as began",
            code="bad-order",
        )
    if order.name.startswith("params."):
        number = NUMBERS + order.name.partition(".")[2]
        return Order(number, falls=order.falls), order
    return (msgspec.structs.replace(order, name=ATTRIBUTES.get(order.name, order.name)),)


def _as_document_says(condition: Compare | OneOf | Has, _: Place) -> Condition:
    if condition.name.startswith("params."):
        return _of_parameter(condition)
    name = ATTRIBUTES.get(condition.name, condition.name)
    return msgspec.structs.replace(condition, name=name)


def _of_parameter(condition: Compare | OneOf | Has) -> Condition:
    number = NUMBERS + condition.name.partition(".")[2]
    if isinstance(condition, Compare) and not isinstance(condition.value, str):
        return msgspec.structs.replace(condition, name=number)
    if not isinstance(condition, OneOf):
        return condition
    values: dict[bool, list[Value]] = {True: [], False: []}
    for value in condition.values:
        values[isinstance(value, str)].append(value)
    parts = (
        OneOf(name, tuple(values[is_text]), negated=condition.negated)
        for name, is_text in ((condition.name, True), (number, False))
        if values[is_text]
    )
    if not condition.negated:
        return Either(tuple(parts))
    # A parameter that is no number is none of any numbers, and must not be lost by that.
    return Every(
        (
            Has(condition.name),
            *(Either((part, Has(part.name, negated=True))) for part in parts),
        )
    )


def _of_experiment(condition: Compare | OneOf | Has, place: Place) -> Condition:
    if isinstance(condition, Has):
        return msgspec.structs.replace(condition, name="experiment_id")
    return OneOf("experiment_id", tuple(place.numbers_of(condition)))


def _of_flow(condition: Compare | OneOf | Has, _: Place) -> Condition:
    if isinstance(condition, Has):
        return Has("experiment_id", negated=not condition.negated)
    own = msgspec.structs.replace(condition, name="run_name")
    return Every((Has("experiment_id", negated=True), own))


def _of_status(condition: Compare | OneOf | Has, _: Place) -> Condition:
    if isinstance(condition, Has):
        return condition
    asked = condition.values if isinstance(condition, OneOf) else (condition.value,)
    texts = [STATUSES.get(str(value).upper(), str(value)) for value in asked]
    is_pattern = isinstance(condition, Compare) and condition.operator in {"like", "ilike"}
    unknown = [text for text in texts if text not in STATUSES.values()]
    if unknown and not is_pattern:
        raise Invalid(
            f"no run stands as {unknown[0]!r}; expected one of {sorted(STATUSES.values())}",
            code="bad-filter",
            hint="Write for example status = 'succeeded'.",
        )
    if isinstance(condition, OneOf):
        words = tuple(w for w in STATUSES if (STATUSES[w] in texts) != condition.negated)
    else:
        meets = text_test(condition.operator, texts[0])
        words = tuple(word for word, status in STATUSES.items() if meets(status))
    # A run that reported itself and is lost says that it failed, for clients without the word.
    plain = Every((OneOf("status", words), Has(LOST, negated=True)))
    return Either((plain, Has(LOST))) if WORDS["lost"] in words else plain


_REFINED: Final[dict[str, Callable[[Compare | OneOf | Has, Place], Condition]]] = {
    "experiment": _of_experiment,
    "flow": _of_flow,
    "status": _of_status,
}
