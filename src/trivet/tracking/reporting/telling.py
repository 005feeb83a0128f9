"""What web hooks are told of experiments and reported runs."""

from typing import Final

from trivet.core.catalog import Amendment, Document, Value
from trivet.core.facts import Scope, TaskNew
from trivet.core.ports import Stores
from trivet.tracking.reporting.facts import LOST, STATUS_WORDS, UNDER_WAY, Stage
from trivet.tracking.webhooks.announcing import announce

MOVES: Final[dict[Stage, str]] = {"deleted": "deleted", "active": "restored"}
"""What happened to what is in a stage now."""


def news_of_experiment(
    stores: Stores, scope: Scope, action: str, number: int, name: str
) -> tuple[TaskNew, ...]:
    """Return the tasks that tell of an experiment, for the commit in which it happens."""
    detail = {"experiment_id": str(number), "name": name}
    return announce(stores, scope.project, f"experiment.{action}", detail)


def news_of_run(
    stores: Stores,
    scope: Scope,
    action: str,
    amendment: Amendment,
    standing: Document | None = None,
) -> tuple[TaskNew, ...]:
    """Return the tasks that tell of a run, for the commit in which it happens.

    Args:
        stores: Where web hooks are registered.
        scope: Whose project.
        action: What happened: `created`, `finished`, `deleted` or `restored`.
        amendment: What changes of the run's document.
        standing: The document before; None for a new one.
    """
    found: dict[str, Value] = {**(standing.attributes if standing else {}), **amendment.set}
    group = amendment.group or (standing.group if standing else "")
    detail = {
        "run_id": amendment.id,
        "run_name": found["run_name"],
        "experiment_id": group.rpartition("/")[2],
        "status": found["status"],
    }
    return announce(stores, scope.project, f"run.{action}", detail)


def has_ended(amendment: Amendment, standing: Document) -> bool:
    """Whether a run ends by a change of its document."""
    now = amendment.set.get("status")
    was_over = _is_over(standing.attributes["status"]) and LOST not in standing.attributes
    return now is not None and _is_over(now) and not was_over


def _is_over(status: Value) -> bool:
    return STATUS_WORDS[str(status)] not in UNDER_WAY
