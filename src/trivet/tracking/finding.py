"""Runs as one search finds them: those of flows, and those that reported themselves."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Final

import msgspec

from trivet.core.catalog import (
    Compare,
    Condition,
    Document,
    Every,
    OneOf,
    Order,
    Position,
    Search,
)
from trivet.core.errors import Invalid
from trivet.core.facts import Scope
from trivet.core.filtering import Grammar, parse_filter, parse_order, resolve
from trivet.core.ports import Stores
from trivet.tracking.documents import flows_of
from trivet.tracking.found import FoundRun, FoundRuns
from trivet.tracking.reporting.experiments import RUNS, Experiments, is_in_stage
from trivet.tracking.reporting.facts import LOST
from trivet.tracking.reporting.liveness import Liveness
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.shown import ms_of, parted
from trivet.tracking.words import ATTRIBUTES, STATUSES, as_orders, finder_grammar

MOST_RUNS: Final = 1_000_000
_AT_ONCE: Final = 10_000
_PAGE: Final = 1000
_COMPUTED: Final = frozenset({"seconds"})


class Finder:
    """Searches all runs of one project.

    Args:
        stores: Where they are.
        scope: The project, and in whose name runs are called lost.
        experiments: The project's experiments.
        metrics: The points that runs report.
    """

    def __init__(
        self, stores: Stores, scope: Scope, experiments: Experiments, metrics: Metrics
    ) -> None:
        self._catalog = stores.catalog
        self._project = scope.project
        self._liveness = Liveness(stores, scope)
        self._experiments = experiments
        self._metrics = metrics

    def find(
        self,
        text: str = "",
        *,
        also: Iterable[str] = (),
        order: Iterable[str] = (),
        columns: Sequence[str] | None = None,
        experiment: str | None = None,
        after: Position | None = None,
        limit: int = 1000,
    ) -> FoundRuns:
        """Return a page of runs, the newest first unless an order is given.

        Args:
            text: A filter, such as `metrics.loss < 0.2 AND params.model = 'tree'`.
            also: More filters, all of which must hold.
            order: Names to order by, each with ASC or DESC behind it when it matters.
            columns: What a data frame of the runs shall have; None: whatever one of them has.
            experiment: Only runs of the experiment of this name.
            after: Where an earlier page of the same search ended.
            limit: 1 to 1,000,000.

        Raises:
            Invalid: The filter, an order or a column does not follow the grammar, or names what no
                run has (code `unknown-column`).
            NotFound: There is no such experiment.
        """
        check_limit(limit)
        self._catch_up()
        grammar = finder_grammar(self)
        wanted = self._columns(columns, grammar)
        groups = self._groups()
        if experiment is not None:
            groups = (self._experiments.group_of(self._experiments.by_name(experiment).number),)
        where = [parse_filter(one, grammar) for one in (text, *also)]
        search = Search(
            collection=RUNS,
            groups=groups,
            where=Every((is_in_stage("active"), *where)),
            order=_orders(order, grammar),
            after=after,
            with_notes=False,
        )
        documents, after = self._pages(search, limit)
        names = self._experiments.names_of(document.group for document in documents)
        runs = tuple(map(partial(found_run, names=names), documents))
        return FoundRuns(runs=runs, after=after, wanted=wanted)

    def get(self, ids: Sequence[str]) -> list[FoundRun]:
        """Return those runs of this project that have one of these identifiers, in their order."""
        self._catch_up()
        documents = [
            document
            for document in self._catalog.get(RUNS, ids)
            if document.group.rpartition("/")[0] == self._project
        ]
        names = self._experiments.names_of(document.group for document in documents)
        return [found_run(document, names) for document in documents]

    # ------------------------------------------------ what the grammar asks for

    def most_inputs(self) -> int:
        """Return how many data sets a run has at most."""
        names = self._catalog.names(RUNS, "datasets.")
        return max((int(name.split(".")[1]) + 1 for name in names), default=0)

    def known(self, prefix: str) -> Collection[str]:
        """Return the attributes of runs that begin so."""
        # Of this project alone: what runs of others are measured by is nobody's business here.
        return self._catalog.names(RUNS, prefix, groups=self._groups())

    def numbers_of(self, condition: Compare | OneOf) -> Collection[str]:
        """Return the numbers, as text, of the experiments whose names meet a condition.

        Raises:
            NotFound: The condition names an experiment that there is not.
        """
        if isinstance(condition, Compare) and condition.operator == "=":
            return [str(self._experiments.by_name(str(condition.value)).number)]
        where: Condition = msgspec.structs.replace(condition, name="name")
        numbers: list[str] = []
        after: Position | None = None
        while True:
            page, after = self._experiments.search(where, after=after, limit=_PAGE)
            numbers += [str(experiment.number) for experiment in page]
            if after is None:
                return numbers

    # ------------------------------------------------------------------ inside

    def _groups(self) -> tuple[str, ...]:
        return flows_of(self._project), *self._experiments.groups()

    def _pages(self, search: Search, limit: int) -> tuple[list[Document], Position | None]:
        """Read pages until there are as many documents as wanted."""
        documents: list[Document] = []
        while True:
            missing = min(limit - len(documents), _AT_ONCE)
            found = self._catalog.search(msgspec.structs.replace(search, limit=missing))
            documents += found.documents
            if found.after is None or len(documents) >= limit:
                return documents, found.after
            search = msgspec.structs.replace(search, after=found.after)

    def _catch_up(self) -> None:
        """Let documents know the latest points, and which runs are lost."""
        self._metrics.catch_up()
        self._liveness.settle()

    @staticmethod
    def _columns(columns: Sequence[str] | None, grammar: Grammar) -> dict[str, str] | None:
        """Return what rows call the columns that were asked for."""
        if columns is None:
            return None
        return {
            name: name if name in _COMPUTED else resolve(name, grammar).attribute
            for name in columns
        }


def check_limit(limit: int) -> None:
    """Check how many runs are asked for.

    Raises:
        Invalid: It is none of 1 to 1,000,000 (code `bad-limit`).
    """
    if not 1 <= limit <= MOST_RUNS:
        raise Invalid(f"limit is {limit}; expected 1 to {MOST_RUNS}", code="bad-limit")


def _orders(texts: Iterable[str], grammar: Grammar) -> tuple[Order, ...]:
    orders = tuple(one for text in texts for one in as_orders(parse_order(text, grammar)))
    if any(order.name == ATTRIBUTES["began"] for order in orders):
        return orders
    return (*orders, Order(ATTRIBUTES["began"], falls=True))


def found_run(document: Document, names: dict[str, str]) -> FoundRun:
    """Read a run's document; `names` has the names of experiments by group."""
    found = document.attributes
    ended = found.get("end_time")
    parts = parted(found)
    return FoundRun(
        id=document.id,
        name=str(found["run_name"]),
        experiment=names.get(document.group, ""),
        status="lost" if LOST in found else STATUSES.get(str(found["status"]), "scheduled"),
        user=str(found["user_id"]),
        began_ms=ms_of(found["start_time"]),
        ended_ms=None if ended is None else ms_of(ended),
        parameters=parts["params"],
        metrics=parts["metrics"],
        tags=parts["tags"],
    )
