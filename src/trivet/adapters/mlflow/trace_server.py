"""Traces of a running server of MLflow, 2.14 to 3."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from msgspec import structs

from trivet.adapters.mlflow.calling import Caller, pages, side_by_side
from trivet.adapters.mlflow.trace_items import held_trace, read_trace
from trivet.core.errors import Forbidden, Invalid, NotFound, Unsupported
from trivet.core.moving import SPANS_FILE, HeldFile, HeldTrace

_THIRD: Final = "/api/3.0/mlflow/traces/search"
_SECOND: Final = "/api/2.0/mlflow/traces"
_SPANS: Final = "/ajax-api/2.0/mlflow/get-trace-artifact"
_PLACE: Final = "MLFLOW_EXPERIMENT"
_RUN: Final = "mlflow.sourceRun"
_PAGE: Final = 200
_OVER: Final = ("OK", "ERROR")


class TraceServer:
    """The traces of a server.

    Args:
        caller: Calls it.
        below: Lists the files below an address.
        names: Lists the identifiers of all experiments and of all runs.
    """

    def __init__(
        self,
        caller: Caller,
        below: Callable[[str], Iterable[HeldFile]],
        names: Callable[[], tuple[list[str], list[str]]],
    ) -> None:
        self._caller = caller
        self._below = below
        self._names = names
        self._links: dict[str, list[str]] | None = None

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        """Yield the traces of an experiment."""
        for message in self._messages(experiment):
            held = self._linked(held_trace(read_trace(message, self._caller.name), experiment))
            # One that is under way is looked at each time.
            is_over = held.state in _OVER
            yield held if is_over else structs.replace(held, imprint=os.urandom(8).hex())

    def files(self, held: HeldTrace) -> Iterator[HeldFile]:
        """List the files of a trace, its spans first, wherever the server keeps those."""
        spans = partial(self._caller.open, _SPANS, {"request_id": held.id})
        yield HeldFile(path=SPANS_FILE, size_bytes=None, open=spans, is_near=False)
        try:
            for file in self._below(held.location) if held.location else ():
                if file.path != SPANS_FILE:
                    yield file
        except (Unsupported, Forbidden):
            return  # the server hands out the spans alone

    def _linked(self, held: HeldTrace) -> HeldTrace:
        if self._links is None:
            self._links = self._all_links()
        own = held.metadata.get(_RUN)
        runs = [run for run in self._links.get(held.id, ()) if run != own]
        return structs.replace(held, runs=tuple(runs)) if runs else held

    def _all_links(self) -> dict[str, list[str]]:
        """Return which runs each trace belongs to: a trace does not say so, a search does."""
        homes, runs = self._names()
        found: dict[str, list[str]] = {}
        asked = (partial(self._belonging, run, homes) for run in runs)
        for run, traces in zip(runs, side_by_side(asked), strict=True):
            for trace in traces:
                found.setdefault(trace, []).append(run)
        return found

    def _belonging(self, run: str, homes: list[str]) -> list[str]:
        text = f"attributes.run_id = '{run}'"
        try:
            found = list(self._third(homes, text))
        except (NotFound, Invalid):
            return []  # before 3 no trace was linked
        return [read_trace(message, self._caller.name).trace_id for message in found]

    def _messages(self, experiment: str) -> Iterator[object]:
        second = pages(
            partial(self._caller.get, _SECOND),
            {"experiment_ids": [experiment], "max_results": _PAGE},
            "traces",
        )
        for found in (self._third([experiment]), second):
            try:
                yield from found
            except (NotFound, Invalid):
                continue  # a version of the server without this call
            return

    def _third(self, homes: list[str], text: str = "") -> Iterator[object]:
        """Yield the messages of a search as servers from version 3 know it."""
        places = [{"type": _PLACE, "mlflow_experiment": {"experiment_id": id}} for id in homes]
        query = {"locations": places, "max_results": _PAGE, **({"filter": text} if text else {})}
        return pages(partial(self._caller.post, _THIRD), query, "traces")
