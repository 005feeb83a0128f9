"""Searching the runs that a server has: both sides of it."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Final

from msgspec import structs

from trivet.core.catalog import Position
from trivet.core.courier import LARGE_ANSWER, Courier
from trivet.core.errors import Unavailable
from trivet.tracking.finding import check_limit
from trivet.tracking.found import FoundRun, FoundRuns
from trivet.tracking.syncing.asking import ask, cut
from trivet.tracking.syncing.wire import MOST_RUNS, PageThere, Wish, Word

_PATH: Final = "/sync/search"


class FinderThere:
    """Searches the runs of a server's project, as `Finder` searches those of a folder.

    Args:
        reach: Makes a connection to the server.
    """

    def __init__(self, reach: Callable[[], Courier]) -> None:
        self._reach = reach

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
        """Return a page of runs, as `Finder.find` does.

        Raises:
            Invalid: The filter, an order or a column does not follow the grammar.
            NotFound: There is no such experiment or project.
            Unavailable: The server does not answer.
            Forbidden: The token is not taken, or may not read.
        """
        check_limit(limit)
        wish = Wish(
            filters=tuple(each for each in (text, *also) if each.strip()),
            order=tuple(order),
            columns=None if columns is None else tuple(columns),
            experiment=experiment,
            after="" if after is None else str(after[0]),
        )
        with closing(self._reach()) as courier:
            return _found(courier, wish, limit)

    def get(self, ids: Sequence[str]) -> list[FoundRun]:
        """Return those runs of the project that have one of these identifiers, in their order."""
        with closing(self._reach()) as courier:
            return [
                run
                for some in cut(ids, MOST_RUNS)
                for run in _read(_ask(courier, Wish(ids=tuple(some))))
            ]


def _found(courier: Courier, wish: Wish, limit: int) -> FoundRuns:
    """Ask for pages until there are as many runs as wanted; for shorter ones where runs are large.

    Raises:
        Unavailable: The server does not answer, or one run alone is too large.
    """
    runs: list[FoundRun] = []
    page, most = PageThere(runs=(), after=wish.after), MOST_RUNS
    while page.after is not None and len(runs) < limit:
        some = min(limit - len(runs), most)
        try:
            page = _ask(courier, structs.replace(wish, after=page.after, limit=some))
        except Unavailable as error:
            if error.code != LARGE_ANSWER or some == 1:
                raise
            most = some // 2
            continue
        runs += _read(page)
    following = None if page.after is None else (page.after,)
    return FoundRuns(runs=tuple(runs), after=following, wanted=page.wanted)


def page_of(found: FoundRuns, after: str | None) -> PageThere:
    """Return a page as it is sent.

    Args:
        found: The runs.
        after: What continues the search.
    """
    odd = {run.id: words for run in found if (words := _words(run.metrics))}
    runs = [_finite(run) if run.id in odd else run for run in found]
    return PageThere(runs=tuple(runs), odd=odd, after=after, wanted=found.wanted)


def _words(metrics: Mapping[str, float]) -> dict[str, Word]:
    return {name: _word(value) for name, value in metrics.items() if not math.isfinite(value)}


def _word(value: float) -> Word:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _finite(run: FoundRun) -> FoundRun:
    metrics = {name: value for name, value in run.metrics.items() if math.isfinite(value)}
    return structs.replace(run, metrics=metrics)


def _ask(courier: Courier, wish: Wish) -> PageThere:
    return ask(courier, "POST", _PATH, PageThere, wish)


def _read(page: PageThere) -> Iterator[FoundRun]:
    for run in page.runs:
        odd = {name: float(word) for name, word in page.odd.get(run.id, {}).items()}
        yield structs.replace(run, metrics=run.metrics | odd) if odd else run
