"""What filters over logged models may speak of."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from trivet.core.catalog import Compare, Condition, OneOf
from trivet.core.errors import Invalid
from trivet.core.filtering import Entity, Grammar, Kind
from trivet.tracking.reporting.model_points import Dataset, on_datasets

_FIELDS: Final[dict[str, Kind]] = {
    "name": "text",
    "model_id": "text",
    "model_type": "text",
    "experiment_id": "text",
    "status": "text",
    "source_run_id": "text",
    "artifact_location": "text",
    "creation_timestamp": "number",
    "last_updated_timestamp": "number",
}
_ALIASES: Final = {
    "creation_time": "creation_timestamp",
    "creation_timestamp_ms": "creation_timestamp",
    "last_updated_time": "last_updated_timestamp",
    "last_updated_timestamp_ms": "last_updated_timestamp",
}


def logged_model_grammar(statuses: Mapping[str, str], datasets: Sequence[Dataset] = ()) -> Grammar:
    """Return the grammar of searches for logged models.

    Args:
        statuses: The words that the filter uses for a status, and what documents say.
        datasets: What conditions on metrics are about; empty: whatever they were measured on.
    """
    own = Entity(prefix="", fields=_FIELDS)

    def refine(condition: Condition) -> Condition:
        if getattr(condition, "name", "") == "status":
            return _of_status(condition, statuses)
        return on_datasets(condition, datasets)

    return Grammar(
        entities={
            **dict.fromkeys(("attributes", "attribute", "attr"), own),
            **dict.fromkeys(("metrics", "metric"), Entity(prefix="metrics.", kind="number")),
            **dict.fromkeys(("params", "param"), Entity(prefix="params.")),
            **dict.fromkeys(("tags", "tag"), Entity(prefix="tags.")),
        },
        bare=own,
        aliases=_ALIASES,
        refine=refine,
    )


def _of_status(condition: Condition, statuses: Mapping[str, str]) -> Condition:
    if isinstance(condition, OneOf):
        values = tuple(_status(str(value), statuses) for value in condition.values)
        return msgspec.structs.replace(condition, values=values)
    if isinstance(condition, Compare):
        if condition.operator not in {"=", "!="}:
            raise Invalid(
                f"Invalid comparison operator for status: {condition.operator.upper()!r}; expected "
                "=, !=, IN or NOT IN",
                code="bad-filter",
            )
        value = _status(str(condition.value), statuses)
        return msgspec.structs.replace(condition, value=value)
    return condition


def _status(word: str, statuses: Mapping[str, str]) -> str:
    found = statuses.get(word)
    if found is None:
        raise Invalid(
            f"Invalid status {word!r} in filter string; expected one of {sorted(statuses)}",
            code="bad-filter",
        )
    return found
