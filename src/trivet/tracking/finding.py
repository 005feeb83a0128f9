"""Runs as one search finds them: those of flows, and those that reported themselves."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from trivet.core.catalog import (
    Condition,
    Document,
    Every,
    Order,
    Position,
    Search,
)
from trivet.core.filtering import Grammar, parse_filter, parse_order
from trivet.core.ports import Stores
from trivet.tracking.documents import WORDS, flows_of
from trivet.tracking.facts import RunStatus
from trivet.tracking.reporting.experiments import RUNS, Experiments, is_in_stage, tagged
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.searching import run_grammar

_STATUSES: Final[dict[str, RunStatus]] = {word: status for status, word in WORDS.items()}
_PAGE: Final = 1000


class FoundRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as a search finds it."""

    id: str
    name: str
    experiment: str
    """The experiment's name; empty for the run of a flow."""
    status: str
    user: str
    began_ms: int
    ended_ms: int | None
    parameters: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


class FoundRuns(msgspec.Struct, frozen=True, kw_only=True):
    """A page of runs; `after` continues the search, None when it is over."""

    runs: tuple[FoundRun, ...]
    after: Position | None

    def columns(self, names: Sequence[str] | None = None) -> dict[str, list[Any]]:
        """Return the runs as columns, for a data frame of any library.

        Args:
            names: Such as `metrics.loss`, `params.lr`, `tags.team` or `status`; None: everything
                that one of the runs has.

        Example:
            >>> FoundRuns(runs=(), after=None).columns(["id", "metrics.loss"])
            {'id': [], 'metrics.loss': []}
        """
        rows = [row_of(run) for run in self.runs]
        wanted = (
            list(dict.fromkeys(name for row in rows for name in row)) if names is None else names
        )
        return {name: [row.get(name) for row in rows] for name in wanted}


def row_of(run: FoundRun) -> dict[str, Any]:
    """Return what is known of a run by the names that filters use."""
    return {
        "id": run.id,
        "name": run.name,
        "experiment": run.experiment,
        "status": run.status,
        "user": run.user,
        "began_ms": run.began_ms,
        "ended_ms": run.ended_ms,
        **{f"params.{name}": value for name, value in run.parameters.items()},
        **{f"metrics.{name}": value for name, value in run.metrics.items()},
        **{f"tags.{name}": value for name, value in run.tags.items()},
    }


class Finder:
    """Searches all runs of one project.

    Args:
        stores: Where they are.
        project: The project.
        experiments: The project's experiments.
        metrics: The points that runs report.
    """

    def __init__(
        self, stores: Stores, project: str, experiments: Experiments, metrics: Metrics
    ) -> None:
        self._catalog = stores.catalog
        self._project = project
        self._experiments = experiments
        self._metrics = metrics

    def find(
        self,
        text: str,
        *,
        experiment: str | None = None,
        flow: str | None = None,
        order: Iterable[str] = (),
        after: Position | None = None,
        limit: int = 100,
    ) -> FoundRuns:
        """Return a page of runs, the newest first unless an order is given.

        Args:
            text: A filter, such as `metrics.loss < 0.2 AND params.model = 'tree'`.
            experiment: Only runs of the experiment of this name.
            flow: Only runs of this flow.
            order: Names to order by, each with ASC or DESC behind it when it matters.
            after: Where an earlier page of the same search ended.
            limit: 1 to 50,000.

        Raises:
            Invalid: The filter or an order does not follow the grammar.
            NotFound: There is no such experiment.
        """
        self._metrics.catch_up()
        grammar = run_grammar(self._most_inputs)
        names = self._names()
        parts: list[Condition] = [is_in_stage("active"), parse_filter(text, grammar)]
        groups = (flows_of(self._project), *names)
        if flow is not None:
            groups = (flows_of(self._project),)
            parts.append(parse_filter(f"run_name = '{flow}'", grammar))
        elif experiment is not None:
            number = self._experiments.by_name(experiment).number
            groups = (self._experiments.group_of(number),)
        found = self._catalog.search(
            Search(
                collection=RUNS,
                groups=groups,
                where=Every(tuple(parts)),
                order=_orders(order, grammar),
                after=after,
                limit=limit,
            )
        )
        runs = tuple(_found(document, names) for document in found.documents)
        return FoundRuns(runs=runs, after=found.after)

    def _names(self) -> dict[str, str]:
        """Return the names of the project's experiments by the group of their runs."""
        names: dict[str, str] = {}
        after: Position | None = None
        while True:
            page, after = self._experiments.search(after=after, limit=_PAGE)
            names |= {self._experiments.group_of(each.number): each.name for each in page}
            if after is None:
                return names

    def _most_inputs(self) -> int:
        names = self._catalog.names(RUNS, "datasets.")
        return max((int(name.split(".")[1]) + 1 for name in names), default=0)


def _orders(texts: Iterable[str], grammar: Grammar) -> tuple[Order, ...]:
    orders = tuple(parse_order(text, grammar) for text in texts)
    if any(order.name == "start_time" for order in orders):
        return orders
    return (*orders, Order("start_time", falls=True))


def _found(document: Document, names: dict[str, str]) -> FoundRun:
    found = document.attributes
    ended = found.get("end_time")
    return FoundRun(
        id=document.id,
        name=str(found["run_name"]),
        experiment=names.get(document.group, ""),
        status=_STATUSES.get(str(found["status"]), "scheduled"),
        user=str(found["user_id"]),
        began_ms=int(found["start_time"]),
        ended_ms=None if ended is None else int(ended),
        parameters=tagged(document, "params."),
        metrics={
            name.removeprefix("metrics."): float(value)
            for name, value in found.items()
            if name.startswith("metrics.")
        },
        tags=tagged(document, "tags."),
    )
