"""What filters over experiments and reported runs may speak of."""

from collections.abc import Callable
from typing import Final

import msgspec

from trivet.core.catalog import Compare, Condition, Either, Has, OneOf
from trivet.core.errors import Invalid
from trivet.core.filtering import Entity, Grammar, Kind
from trivet.tracking.reporting.facts import LOST

_RUN_FIELDS: Final[dict[str, Kind]] = {
    "run_id": "text",
    "run_name": "text",
    "status": "text",
    "artifact_uri": "text",
    "user_id": "text",
    "start_time": "number",
    "end_time": "number",
}
_DATASET_FIELDS: Final[dict[str, Kind]] = {"name": "text", "digest": "text", "context": "text"}
_EXPERIMENT_FIELDS: Final[dict[str, Kind]] = {
    "name": "text",
    "experiment_id": "text",
    "creation_time": "number",
    "last_update_time": "number",
}
_OWN = ("attributes", "attribute", "attr")


def experiment_grammar() -> Grammar:
    """Return the grammar of searches for experiments."""
    own = Entity(prefix="", fields=_EXPERIMENT_FIELDS)
    tags = Entity(prefix="tags.")

    def refine(condition: Condition) -> Condition:
        if isinstance(condition, Has) and not condition.name.startswith("tags."):
            raise Invalid(
                "IS NULL / IS NOT NULL is only supported for tags: every experiment has "
                f"{condition.name!r}",
                code="bad-filter",
            )
        return condition

    return Grammar(
        entities={**dict.fromkeys(_OWN, own), **dict.fromkeys(("tags", "tag"), tags)},
        bare=own,
        sets={"experiment_id"},
        refine=refine,
    )


def run_grammar(inputs: Callable[[], int]) -> Grammar:
    """Return the grammar of searches for runs.

    Args:
        inputs: Returns how many data sets a run has at most.
    """
    own = Entity(prefix="", fields=_RUN_FIELDS)
    parameters, tags = Entity(prefix="params."), Entity(prefix="tags.")
    entities = {
        **dict.fromkeys((*_OWN, "run"), own),
        **dict.fromkeys(("metrics", "metric"), Entity(prefix="metrics.", kind="number")),
        **dict.fromkeys(("params", "param", "parameters", "parameter"), parameters),
        **dict.fromkeys(("tags", "tag"), tags),
        **dict.fromkeys(
            ("datasets", "dataset"), Entity(prefix="datasets.", fields=_DATASET_FIELDS)
        ),
    }

    def refine(condition: Condition) -> Condition:
        name = getattr(condition, "name", "")
        if name.startswith("datasets.") and isinstance(condition, Compare | OneOf | Has):
            return _of_any_input(condition, inputs())
        if isinstance(condition, Compare) and (name, condition.value) == ("status", LOST):
            # No word of MLflow's: documents say it beside their status.
            return Has(LOST, negated=condition.operator == "!=")
        return condition

    return Grammar(
        entities=entities,
        bare=own,
        aliases={"run name": "run_name", "created": "start_time"},
        sets={"run_id", *(f"datasets.{field}" for field in _DATASET_FIELDS)},
        refine=refine,
    )


def _of_any_input(condition: Compare | OneOf | Has, inputs: int) -> Condition:
    field = condition.name.partition(".")[2]
    return Either(
        tuple(
            msgspec.structs.replace(condition, name=f"datasets.{place}.{field}")
            for place in range(inputs)
        )
    )
