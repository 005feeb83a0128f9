"""Logged models: kept as files by programs, measured by their runs, searched like runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from trivet.core.catalog import (
    Amendment,
    Condition,
    Document,
    Every,
    Order,
    Position,
    Search,
)
from trivet.core.clock import Clock, to_micros
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Draft, Scope, draft
from trivet.core.ids import new_id
from trivet.core.ports import Stores
from trivet.tracking.reporting.documents import changed_model, made_model
from trivet.tracking.reporting.experiments import (
    Experiments,
    check_key,
    check_tags,
    is_in_stage,
    tagged,
)
from trivet.tracking.reporting.logged_facts import (
    MODEL_STATUSES,
    LoggedModel,
    LoggedModelChanged,
    LoggedModelMade,
    Measurement,
    ModelPoint,
    ModelStatus,
)
from trivet.tracking.reporting.model_points import (
    LOGGED_MODELS,
    is_measured,
    latest_of,
    points_of,
)
from trivet.tracking.reporting.points import Metrics, Point
from trivet.tracking.reporting.runs import made_up_name

_MOST_NAME: Final = 500
_MOST_TEXT: Final = 100_000
_MOST_POINTS: Final = 1000
"""How many points of one series a logged model is shown with."""
_FORBIDDEN: Final = "/:.%\"'"


class NewModel(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a logged model when it begins."""

    experiment: int
    name: str = ""
    """A name is made up when it is empty."""
    type: str = ""
    run: str = ""
    user: str = ""
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}


class LoggedModels:
    """The logged models of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        experiments: Where models belong.
        metrics: The points that runs report.
        clock: For the times that people see.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        experiments: Experiments,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._experiments = experiments
        self._clock = clock
        self.metrics = metrics

    def make(self, new: NewModel) -> LoggedModel:
        """Record that a model begins to be logged; its files follow.

        Raises:
            NotFound: There is no such experiment.
            Invalid: The experiment is deleted (code `not-active`), or a name, parameter or tag is
                malformed.
        """
        experiment = self._experiments.active(new.experiment)
        _check(new.parameters, new.tags)
        fact = new_id()
        model = f"m-{fact}"
        made = LoggedModelMade(
            experiment=experiment.id,
            name=_checked_name(new.name) if new.name else made_up_name(fact),
            location=f"{experiment.location.rstrip('/')}/models/{model}/artifacts",
            type=new.type,
            run=new.run or None,
            parameters=new.parameters,
            tags=new.tags,
            at_ms=self._now_ms(),
        )
        group = self._experiments.group_of(experiment.number)
        amendment = made_model(group, fact, made, self._scope.actor, made.at_ms or 0)
        item = draft(made, id=fact, parents=[experiment.id])
        self._commit(f"logged model {made.name}", item, [amendment])
        return self.get(model)

    def get(self, model: str, *, allow_deleted: bool = False) -> LoggedModel:
        """Return a logged model with its points, of each series the newest 1,000.

        Raises:
            NotFound: There is no such model in this project, or it is deleted.
        """
        document = self._document(model, allow_deleted=allow_deleted)
        return _model(document, points_of(self._stores, document, _MOST_POINTS))

    def finish(self, model: str, status: ModelStatus) -> LoggedModel:
        """Record whether the model's files are all there."""
        self._change(self._document(model), LoggedModelChanged(model=model, status=status))
        return self.get(model)

    def tag(self, model: str, tags: Mapping[str, str]) -> None:
        """Set tags of a logged model.

        Raises:
            NotFound: There is no such model, or it is deleted.
            Invalid: A tag is malformed.
        """
        item, amendment = self.tagging(model, tags)
        self._commit(f"logged model {model}", item, [amendment])

    def tagging(self, model: str, tags: Mapping[str, str]) -> tuple[Draft, Amendment]:
        """Return what a commit must write to set tags of a logged model, besides all else.

        Raises:
            NotFound: There is no such model, or it is deleted.
            Invalid: A tag is malformed.
        """
        _check({}, tags)
        changed = LoggedModelChanged(model=model, tags=dict(tags))
        return self._changing(self._document(model), changed)

    def untag(self, model: str, key: str) -> None:
        """Take a tag away.

        Raises:
            NotFound: There is no such model, or it has no such tag (code `no-tag`).
        """
        document = self._document(model)
        if f"tags.{key}" not in document.attributes:
            raise NotFound(
                f"No tag with key {key!r} found for model with ID {model!r}", code="no-tag"
            )
        self._change(document, LoggedModelChanged(model=model, dropped=(key,)))

    def describe(self, model: str, parameters: Mapping[str, str]) -> None:
        """Record parameters; each keeps the value it was given first.

        Raises:
            NotFound: There is no such model, or it is deleted.
            Invalid: A parameter is malformed, or has another value (code `other-parameter`).
        """
        _check(parameters, {})
        changed = LoggedModelChanged(model=model, parameters=dict(parameters))
        try:
            self._change(self._document(model), changed)
        except Conflict as error:
            if error.code != "other-value":
                raise
            raise Invalid(
                f"Changing param values is not allowed. A parameter of the logged model {model} "
                "has another value already",
                code="other-parameter",
                hint="Give the parameter another name.",
            ) from error

    def delete(self, model: str) -> None:
        """Put a logged model away; one that is put away already stays so.

        Raises:
            NotFound: There is no such model.
        """
        document = self._document(model, allow_deleted=True)
        if document.attributes["stage"] != "deleted":
            self._change(document, LoggedModelChanged(model=model, stage="deleted"))

    def search(
        self,
        experiments: Sequence[int],
        where: Sequence[Condition] = (),
        *,
        order: Sequence[Order] = (),
        after: Position | None = None,
        limit: int = 100,
    ) -> tuple[tuple[LoggedModel, ...], Position | None]:
        """Return a page of logged models that are not deleted, and where the next one begins.

        Each has the latest point of each of its series.

        Args:
            experiments: Numbers of the experiments to look into.
            where: Conditions on attributes of the models' documents, all of which must hold.
            order: By what; ties by the newest, then by identifier.
            after: Where an earlier page of the same search ended.
            limit: 1 to 50,000.
        """
        self.metrics.catch_up()
        known = {item.name for item in order}
        ties = () if "creation_timestamp" in known else (Order("creation_timestamp", falls=True),)
        found = self._stores.catalog.search(
            Search(
                collection=LOGGED_MODELS,
                groups=tuple(map(self._experiments.group_of, experiments)),
                where=Every((is_in_stage("active"), *where)),
                order=(*order, *ties),
                after=after,
                limit=limit,
            )
        )
        models = tuple(_model(document, latest_of(document)) for document in found.documents)
        return models, found.after

    def prepare(self, run: str, points: Iterable[Point]) -> None:
        """Make sure that a run can log points about models, before it does.

        Raises:
            NotFound: There is no such model, or it is deleted.
        """
        wanted: dict[str, set[Measurement]] = {}
        for point in points:
            if point.about is not None:
                dataset, digest = point.about.dataset, point.about.digest
                by = Measurement(run=run, dataset=dataset, digest=digest)
                wanted.setdefault(point.about.model, set()).add(by)
        for model, measurements in wanted.items():
            document = self._document(model)
            new = [by for by in measurements if not is_measured(document, by)]
            if new:
                self._change(document, LoggedModelChanged(model=model, measured=tuple(new)))

    # ------------------------------------------------------------------- inside

    def _document(self, model: str, *, allow_deleted: bool = False) -> Document:
        found = self._stores.catalog.get(LOGGED_MODELS, [model]) if model else ()
        for document in found:
            is_ours = document.group.rpartition("/")[0] == self._scope.project
            if is_ours and (allow_deleted or document.attributes["stage"] != "deleted"):
                return document
        raise NotFound(f"Logged model with ID '{model}' not found", code="no-logged-model")

    def _change(self, document: Document, changed: LoggedModelChanged) -> None:
        item, amendment = self._changing(document, changed)
        self._commit(f"logged model {document.id}", item, [amendment])

    def _changing(self, document: Document, changed: LoggedModelChanged) -> tuple[Draft, Amendment]:
        now = self._now_ms()
        item = draft(
            msgspec.structs.replace(changed, at_ms=now),
            parents=[document.id.removeprefix("m-")],
        )
        return item, changed_model(changed, now)

    def _commit(self, reason: str, item: Draft, amendments: Sequence[Amendment]) -> None:
        self._stores.ledger.commit(self._scope.batch(reason, [item], documents=amendments))

    def _now_ms(self) -> int:
        return to_micros(self._clock.now()) // 1000


def _checked_name(name: str) -> str:
    if len(name) > _MOST_NAME or any(character in _FORBIDDEN for character in name):
        raise Invalid(
            f"Invalid model name ({name[:100]!r}) provided. Model name must be a non-empty string "
            f"of at most {_MOST_NAME} characters and cannot contain any of {_FORBIDDEN}",
            code="bad-model-name",
            hint="Choose a name such as churn-forest.",
        )
    return name


def _check(parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
    for key, value in parameters.items():
        check_key(key, "param")
        if len(value) > _MOST_TEXT:
            raise Invalid(
                f"'value' exceeds the maximum length of {_MOST_TEXT} characters: that of the "
                f"param {key!r} has {len(value)}",
                code="too-long",
                hint="Keep it as a file of the model.",
            )
    check_tags(dict(tags), most_value=_MOST_TEXT)


def _model(document: Document, metrics: Iterable[ModelPoint]) -> LoggedModel:
    found = document.attributes
    run = found.get("source_run_id")
    return LoggedModel(
        id=document.id,
        experiment=int(document.group.rpartition("/")[2]),
        name=str(found["name"]),
        type=str(found.get("model_type", "")),
        status=next(s for s in MODEL_STATUSES if s == found["status"]),
        stage="deleted" if found["stage"] == "deleted" else "active",
        run=None if run is None else str(run),
        user=str(document.notes.get("user", "")),
        location=str(found["artifact_location"]),
        made_ms=int(found["creation_timestamp"]),
        changed_ms=int(found["last_updated_timestamp"]),
        parameters=tagged(document, "params."),
        tags=tagged(document, "tags."),
        metrics=tuple(metrics),
    )
