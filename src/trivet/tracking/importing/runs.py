"""Landing runs: a new one with all that was reported of it, a known one with what is new."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from trivet.core.catalog import Amendment, Document, Value, is_same_value
from trivet.core.facts import Draft, Scope, draft
from trivet.core.moving import HeldInput, HeldRun
from trivet.core.ports import Stores
from trivet.tracking.importing.cleaning import (
    Remarks,
    clean_text,
    clean_texts,
    digest_of,
    model_id,
    place_for,
    run_id,
)
from trivet.tracking.reporting.documents import IMPRINT, RUNS, group_of, opened_run, reported_run
from trivet.tracking.reporting.experiments import tagged
from trivet.tracking.reporting.facts import (
    STATUS_WORDS,
    Experiment,
    Imported,
    Input,
    Latest,
    ModelLink,
    Report,
    RunOpened,
    RunReported,
    Stage,
)
from trivet.tracking.reporting.naming import made_up_name

_MOST_CHARACTERS: Final = 100_000
"""How many characters of parameters and tags one fact carries, about: it may have 1 MiB."""
_MOST_DESCRIBED_BYTES: Final = 300_000
"""How long a schema or a profile of a data set may be, as JSON: both stand in one fact."""
_NAME: Final = "mlflow.runName"


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit writes so that a run is here as it is there."""

    run: str
    facts: list[Draft]
    documents: list[Amendment]
    is_changed: bool
    """Whether it says anything that was not known of the run."""


class RunLanding:
    """Brings runs of one store into a project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        source: Which store they come from.
        remarks: Told of what is otherwise here.
    """

    def __init__(self, stores: Stores, scope: Scope, source: str, remarks: Remarks) -> None:
        self._stores = stores
        self._scope = scope
        self._source = source
        self._remarks = remarks

    def identities(self, runs: Sequence[HeldRun]) -> dict[str, str]:
        """Return under which identifier each run is kept: its own, unless another project has it.

        A number that is no identifier of ours is made one; the same each time.
        """
        found = {held.id: run_id(held.id) for held in runs}
        standing = self._stores.catalog.get(RUNS, list(found.values()))
        theirs = {document.id for document in standing if not self._is_ours(document)}
        return {
            id: run_id(f"{self._scope.project}/{id}") if own in theirs else own
            for id, own in found.items()
        }

    def known(self, runs: Sequence[str]) -> dict[str, Document]:
        """Return the documents of the runs that are here."""
        found = self._stores.catalog.get(RUNS, list(runs))
        return {document.id: document for document in found if self._is_ours(document)}

    def is_gone(self, held: HeldRun, run: str) -> bool:
        """Say whether a run that is not here was removed here for good, and remark it.

        It does not come back: what was recorded of it is forgotten.
        """
        if self._stores.ledger.get(run) is None:
            return False
        self._remarks.note(f"the run {held.id} was removed here for good, and stays so")
        return True

    def arrival(
        self,
        held: HeldRun,
        run: str,
        home: Experiment,
        standing: Document | None,
        latest: Mapping[str, Latest],
    ) -> Arrival:
        """Return what is to be written of a run.

        Args:
            held: As it is there.
            run: Its identifier here.
            home: The experiment that it belongs to here.
            standing: Its document, None for a run that is not here yet.
            latest: The latest points of its metrics, which were appended before.
        """
        report = self._report(held, run)
        if standing is None:
            return self._begin(held, run, home, report, latest)
        return self._go_on(held, run, report, standing, latest)

    # ------------------------------------------------------------------- inside

    def _begin(
        self,
        held: HeldRun,
        run: str,
        home: Experiment,
        report: Report,
        latest: Mapping[str, Latest],
    ) -> Arrival:
        opened = RunOpened(
            experiment=home.id,
            name=report.name or made_up_name(run),
            user=clean_text(held.user, "user of a run", self._remarks),
            began_ms=max(0, held.began_ms),
            location=place_for(held.location, home.location, home.number, f"{run}/artifacts"),
            imported=Imported(source=self._source, id=held.id),
        )
        group = group_of(self._scope.project, home.number)
        new = opened_run(group, run, opened)
        empty = Document(id=run, group=group, attributes={}, notes={})
        stage: Stage | None = "deleted" if held.stage == "deleted" else None
        said = self._said(held, run, msgspec.structs.replace(report, name=None), stage)
        rest = reported_run(empty, said)
        values, notes = _metrics(latest, {}, {})
        document = msgspec.structs.replace(
            new,
            set={**new.set, **rest.set, **rest.once, **values},
            note={**new.note, **rest.note, **notes},
        )
        facts = [draft(opened, id=run, parents=[home.id]), *map(_drafted, _parts(said))]
        return Arrival(run=run, facts=facts, documents=[document], is_changed=True)

    def _go_on(
        self,
        held: HeldRun,
        run: str,
        report: Report,
        standing: Document,
        latest: Mapping[str, Latest],
    ) -> Arrival:
        news = self._news(report, standing)
        stage: Stage | None = held.stage if held.stage != standing.attributes["stage"] else None
        said = self._said(held, run, news, stage)
        change = reported_run(standing, said)
        values, notes = _metrics(latest, standing.attributes, standing.notes)
        document = msgspec.structs.replace(
            change, set={**change.set, **values}, note={**change.note, **notes}
        )
        is_changed = bool(news or stage)
        is_known = standing.notes.get(IMPRINT) == digest_of(held)
        facts = list(map(_drafted, _parts(said))) if is_changed or not is_known else []
        return Arrival(run=run, facts=facts, documents=[document], is_changed=is_changed)

    def _report(self, held: HeldRun, run: str) -> Report:
        name = held.name or held.tags.get(_NAME, "")
        status = STATUS_WORDS.get(held.status)
        if status is None:
            self._remarks.note(f"the status {held.status[:50]!r} of a run is 'failed' here")
        return Report(
            parameters=clean_texts(held.parameters, "param", self._remarks),
            tags=clean_texts(held.tags, "tag", self._remarks),
            inputs=tuple(map(self._input, held.inputs)),
            models_in=tuple(ModelLink(model=model_id(model)) for model in held.models_in),
            models_out=tuple(
                ModelLink(model=model_id(model), step=step) for model, step in held.models_out
            ),
            name=clean_text(name, f"name of run {run}", self._remarks) or None,
            status=status or "failed",
            ended_ms=None if held.ended_ms is None else max(0, held.ended_ms),
        )

    def _input(self, held: HeldInput) -> Input:
        return Input(
            name=held.name,
            digest=held.digest,
            source_type=held.source_type,
            source=clean_text(held.source, f"source of data set {held.name}", self._remarks),
            schema=self._described(held.schema, f"schema of data set {held.name}"),
            profile=self._described(held.profile, f"profile of data set {held.name}"),
            tags=clean_texts(held.tags, "tag", self._remarks),
        )

    def _described(self, text: str | None, what: str) -> str | None:
        """Return JSON about a data set; what is very long is left out, for half of it is none."""
        if text is not None and len(msgspec.json.encode(text)) > _MOST_DESCRIBED_BYTES:
            self._remarks.note(f"the {what[:200]} has {len(text):,} characters and is left out")
            return None
        return text

    def _news(self, report: Report, standing: Document) -> Report:
        """Return what a report says that is not known of a run yet."""
        found = standing.attributes
        parameters, tags = tagged(standing, "params."), tagged(standing, "tags.")
        for key, value in report.parameters.items():
            if parameters.get(key, value) != value:
                self._remarks.note(f"the param {key!r} of run {standing.id} keeps its value here")
        ended = found.get("end_time")
        status = found["status"]
        return Report(
            parameters={k: v for k, v in report.parameters.items() if k not in parameters},
            tags={key: value for key, value in report.tags.items() if tags.get(key) != value},
            inputs=_unknown_inputs(report, standing),
            models_in=_unknown_links(report.models_in, standing.notes.get("models_in")),
            models_out=_unknown_links(report.models_out, standing.notes.get("models_out")),
            name=report.name if report.name != found["run_name"] else None,
            status=report.status if STATUS_WORDS[str(status)] != report.status else None,
            ended_ms=report.ended_ms if report.ended_ms != ended else None,
        )

    def _said(self, held: HeldRun, run: str, report: Report, stage: Stage | None) -> RunReported:
        return RunReported(
            run=run,
            stage=stage,
            imported=Imported(source=self._source, id=held.id, imprint=digest_of(held)),
            **{name: getattr(report, name) for name in report.__struct_fields__},
        )

    def _is_ours(self, document: Document) -> bool:
        return document.group.rpartition("/")[0] == self._scope.project


def _drafted(said: RunReported) -> Draft:
    return draft(said, parents=[said.run])


def _parts(said: RunReported) -> Iterator[RunReported]:
    """Yield the facts of a report in order; long parameters and tags are spread over several."""
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    length = 0
    pieces = [
        *((parameters, key, value) for key, value in said.parameters.items()),
        *((tags, key, value) for key, value in said.tags.items()),
    ]
    for gathered, key, value in pieces:
        if length and length + len(value) > _MOST_CHARACTERS:
            yield RunReported(run=said.run, parameters=dict(parameters), tags=dict(tags))
            parameters.clear()
            tags.clear()
            length = 0
        gathered[key] = value
        length += len(key) + len(value)
    last = said.inputs[-1:] if not any(map(_is_long, said.inputs[-1:])) else ()
    for item in said.inputs[: len(said.inputs) - len(last)]:
        yield RunReported(run=said.run, inputs=(item,))
    yield msgspec.structs.replace(said, parameters=dict(parameters), tags=dict(tags), inputs=last)


def _is_long(item: Input) -> bool:
    """Say whether a data set needs a fact of its own: it may be as long as all else together."""
    return len(item.schema or "") + len(item.profile or "") > _MOST_CHARACTERS


def _unknown_inputs(report: Report, standing: Document) -> tuple[Input, ...]:
    known = {(item["name"], item["digest"]) for item in standing.notes.get("inputs", [])}
    return tuple(item for item in report.inputs if (item.name, item.digest) not in known)


def _unknown_links(links: Sequence[ModelLink], known: Any) -> tuple[ModelLink, ...]:  # noqa: ANN401  # a note
    there = {(item["model"], item["step"]) for item in known or ()}
    return tuple(link for link in links if (link.model, link.step) not in there)


def _metrics(
    latest: Mapping[str, Latest], values: Mapping[str, Value], notes: Mapping[str, Any]
) -> tuple[dict[str, Value], dict[str, Any]]:
    """Return what searches know of metrics, as far as a document does not say it already."""
    now: dict[str, Value] = {}
    noted: dict[str, Any] = {}
    for name, item in latest.items():
        place = [item.step, item.time_ms]
        known = values.get(f"metrics.{name}")
        is_new = known is None or not is_same_value(known, item.value)
        if is_new or notes.get(f"latest.{name}") != place:
            now[f"metrics.{name}"] = item.value
            noted[f"latest.{name}"] = place
    return now, noted
