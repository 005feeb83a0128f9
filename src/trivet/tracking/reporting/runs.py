"""Runs that report about themselves: opened, written to as they go, searched while they run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from trivet.core.catalog import (
    Condition,
    Document,
    Every,
    Has,
    Order,
    Position,
    Search,
)
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Inbox, Scope, TaskNew, draft, read
from trivet.core.ids import check_id, new_id
from trivet.core.ports import Stores
from trivet.core.search import walk
from trivet.core.training import Machine
from trivet.tracking.facts import CodeState, Environment
from trivet.tracking.reporting.documents import (
    RUNS,
    STATUS_BY,
    inputs_of,
    joined_run,
    opened_run,
    reported_run,
)
from trivet.tracking.reporting.experiments import (
    Experiments,
    check_key,
    check_tags,
    is_in_stage,
    tagged,
)
from trivet.tracking.reporting.facts import (
    Report,
    ReportedRun,
    RunJoined,
    RunObserved,
    RunOpened,
    RunReported,
    Stage,
)
from trivet.tracking.reporting.liveness import Liveness
from trivet.tracking.reporting.naming import check_text, made_up_name
from trivet.tracking.reporting.points import Metrics, Point
from trivet.tracking.reporting.shown import run_of
from trivet.tracking.reporting.telling import MOVES, UNDER_WAY, has_ended, news_of_run

PARENT: Final = "mlflow.parentRunId"
"""The tag that names the run within which a run takes place, as MLflow's clients know it."""
_FACT = re.compile(r"[0-9a-f]{32}")
_MOST_TEXT: Final = 100_000


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run when it begins."""

    id: str = ""
    """An identifier that the program made: opened twice, it is one run. Made up when empty."""
    gives_signs: bool = False
    """Whether its program gives signs of life, so that it is lost without them."""
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
        self.liveness = Liveness(stores, scope)
        """What is known of the life of runs."""

    def open(self, opening: Opening) -> ReportedRun:
        """Record that a run begins.

        Raises:
            NotFound: There is no such experiment.
            Invalid: It is deleted (code `not-active`), or a tag or the identifier is malformed.
            Conflict: The identifier is that of something else (code `id-taken`).
        """
        run = check_id(opening.id, "run") if opening.id else new_id()
        if opening.id and self.knows(run):
            return self.get(run)
        experiment = self._experiments.active(opening.experiment)
        check_tags(opening.tags, most_value=_MOST_TEXT)
        check_text(opening.name, "the name of the run")
        name = opening.name or made_up_name(run)
        opened = RunOpened(
            experiment=experiment.id,
            name=name,
            user=opening.user,
            began_ms=opening.began_ms,
            location=opening.location.replace("{run}", run),
            tags=opening.tags | ({opening.name_tag: name} if opening.name_tag else {}),
        )
        new = opened_run(self._experiments.group_of(experiment.number), run, opened)
        batch = self._scope.batch(
            f"run in experiment {experiment.name}",
            [draft(opened, id=run, parents=[experiment.id])],
            documents=[new, self.liveness.begun(run)] if opening.gives_signs else [new],
            tasks=news_of_run(self._stores, self._scope, "created", new),
        )
        try:
            self._stores.ledger.commit(batch)
        except Conflict as error:
            if not self.knows(run):
                raise _taken(run) from error
        return self.get(run)

    def stand_in(self, run: str) -> None:
        """Let a run that began elsewhere be reported to, as if it were known."""
        if self.knows(check_id(run, "run")):
            return
        new = joined_run(self._scope.project, run)
        fact = draft(RunJoined(), id=run)
        try:
            self._stores.ledger.commit(
                self._scope.batch(f"join run {run}", [fact], documents=[new])
            )
        except Conflict as error:
            if not self.knows(run):
                raise _taken(run) from error

    def knows(self, run: str) -> bool:
        """Say whether there is such a run in this project."""
        return self._found(run) is not None

    def get(self, run: str) -> ReportedRun:
        """Return a run, a deleted one as well, with the latest points of its metrics.

        Raises:
            NotFound: There is no such run in this project.
        """
        document = self._document(run)
        if document.attributes["status"] == "RUNNING" and self.liveness.settle_one(run):
            document = self._document(run)
        return run_of(document, self.metrics.latest(run))

    def history(self, run: str, key: str) -> list[Point]:
        """Return all points of a metric by time, step and value; none for a run not of here."""
        return self.metrics.history(run, key) if self.knows(run) else []

    def sample(
        self, run: str, key: str, most: int, *, first: int | None = None, last: int | None = None
    ) -> list[Point]:
        """Return points of a metric as `Metrics.sample` does; none for a run not of here."""
        if not self.knows(run):
            return []
        return self.metrics.sample(run, key, most, first=first, last=last)

    def active(self, run: str) -> None:
        """Make sure that a run can be written to.

        Raises:
            NotFound: There is no such run in this project.
            Invalid: It is deleted (code `not-active`).
        """
        _demand(self._document(run), "active")

    def report(
        self, run: str, report: Report, *, arrival: str = "", gives_signs: bool = False
    ) -> None:
        """Record what an active run says about itself, all or none.

        Args:
            run: The run.
            report: What it says.
            arrival: Names the report among those that arrive from elsewhere: it counts once, and
                names rise with time. What an older one says of the status is not news.
            gives_signs: Whether its program gives signs of life from now on.

        Raises:
            Conflict: It has arrived before (code `seen`).
            NotFound: There is no such run.
            Invalid: The run is deleted (`not-active`), a key or value is malformed, or a parameter
                has another value already (`other-parameter`).
        """
        document = _demand(self._document(run), "active")
        check_report(report)
        if report.status is not None and document.notes.get(STATUS_BY, "") > arrival > "":
            report = msgspec.structs.replace(report, status=None, ended_ms=None)
        if not report:
            return
        said = RunReported(
            run=run, arrival=arrival, **{f: getattr(report, f) for f in report.__struct_fields__}
        )
        amendment = reported_run(document, said)
        told: tuple[TaskNew, ...] = ()
        if has_ended(amendment, document):
            told = news_of_run(self._stores, self._scope, "finished", amendment, document)
        amendments = [amendment]
        if gives_signs:
            amendments.append(self.liveness.begun(run))
        elif report.status not in {None, *UNDER_WAY}:
            amendments.append(self.liveness.ended(run))
        batch = self._scope.batch(
            f"report of run {run}",
            [draft(said, parents=dict.fromkeys([run, *self._models_of(report)]))],
            documents=amendments,
            tasks=told,
            inbox=self._arrived(arrival),
        )
        try:
            self._stores.ledger.commit(batch)
        except Conflict as error:
            if error.code == "other-value":
                raise self._other_parameter(run, report.parameters) from error
            raise

    def observe(
        self,
        run: str,
        code: CodeState,
        environment: Environment,
        machine: Machine | None = None,
        *,
        arrival: str = "",
    ) -> None:
        """Record the code and the machine of a run; what was seen last counts.

        `arrival` is as in `report`.
        """
        seen = RunObserved(
            run=run, code=code, environment=environment, machine=machine or Machine()
        )
        fact = draft(seen, parents=[run])
        inbox = self._arrived(arrival)
        self._stores.ledger.commit(self._scope.batch(f"code of run {run}", [fact], inbox=inbox))

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

    def delete(self, run: str, *, arrival: str = "") -> None:
        """Put a run away; one that is put away already stays so. `arrival` as in `report`."""
        self._move(run, "deleted", arrival)

    def restore(self, run: str, *, arrival: str = "") -> None:
        """Bring a deleted run back; one that is not deleted stays so. `arrival` as in `report`."""
        self._move(run, "active", arrival)

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
        self.liveness.settle()
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
        return tuple(run_of(document, {}) for document in found.documents), found.after

    def inputs(self, experiments: Sequence[int], *, limit: int = 1000) -> list[UsedInput]:
        """Return the data sets that the runs of experiments were given, each use once.

        Args:
            experiments: Numbers of the experiments to look into.
            limit: At most so many.
        """
        found: dict[UsedInput, None] = {}
        for document in self._with_inputs(experiments):
            number = int(document.group.rpartition("/")[2])
            for item in inputs_of(document):
                found[UsedInput(number, item.name, item.digest, item.context)] = None
            if len(found) >= limit:
                break
        return list(found)[:limit]

    def most_inputs(self) -> int:
        """Return how many data sets a run has at most."""
        names = self._stores.catalog.names(RUNS, "datasets.")
        return max((int(name.split(".")[1]) + 1 for name in names), default=0)

    # ------------------------------------------------------------------- inside

    def _models_of(self, report: Report) -> Iterator[str]:
        """Yield the facts of the logged models that a run read, so that they lead to it."""
        for link in report.models_in:
            fact = link.model.removeprefix("m-")
            if _FACT.fullmatch(fact) and self._stores.ledger.get(fact) is not None:
                yield fact

    def _with_inputs(self, experiments: Sequence[int]) -> Iterator[Document]:
        wanted = Search(
            collection=RUNS,
            groups=tuple(map(self._experiments.group_of, experiments)),
            where=Every((is_in_stage("active"), Has("datasets.0.name"))),
            limit=1000,
        )
        return walk(self._stores.catalog, wanted)

    def _found(self, run: str) -> Document | None:
        found = next(iter(self._stores.catalog.get(RUNS, [run])), None) if run else None
        is_ours = found is not None and found.group.rpartition("/")[0] == self._scope.project
        return found if is_ours else None

    def _document(self, run: str) -> Document:
        found = self._found(run)
        if found is None:
            raise NotFound(f"Run with id={run} not found", code="no-run")
        return found

    def _move(self, run: str, stage: Stage, arrival: str) -> None:
        document = self._document(run)
        if document.attributes["stage"] == stage:
            return
        said = RunReported(run=run, stage=stage)
        fact, amendment = draft(said, parents=[run]), reported_run(document, said)
        told = news_of_run(self._stores, self._scope, MOVES[stage], amendment, document)
        self._stores.ledger.commit(
            self._scope.batch(
                f"run {run} {stage}",
                [fact],
                documents=[amendment],
                tasks=told,
                inbox=self._arrived(arrival),
            )
        )

    def _arrived(self, arrival: str) -> list[Inbox]:
        return [Inbox(source=f"runs/{self._scope.project}", key=arrival)] if arrival else []

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


def check_report(report: Report) -> None:
    """Check what a run says of itself.

    Raises:
        Invalid: A name is no key, or a value is too long or no text.
    """
    for key, value in report.parameters.items():
        check_key(key, "param")
        if len(value) > _MOST_TEXT:
            raise Invalid(
                f"'value' exceeds the maximum length of {_MOST_TEXT} characters: that of the "
                f"param {key!r} has {len(value)}",
                code="too-long",
                hint="Log it as an artifact.",
            )
        check_text(value, f"the value of the param {key!r}")
    check_text(report.name or "", "the name of the run")
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


def _taken(run: str) -> Conflict:
    return Conflict(f"{run} is the identifier of something else than a run here", code="id-taken")
