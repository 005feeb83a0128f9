"""Traces in MLflow's tables, with their spans where the tables hold those, too."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any, Final, TypeVar

import msgspec

from trivet.adapters.mlflow.artifacts import LocalArtifacts
from trivet.adapters.mlflow.selecting import Database, Row, Tables, marks, text, whole
from trivet.adapters.mlflow.trace_items import (
    LOCATION,
    UNSAID,
    ErrorItem,
    IssueItem,
    failure_of,
    state_of,
    texts_of,
)
from trivet.core.errors import Unsupported
from trivet.core.moving import SPANS_FILE, HeldAssessment, HeldFile, HeldTrace

_PAGE: Final = 200
_SPANS_AT: Final = "mlflow.trace.spansLocation"
_ARCHIVED: Final = "ARCHIVE_REPO"
_KINDS: Final = ("feedback", "expectation", "issue")

T = TypeVar("T")


class TraceTables:
    """The traces of a database.

    Args:
        database: Where the tables are.
        artifacts: Where their files are.
    """

    def __init__(self, database: Database, artifacts: LocalArtifacts) -> None:
        self._tables = Tables(database, _WANTED)
        self._artifacts = artifacts

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        """Yield the traces of an experiment."""
        if not self._tables.columns["trace_info"]:
            return
        after = ""
        while True:
            rows = list(
                self._tables.select(
                    "trace_info",
                    "experiment_id = ? AND request_id > ? ORDER BY request_id LIMIT ?",
                    (int(experiment), after, _PAGE),
                )
            )
            if not rows:
                return
            after = rows[-1]["request_id"]
            yield from self._whole(rows, experiment)

    def files(self, held: HeldTrace) -> Iterable[HeldFile]:
        """List the files of a trace, its spans first."""
        spans = self._spans(held.id)
        if spans is not None:
            yield HeldFile(path=SPANS_FILE, size_bytes=len(spans), open=partial(BytesIO, spans))
        elif held.tags.get(_SPANS_AT) == _ARCHIVED:
            raise Unsupported("its spans are in MLflow's archive", code="archived")
        for file in self._artifacts.files(held.location) if held.location else ():
            if spans is None or file.path != SPANS_FILE:
                yield file

    # ------------------------------------------------------------------- inside

    def _whole(self, rows: list[Row], experiment: str) -> Iterator[HeldTrace]:
        ids = [row["request_id"] for row in rows]
        tags = self._tables.pairs("trace_tags", "request_id", ids)
        metadata = self._tables.pairs("trace_request_metadata", "request_id", ids)
        said, runs, spans = self._said(ids), self._runs(ids), self._imprints(ids)
        for row in rows:
            id = row["request_id"]
            known = tags.get(id, {}) | _named(row)
            location = known.pop(LOCATION, "")
            yield HeldTrace(
                id=text(id),
                experiment=experiment,
                began_ms=whole(row["timestamp_ms"]) or 0,
                duration_ms=whole(row["execution_time_ms"]),
                state=state_of(text(row["status"])),
                client_id=_optional(row.get("client_request_id")),
                request=_optional(row.get("request_preview")),
                response=_optional(row.get("response_preview")),
                location=location,
                metadata=metadata.get(id, {}) | _counted(row),
                tags=known,
                runs=tuple(runs.get(id, ())),
                assessments=tuple(said.get(id, ())),
                imprint=f"{spans.get(id, '')};{self._artifacts.imprint(location)}",
            )

    def _said(self, traces: Sequence[str]) -> dict[str, list[HeldAssessment]]:
        found: dict[str, list[HeldAssessment]] = defaultdict(list)
        if self._tables.columns["assessments"]:
            where = f"trace_id IN ({marks(traces)}) ORDER BY trace_id, assessment_id"
            for row in self._tables.select("assessments", where, traces):
                if row["assessment_type"] in _KINDS:
                    found[row["trace_id"]].append(_assessment(row))
        return found

    def _runs(self, traces: Sequence[str]) -> dict[str, list[str]]:
        """Return the runs that traces were linked to, in the order in which they were."""
        found: dict[str, list[str]] = defaultdict(list)
        if self._tables.columns["entity_associations"]:
            where = (
                "source_type = 'trace' AND destination_type = 'run' AND "
                f"source_id IN ({marks(traces)}) ORDER BY created_time, destination_id"
            )
            for row in self._tables.select("entity_associations", where, traces):
                found[row["source_id"]].append(text(row["destination_id"]))
        return found

    def _imprints(self, traces: Sequence[str]) -> dict[str, str]:
        if not self._tables.columns["spans"]:
            return {}
        statement = (
            "SELECT trace_id, count(*) AS number, max(end_time_unix_nano) AS newest FROM spans "
            f"WHERE trace_id IN ({marks(traces)}) GROUP BY trace_id"
        )
        rows = self._tables.rows(statement, traces)
        return {row["trace_id"]: f"{row['number']}/{row['newest']}" for row in rows}

    def _spans(self, trace: str) -> bytes | None:
        """Return the spans that the tables hold, as the file that clients leave with a trace."""
        if not self._tables.columns["spans"]:
            return None
        where = "trace_id = ? ORDER BY start_time_unix_nano, span_id"
        rows = self._tables.select("spans", where, (trace,))
        found = [text(row["content"]).encode() for row in rows if row["content"]]
        return b'{"spans": [' + b", ".join(found) + b"]}" if found else None


def _assessment(row: Row) -> HeldAssessment:
    kind = row["assessment_type"]
    if kind == "issue":
        issue = _decoded(row["value"], IssueItem)
        value: object = "" if issue is None else issue.issue_name
    else:
        value = _value(row["value"])
    return HeldAssessment(
        id=text(row["assessment_id"]),
        name=text(row["name"]),
        kind=kind,
        value=value,
        failure=failure_of(_decoded(row.get("error"), ErrorItem)),
        source=text(row.get("source_type")) or UNSAID,
        source_id=text(row.get("source_id")),
        span=text(row.get("span_id")),
        rationale=text(row.get("rationale")),
        metadata=texts_of(_decoded(row.get("assessment_metadata"), dict[str, Any])),
        overrides=text(row.get("overrides")),
        is_valid=row.get("valid") in {None, 1},
        made_ms=whole(row["created_timestamp"]) or 0,
        changed_ms=whole(row["last_updated_timestamp"]) or 0,
    )


def _optional(value: Any) -> str | None:
    return None if value is None else text(value)


def _value(value: Any) -> object:
    """Read what was said; what is no JSON, as the `NaN` that MLflow writes, stays as its text."""
    found = _decoded(value, object)
    said = text(value)
    return said if found is None and said not in {"", "null"} else found


def _named(row: Row) -> dict[str, str]:
    """Return the tag that newer versions keep as a column."""
    name = row.get("trace_name")
    return {} if name is None else {"mlflow.traceName": text(name)}


def _counted(row: Row) -> dict[str, str]:
    """Return the metadata that newer versions keep as columns."""
    session = row.get("session_id")
    found = {} if session is None else {"mlflow.trace.session": text(session)}
    for key, columns in _COUNTS.items():
        told = {name: row[name] for name in columns if row.get(name) is not None}
        if told:
            found[key] = json.dumps(told)
    return found


def _decoded(value: Any, kind: type[T]) -> T | None:
    """Read a column that holds JSON; None for one that holds something else."""
    if value is None:
        return None
    try:
        return msgspec.json.decode(text(value), type=kind, strict=False)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


_TOKENS: Final = (
    *("input_tokens", "output_tokens", "total_tokens"),
    *("cache_read_input_tokens", "cache_creation_input_tokens"),
    "cache_creation_input_tokens_above_1hr",
)
_COSTS: Final = ("input_cost", "output_cost", "total_cost")
_COUNTS: Final = {"mlflow.trace.tokenUsage": _TOKENS, "mlflow.trace.cost": _COSTS}
_WANTED: Final[Mapping[str, tuple[str, ...]]] = {
    "trace_info": (
        *("request_id", "experiment_id", "timestamp_ms", "execution_time_ms", "status"),
        *("client_request_id", "request_preview", "response_preview"),
        *("trace_name", "session_id", *_TOKENS, *_COSTS),
    ),
    "trace_tags": (),
    "trace_request_metadata": (),
    "assessments": (
        *("assessment_id", "trace_id", "name", "assessment_type", "value", "error"),
        *("created_timestamp", "last_updated_timestamp", "source_type", "source_id"),
        *("span_id", "rationale", "overrides", "valid", "assessment_metadata"),
    ),
    "entity_associations": (
        *("source_type", "source_id", "destination_type", "destination_id", "created_time"),
    ),
    "spans": ("trace_id", "content"),
}
