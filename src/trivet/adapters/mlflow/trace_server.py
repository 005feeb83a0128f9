"""Traces of a running server of MLflow, 2.14 to 3."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from msgspec import structs

from trivet.adapters.mlflow.calling import Caller, pages
from trivet.adapters.mlflow.trace_items import held_trace, read_trace
from trivet.core.errors import Forbidden, Invalid, NotFound, Unsupported
from trivet.core.moving import SPANS_FILE, HeldFile, HeldTrace

_THIRD: Final = "/api/3.0/mlflow/traces/search"
_SECOND: Final = "/api/2.0/mlflow/traces"
_SPANS: Final = "/ajax-api/2.0/mlflow/get-trace-artifact"
_PAGE: Final = 200
_OVER: Final = ("OK", "ERROR")


class TraceServer:
    """The traces of a server.

    Args:
        caller: Calls it.
        below: Lists the files below an address.
    """

    def __init__(self, caller: Caller, below: Callable[[str], Iterable[HeldFile]]) -> None:
        self._caller = caller
        self._below = below

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        """Yield the traces of an experiment."""
        for message in self._messages(experiment):
            held = held_trace(read_trace(message, self._caller.name), experiment)
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

    def _messages(self, experiment: str) -> Iterator[object]:
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
        third = pages(
            partial(self._caller.post, _THIRD),
            {"locations": [place], "max_results": _PAGE},
            "traces",
        )
        second = pages(
            partial(self._caller.get, _SECOND),
            {"experiment_ids": [experiment], "max_results": _PAGE},
            "traces",
        )
        for found in (third, second):
            try:
                yield from found
            except (NotFound, Invalid):
                continue  # a version of the server without this call
            return
