"""Runs of flows as documents, so that one search finds them beside those that report themselves."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from trivet.core.catalog import Amendment, Value
from trivet.core.facts import Entry, read
from trivet.core.ids import time_of
from trivet.core.projecting import Known, Projectors, said_ms
from trivet.tracking.facts import RunFinished, RunStarted, RunStatus
from trivet.tracking.reporting.documents import RUNS, as_numbers
from trivet.tracking.reporting.facts import STATUS_WORDS
from trivet.tracking.reporting.points import FIGURES

WORDS: Final[dict[RunStatus, str]] = {
    **{status: word for word, status in STATUS_WORDS.items() if status != "scheduled"},
    "lost": "LOST",
}
"""How documents say how a run stands."""
_MOST_NAME: Final = 250
_MOST_TEXT: Final = 10_000


def flows_of(project: str) -> str:
    """Return the group of documents in which the runs of a project's flows are."""
    return f"{project}/flows"


def begun(run: str, started: RunStarted, *, project: str, actor: str) -> Amendment:
    """Make the document of a run that begins."""
    return Amendment(
        collection=RUNS,
        id=run,
        group=flows_of(project),
        set={
            "run_id": run,
            "run_name": started.name,
            "status": WORDS["running"],
            "stage": "active",
            "user_id": actor,
            "artifact_uri": "",
            "start_time": time_of(run),
            **_texts(started.parameters),
        },
    )


def ended(begin: Amendment, finished: RunFinished, *, ended_ms: int) -> Amendment:
    """Amend the document of a run that has ended.

    Args:
        begin: What `begun` made of its beginning, which is written again: the document may be
            missing, and shall be whole.
        finished: How it ended.
        ended_ms: When, in milliseconds since 1970 (UTC).
    """
    metrics = {name: value for name, value in finished.metrics.items() if len(name) <= _MOST_NAME}
    found: dict[str, Value] = {f"metrics.{name}": value for name, value in metrics.items()}
    end: dict[str, Value] = {"status": WORDS[finished.status], "end_time": ended_ms}
    return msgspec.structs.replace(
        begin,
        set={**begin.set, **end, **found},
        note={
            FIGURES: sorted(metrics) or None,
            **{f"latest.{name}": [0, ended_ms] for name in metrics},
        },
    )


def _texts(parameters: Mapping[str, Any]) -> dict[str, Value]:
    # The fact has them whole; a search needs no more than what people type.
    texts = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in parameters.items()
        if len(name) <= _MOST_NAME
    }
    written: dict[str, Value] = {
        f"params.{name}": text[:_MOST_TEXT] for name, text in texts.items()
    }
    return written | as_numbers(texts)


def _from_start(entry: Entry, known: Known) -> Iterable[Amendment]:
    del known
    started = read(entry, RunStarted)
    yield begun(entry.id, started, project=entry.project, actor=entry.actor)


def _from_end(entry: Entry, known: Known) -> Iterable[Amendment]:
    finished = read(entry, RunFinished)
    started = known.fact(finished.run, RunStarted)
    document = known.document(RUNS, finished.run)
    if started is not None and document is not None:
        begin = begun(
            finished.run,
            started,
            project=entry.project,
            actor=str(document.attributes["user_id"]),
        )
        yield ended(begin, finished, ended_ms=said_ms(finished.at_ms, entry))


PROJECTORS: Final[Projectors] = {RunStarted.KIND: _from_start, RunFinished.KIND: _from_end}
