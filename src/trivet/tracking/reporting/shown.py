"""Runs as people see them, made of their documents."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trivet.core.catalog import Document, Value
from trivet.tracking.reporting.facts import (
    LOST,
    STATUS_WORDS,
    Input,
    Latest,
    ModelLink,
    ReportedRun,
)

_LAST_MS: Final = (1 << 63) - 1


def inputs_of(document: Document) -> tuple[Input, ...]:
    """Return the data sets that a run was given."""
    return msgspec.convert(document.notes.get("inputs", []), tuple[Input, ...])


def _links(document: Document, name: str) -> tuple[ModelLink, ...]:
    return msgspec.convert(document.notes.get(name, []), tuple[ModelLink, ...])


def run_of(document: Document, latest: Mapping[str, Latest]) -> ReportedRun:
    """Return the run of a document.

    Args:
        document: What searches know of it.
        latest: Points of its metrics that are newer than what the document knows.
    """
    found = document.attributes
    parts = parted(found)
    ended = found.get("end_time")
    return ReportedRun(
        id=document.id,
        experiment=int(document.group.rpartition("/")[2]),
        name=str(found["run_name"]),
        user=str(found["user_id"]),
        status="lost" if LOST in found else STATUS_WORDS[str(found["status"])],
        stage="deleted" if found["stage"] == "deleted" else "active",
        began_ms=ms_of(found["start_time"]),
        ended_ms=None if ended is None else ms_of(ended),
        location=str(found["artifact_uri"]),
        parameters=parts["params"],
        metrics=_metrics(parts["metrics"], document.notes) | dict(latest),
        tags=parts["tags"],
        inputs=inputs_of(document),
        models_in=_links(document, "models_in"),
        models_out=_links(document, "models_out"),
    )


def ms_of(value: Value) -> int:
    """Return a time of a document in milliseconds, within 64 bits.

    Documents keep floats: the last times of 64 bits would be rounded up to one beyond them, and a
    client that reads 64 bits could read no page that has it.
    """
    return min(int(value), _LAST_MS)


def parted(attributes: Mapping[str, Value]) -> dict[str, dict[str, Any]]:
    """Part attributes by what stands before the first point of their names, in one go."""
    parts: dict[str, dict[str, Any]] = {"params": {}, "metrics": {}, "tags": {}}
    for name, value in attributes.items():
        what, _, rest = name.partition(".")
        if rest and what in parts:
            parts[what][rest] = value
    return parts


def _metrics(values: Mapping[str, float], notes: Mapping[str, Any]) -> dict[str, Latest]:
    metrics: dict[str, Latest] = {}
    for name, value in values.items():
        step, time_ms = notes[f"latest.{name}"]
        metrics[name] = Latest(value=value, step=step, time_ms=time_ms)
    return metrics
