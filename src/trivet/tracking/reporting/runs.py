"""Runs that report about themselves: opened, written to as they go, searched while they run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from trivet.core.catalog import (
    Amendment,
    Condition,
    Document,
    Every,
    Has,
    Order,
    Position,
    Search,
    Value,
)
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Scope, TaskNew, draft, read
from trivet.core.ids import new_id
from trivet.core.ports import Stores
from trivet.core.training import Machine
from trivet.tracking.facts import CodeState, Environment
from trivet.tracking.reporting.experiments import (
    RUNS,
    Experiments,
    check_key,
    check_tags,
    is_in_stage,
    tagged,
)
from trivet.tracking.reporting.facts import (
    STATUS_WORDS,
    Experiment,
    Input,
    Latest,
    ModelLink,
    Report,
    ReportedRun,
    RunObserved,
    RunOpened,
    RunReported,
    Stage,
)
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.telling import MOVES, has_ended, news_of_run

PARENT: Final = "mlflow.parentRunId"
"""The tag that names the run within which a run takes place, as MLflow's clients know it."""
_MOST_TEXT: Final = 100_000
_WORDS: Final = {status: word for word, status in STATUS_WORDS.items()}
_NAMES: Final = (
    "calm",
    "clear",
    "deep",
    "early",
    "fair",
    "keen",
    "kind",
    "quick",
    "steady",
    "warm",
)
_THINGS: Final = ("ash", "brook", "crane", "dune", "fern", "heron", "lark", "oak", "reed", "wren")


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run when it begins."""

    experiment: int = 0
    name: str = ""
    """A name is made up when it is empty."""
    user: str = ""
    began_ms: int = 0
    tags: dict[str, str] = {}
    location: str = ""
    """Where clients find its artifacts; `{run}` in it stands for the run's identifier."""
    name_tag: str = ""
    """The tag that shall hold the name, too."""


class UsedInput(msgspec.Struct, frozen=True):
    """A data set, and what an experiment used it for."""

    experiment: int
    name: str
    digest: str
    context: str


class ReportedRuns:
    """The runs of one project that report about themselves.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        experiments: Where runs belong.
        metrics: The points that runs report.
    """

    def __init__(
        self, stores: Stores, scope: Scope, experiments: Experiments, metrics: Metrics
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._experiments = experiments
        self.metrics = metrics

    def open(self, opening: Opening) -> ReportedRun:
        """Record that a run begins.

        Raises:
            NotFound: There is no such experiment.
            Invalid: It is deleted (code `not-active`), or a tag is malformed.
        """
        experiment = self._experiments.active(opening.experiment)
        check_tags(opening.tags, most_value=_MOST_TEXT)
        run = new_id()
        name = opening.name or made_up_name(run)
        opened = RunOpened(
            experiment=experiment.id,
            name=name,
            user=opening.user,
            began_ms=opening.began_ms,
            location=opening.location.replace("{run}", run),
            tags=opening.tags | ({opening.name_tag: name} if opening.name_tag else {}),
        )
        new = self.document(run, experiment, opened)
        batch = self._scope.batch(
            f"run in experiment {experiment.name}",
            [draft(opened, id=run, parents=[experiment.id])],
            documents=[new],
            tasks=news_of_run(self._stores, self._scope, "created", new),
        )
        self._stores.ledger.commit(batch)
        return self.get(run)

    def get(self, run: str) -> ReportedRun:
        """Return a run, a deleted one as well, with the latest points of its metrics.

        Raises:
            NotFound: There is no such run in this project.
        """
        return _run(self._document(run), self.metrics.latest(run))

    def active(self, run: str) -> None:
        """Make sure that a run can be written to.

        Raises:
            NotFound: There is no such run in this project.
            Invalid: It is deleted (code `not-active`).
        """
        _demand(self._document(run), "active")

    def report(self, run: str, report: Report) -> None:
        """Record what an active run says about itself, all or none.

        Raises:
            NotFound: There is no such run.
            Invalid: The run is deleted (`not-active`), a key or value is malformed, or a parameter
                has another value already (`other-parameter`).
        """
        document = _demand(self._document(run), "active")
        _check(report)
        if not report:
            return
        amendment = amended(document, report)
        fact = draft(
            RunReported(run=run, **{f: getattr(report, f) for f in report.__struct_fields__}),
            parents=[run],
        )
        told: tuple[TaskNew, ...] = ()
        if has_ended(amendment, document):
            told = news_of_run(self._stores, self._scope, "finished", amendment, document)
        reason = f"report of run {run}"
        batch = self._scope.batch(reason, [fact], documents=[amendment], tasks=told)
        try:
            self._stores.ledger.commit(batch)
        except Conflict as error:
            if error.code == "other-value":
                raise self._other_parameter(run, report.parameters) from error
            raise

    def observe(
        self, run: str, code: CodeState, environment: Environment, machine: Machine | None = None
    ) -> None:
        """Record the code and the machine of a run; what was seen last counts."""
        seen = RunObserved(
            run=run, code=code, environment=environment, machine=machine or Machine()
        )
        fact = draft(seen, parents=[run])
        self._stores.ledger.commit(self._scope.batch(f"code of run {run}", [fact]))

    def observed(self, run: str) -> RunObserved | None:
        """Return the code and the machine of a run, None when nobody recorded them."""
        found = self._stores.ledger.find(RunObserved.KIND, where={"run": run}, limit=1).entries
        return read(found[0], RunObserved) if found and found[0].payload is not None else None

    def untag(self, run: str, key: str) -> None:
        """Take a tag of an active run away.

        Raises:
            NotFound: There is no such run, or it has no such tag (code `no-tag`).
            Invalid: The run is deleted.
        """
        document = _demand(self._document(run), "active")
        if f"tags.{key}" not in document.attributes:
            raise NotFound(f"No tag with name: {key} in run with id {run}", code="no-tag")
        self.report(run, Report(dropped=(key,)))

    def delete(self, run: str) -> None:
        """Put a run away; one that is put away already stays so."""
        self._move(run, "deleted")

    def restore(self, run: str) -> None:
        """Bring a deleted run back; one that is not deleted stays as it is."""
        self._move(run, "active")

    def search(
        self,
        experiments: Sequence[int],
        where: Condition | None = None,
        *,
        order: Sequence[Order] = (),
        after: Position | None = None,
        limit: int = 1000,
    ) -> tuple[tuple[ReportedRun, ...], Position | None]:
        """Return a page of runs, and where the next one begins.

        Args:
            experiments: Numbers of the experiments to look into.
            where: A condition on attributes of the runs' documents.
            order: By what; ties by the newest beginning, then by identifier.
            after: Where an earlier page of the same search ended.
            limit: 1 to 50,000.
        """
        self.metrics.catch_up()
        ties = (
            () if any(o.name == "start_time" for o in order) else (Order("start_time", falls=True),)
        )
        found = self._stores.catalog.search(
            Search(
                collection=RUNS,
                groups=tuple(map(self._experiments.group_of, experiments)),
                where=where,
                order=(*order, *ties),
                after=after,
                limit=limit,
            )
        )
        return tuple(_run(document, {}) for document in found.documents), found.after

    def inputs(self, experiments: Sequence[int], *, limit: int = 1000) -> list[UsedInput]:
        """Return the data sets that the runs of experiments were given, each use once.

        Args:
            experiments: Numbers of the experiments to look into.
            limit: At most so many.
        """
        found: dict[UsedInput, None] = {}
        for document in self._with_inputs(experiments):
            number = int(document.group.rpartition("/")[2])
            for item in _inputs(document):
                found[UsedInput(number, item.name, item.digest, item.context)] = None
            if len(found) >= limit:
                break
        return list(found)[:limit]

    def most_inputs(self) -> int:
        """Return how many data sets a run has at most."""
        names = self._stores.catalog.names(RUNS, "datasets.")
        return max((int(name.split(".")[1]) + 1 for name in names), default=0)

    def document(self, run: str, experiment: Experiment, opened: RunOpened) -> Amendment:
        """Return the document of a run that begins."""
        return Amendment(
            collection=RUNS,
            id=run,
            group=self._experiments.group_of(experiment.number),
            set={
                "run_id": run,
                "run_name": opened.name,
                "status": "RUNNING",
                "stage": "active",
                "user_id": opened.user,
                "artifact_uri": opened.location,
                "start_time": opened.began_ms,
                **{f"tags.{key}": value for key, value in opened.tags.items()},
            },
            expect="new",
        )

    # ------------------------------------------------------------------- inside

    def _with_inputs(self, experiments: Sequence[int]) -> Iterator[Document]:
        wanted = Search(
            collection=RUNS,
            groups=tuple(map(self._experiments.group_of, experiments)),
            where=Every((is_in_stage("active"), Has("datasets.0.name"))),
            limit=1000,
        )
        while True:
            page = self._stores.catalog.search(wanted)
            yield from page.documents
            if page.after is None:
                return
            wanted = msgspec.structs.replace(wanted, after=page.after)

    def _document(self, run: str) -> Document:
        found = self._stores.catalog.get(RUNS, [run]) if run else ()
        if not found or found[0].group.rpartition("/")[0] != self._scope.project:
            raise NotFound(f"Run with id={run} not found", code="no-run")
        return found[0]

    def _move(self, run: str, stage: Stage) -> None:
        document = self._document(run)
        if document.attributes["stage"] == stage:
            return
        fact = draft(RunReported(run=run, stage=stage), parents=[run])
        amendment = Amendment(collection=RUNS, id=run, set={"stage": stage}, expect="known")
        told = news_of_run(self._stores, self._scope, MOVES[stage], amendment, document)
        batch = self._scope.batch(f"run {run} {stage}", [fact], documents=[amendment], tasks=told)
        self._stores.ledger.commit(batch)

    def _other_parameter(self, run: str, parameters: Mapping[str, str]) -> Invalid:
        known = tagged(self._document(run), "params.")
        key = next(k for k, v in parameters.items() if known.get(k, v) != v)
        return Invalid(
            f"Changing param values is not allowed. Param with key={key!r} was already logged with "
            f"value={known[key]!r} for run ID={run!r}. Attempted logging new value "
            f"{parameters[key]!r}.",
            code="other-parameter",
            hint="Open a new run, or give the parameter another name.",
        )


def amended(document: Document, report: Report) -> Amendment:
    """Return what a report changes in the document of a run."""
    changed: dict[str, str | float] = {f"tags.{k}": v for k, v in report.tags.items()}
    if report.name is not None:
        changed["run_name"] = report.name
    if report.status is not None:
        changed["status"] = _WORDS[report.status]
    if report.ended_ms is not None:
        changed["end_time"] = report.ended_ms
    notes: dict[str, object] = {}
    known = {(item.name, item.digest) for item in _inputs(document)}
    new = [item for item in report.inputs if (item.name, item.digest) not in known]
    for place, item in enumerate(_distinct(new), len(known)):
        changed |= {
            f"datasets.{place}.name": item.name,
            f"datasets.{place}.digest": item.digest,
        }
        if item.context:
            changed[f"datasets.{place}.context"] = item.context
    for name, links in (("models_in", report.models_in), ("models_out", report.models_out)):
        if links:
            before = document.notes.get(name, [])
            notes[name] = [*before, *(msgspec.to_builtins(link) for link in links)]
    if new:
        before = document.notes.get("inputs", [])
        notes["inputs"] = [*before, *map(msgspec.to_builtins, _distinct(new))]
    return Amendment(
        collection=RUNS,
        id=document.id,
        set=changed,
        once={f"params.{key}": value for key, value in report.parameters.items()},
        drop=tuple(f"tags.{key}" for key in report.dropped),
        note=notes,
        expect="known",
    )


def _check(report: Report) -> None:
    for key, value in report.parameters.items():
        check_key(key, "param")
        if len(value) > _MOST_TEXT:
            raise Invalid(
                f"the value of param {key!r} has {len(value)} characters and exceeds the maximum "
                f"length of {_MOST_TEXT}",
                code="too-long",
                hint="Log it as an artifact.",
            )
    check_tags(report.tags, most_value=_MOST_TEXT)


def _demand(document: Document, stage: Stage) -> Document:
    found = document.attributes["stage"]
    if found != stage:
        raise Invalid(
            f"The run {document.id} must be in the '{stage}' state. Current state is {found}.",
            code="not-active",
            hint="Restore it first.",
        )
    return document


def _distinct(inputs: Sequence[Input]) -> list[Input]:
    first: dict[tuple[str, str], Input] = {}
    for item in inputs:
        first.setdefault((item.name, item.digest), item)
    return list(first.values())


def _inputs(document: Document) -> tuple[Input, ...]:
    return msgspec.convert(document.notes.get("inputs", []), tuple[Input, ...])


def _links(document: Document, name: str) -> tuple[ModelLink, ...]:
    return msgspec.convert(document.notes.get(name, []), tuple[ModelLink, ...])


def _run(document: Document, latest: Mapping[str, Latest]) -> ReportedRun:
    found = document.attributes
    parts = _parted(found)
    ended = found.get("end_time")
    return ReportedRun(
        id=document.id,
        experiment=int(document.group.rpartition("/")[2]),
        name=str(found["run_name"]),
        user=str(found["user_id"]),
        status=STATUS_WORDS[str(found["status"])],
        stage="deleted" if found["stage"] == "deleted" else "active",
        began_ms=int(found["start_time"]),
        ended_ms=None if ended is None else int(ended),
        location=str(found["artifact_uri"]),
        parameters=parts["params"],
        metrics=_metrics(parts["metrics"], document.notes) | dict(latest),
        tags=parts["tags"],
        inputs=_inputs(document),
        models_in=_links(document, "models_in"),
        models_out=_links(document, "models_out"),
    )


def _parted(attributes: Mapping[str, Value]) -> dict[str, dict[str, Any]]:
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


def made_up_name(id: str) -> str:
    """Make a name that people can say; its number comes from an identifier."""
    number = int(id[-8:], 16)
    word = f"{_NAMES[number % 10]}-{_THINGS[number // 10 % 10]}"
    return f"{word}-{number // 100 % 1000}"
