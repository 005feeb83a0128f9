"""Experiments: places for runs that are compared with each other, numbered within their project."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, cast

import msgspec

from trivet.core.catalog import (
    Amendment,
    Compare,
    Condition,
    Document,
    Order,
    Position,
    Search,
)
from trivet.core.clock import Clock, to_micros
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Draft, Head, HeadMove, Scope, TaskNew, draft, read
from trivet.core.ports import Stores
from trivet.core.search import walk
from trivet.tracking.reporting.documents import (
    EXPERIMENTS,
    RUNS,
    changed_experiment,
    group_of,
    made_experiment,
    staged_runs,
)
from trivet.tracking.reporting.facts import Experiment, ExperimentChanged, ExperimentMade, Stage
from trivet.tracking.reporting.naming import check_text
from trivet.tracking.reporting.telling import MOVES, news_of_experiment

DEFAULT: Final = "Default"
"""The experiment with number 0, which every project has."""
_NEWEST = "experiments/newest"
NAMES: Final = "experiments/names/"
"""What the heads of experiments' names begin with."""
_MOST_NAME: Final = 500
_MOST_KEY: Final = 250
_MOST_VALUE: Final = 20_000
_ATTEMPTS: Final = 100
_PAGE: Final = 1000


class Experiments:
    """The experiments of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        clock: For the times that people see.
    """

    def __init__(self, stores: Stores, scope: Scope, clock: Clock) -> None:
        self._stores = stores
        self._scope = scope
        self._clock = clock

    def make(
        self,
        name: str,
        *,
        tags: dict[str, str] | None = None,
        location: str = "",
    ) -> Experiment:
        """Begin an experiment.

        Args:
            name: 1 to 500 characters; unique, also among those that were deleted.
            tags: Text by key.
            location: A storage of its own for its artifacts, as clients write its address.

        Raises:
            Invalid: The name or a tag is malformed.
            Conflict: There is an experiment of this name (code `experiment-exists`).
        """
        check_experiment_name(name)
        check_tags(tags or {})
        if name != DEFAULT:
            self.default()
        for _ in range(_ATTEMPTS):
            head = self._stores.ledger.head(self._scope.project, _NEWEST)
            number = self._free(head)
            made = ExperimentMade(
                name=name,
                number=number,
                location=location or location_of(number),
                tags=tags or {},
                at_ms=self._now_ms(),
            )
            fact = draft(made)
            moves = [
                HeadMove(name=_NEWEST, to=fact.id, expect=head.target if head else None),
                HeadMove(name=NAMES + name, to=fact.id, expect=None),
            ]
            try:
                self._commit(
                    f"experiment {name}",
                    fact,
                    moves,
                    [made_experiment(self._scope.project, fact.id, made, made.at_ms or 0)],
                    self._news("created", number, name),
                )
            except Conflict as error:
                if self._stores.ledger.head(self._scope.project, NAMES + name) is not None:
                    raise _exists(name) from error
                continue  # somebody else took the number
            return self.get(number)
        raise Conflict("experiments are made faster than they can be numbered", code="busy")

    def default(self) -> Experiment:
        """Return the experiment with number 0; make it when it is missing."""
        found = self._find(0)
        if found is None:
            try:
                return self.make(DEFAULT)
            except Conflict:  # by somebody else in this moment
                return self.get(0)
        return found

    def get(self, number: int) -> Experiment:
        """Return an experiment, a deleted one as well.

        Raises:
            NotFound: There is none of this number.
        """
        found = self.default() if number == 0 else self._find(number)
        if found is None:
            raise NotFound(f"No Experiment with id={number} exists", code="no-experiment")
        return found

    def by_name(self, name: str) -> Experiment:
        """Return an experiment by its name, a deleted one as well.

        Raises:
            NotFound: There is none of this name.
        """
        if name == DEFAULT:
            self.default()
        head = self._stores.ledger.head(self._scope.project, NAMES + name)
        if head is None:
            raise NotFound(
                f"Could not find experiment with name {name!r}",
                code="no-experiment",
                hint="Names are case-sensitive.",
            )
        return self.get(read(self._stores.ledger.get(head.target), ExperimentMade).number)

    def ensure(self, name: str) -> Experiment:
        """Return the experiment of this name, a deleted one as well; make it when there is none.

        Raises:
            Invalid: The name is malformed.
        """
        check_experiment_name(name)
        try:
            return self.by_name(name)
        except NotFound:
            try:
                return self.make(name)
            except Conflict:  # somebody else has made it in this moment
                return self.by_name(name)

    def search(
        self,
        where: Condition | None = None,
        *,
        order: Sequence[Order] = (),
        after: Position | None = None,
        limit: int = 1000,
    ) -> tuple[tuple[Experiment, ...], Position | None]:
        """Return a page of experiments, and where the next one begins.

        Args:
            where: A condition on `name`, `number`, `made`, `changed`, `stage` or `tags.…`.
            order: By what; the newest first when nothing is said.
            after: Where an earlier page ended.
            limit: 1 to 50,000.
        """
        self.default()
        found = self._stores.catalog.search(
            Search(
                collection=EXPERIMENTS,
                groups=(self._scope.project,),
                where=where,
                order=tuple(order) or (Order("creation_time", falls=True), Order("number")),
                after=after,
                limit=limit,
            )
        )
        return tuple(map(_experiment, found.documents)), found.after

    def rename(self, number: int, name: str) -> None:
        """Give an active experiment another name.

        Raises:
            Invalid: The name is malformed, or the experiment is deleted (code `not-active`).
            Conflict: There is an experiment of this name (code `experiment-exists`).
        """
        check_experiment_name(name)
        known = self.active(number)
        if name == known.name:
            return
        fact = ExperimentChanged(experiment=known.id, name=name)
        moves = [
            HeadMove(name=NAMES + known.name, to=None, expect=known.id),
            HeadMove(name=NAMES + name, to=known.id, expect=None),
        ]
        try:
            told = self._news("updated", number, name)
            self._change(known, fact, moves, tasks=told)
        except Conflict as error:
            raise _exists(name) from error

    def delete(self, number: int) -> None:
        """Put an experiment and its runs away; `restore` brings them back.

        Raises:
            NotFound: There is no active one of this number.
        """
        self._move(self._staged(number, "active"), "deleted")

    def restore(self, number: int) -> None:
        """Bring a deleted experiment and its runs back.

        Raises:
            NotFound: There is no deleted one of this number.
        """
        self._move(self._staged(number, "deleted"), "active")

    def tag(self, number: int, key: str, value: str) -> None:
        """Set a tag of an active experiment."""
        check_tags({key: value})
        known = self.active(number)
        fact = ExperimentChanged(experiment=known.id, tags={key: value})
        self._change(known, fact)

    def untag(self, number: int, key: str) -> None:
        """Take a tag of an active experiment away.

        Raises:
            NotFound: It has no such tag.
        """
        known = self.active(number)
        if key not in known.tags:
            raise NotFound(f"No tag with name: {key} in experiment with id {number}", code="no-tag")
        fact = ExperimentChanged(experiment=known.id, dropped=(key,))
        self._change(known, fact)

    def active(self, number: int) -> Experiment:
        """Return an experiment that is not deleted.

        Raises:
            NotFound: There is none of this number.
            Invalid: It is deleted (code `not-active`).
        """
        known = self.get(number)
        if known.stage != "active":
            raise Invalid(
                f"The experiment {number} must be in the 'active' state. Current state is "
                f"{known.stage}.",
                code="not-active",
                hint="Restore it first.",
            )
        return known

    def group_of(self, number: int) -> str:
        """Return the group of documents in which an experiment's runs are."""
        return group_of(self._scope.project, number)

    def groups(self) -> list[str]:
        """Return the groups of documents in which the runs of all experiments are."""
        head = self._stores.ledger.head(self._scope.project, _NEWEST)
        newest = -1
        if head is not None:
            newest = read(self._stores.ledger.get(head.target), ExperimentMade).number
        counted = [self.group_of(number) for number in range(newest + 1)]
        return counted + sorted(set(self._beyond(newest)).difference(counted))

    def names_of(self, groups: Iterable[str]) -> dict[str, str]:
        """Return the names of experiments by the groups of their runs, of those that there are."""
        found = self._stores.catalog.get(EXPERIMENTS, sorted(set(groups)))
        return {document.id: str(document.attributes["name"]) for document in found}

    def next_number(self) -> int:
        """Return the number that the next experiment gets, if nobody is quicker."""
        return self._free(self._stores.ledger.head(self._scope.project, _NEWEST))

    # ------------------------------------------------------------------- inside

    def _beyond(self, newest: int) -> Iterator[str]:
        """Yield the groups of experiments that were imported with greater numbers."""
        wanted = Search(
            collection=EXPERIMENTS,
            groups=(self._scope.project,),
            where=Compare("number", ">", newest),
            limit=_PAGE,
        )
        return self._all(wanted)

    def _free(self, newest: Head | None) -> int:
        number = 0
        if newest is not None:
            number = read(self._stores.ledger.get(newest.target), ExperimentMade).number + 1
        while self._find(number) is not None:  # one that was imported has it
            number += 1
        return number

    def _staged(self, number: int, stage: Stage) -> Experiment:
        known = self.get(number)
        if known.stage != stage:
            raise NotFound(
                f"No Experiment with id={number} exists that is {stage}: it is {known.stage}",
                code="no-experiment",
            )
        return known

    def _find(self, number: int) -> Experiment | None:
        found = self._stores.catalog.get(EXPERIMENTS, [self.group_of(number)])
        return _experiment(found[0]) if found else None

    def _move(self, known: Experiment, stage: Stage) -> None:
        fact = ExperimentChanged(experiment=known.id, stage=stage)
        told = self._news(MOVES[stage], known.number, known.name)
        for _ in range(_ATTEMPTS):
            runs = tuple(staged_runs(self._runs_of(known.number), stage))
            try:
                return self._change(known, fact, more=runs, tasks=told)
            except NotFound as error:
                if error.code != "no-document":
                    raise
                # One of its runs was removed for good in this moment.
        raise Conflict("runs are removed faster than they can be counted", code="busy")

    def _runs_of(self, number: int) -> Iterator[str]:
        return self._all(Search(collection=RUNS, groups=(self.group_of(number),), limit=_PAGE))

    def _all(self, wanted: Search) -> Iterator[str]:
        return (document.id for document in walk(self._stores.catalog, wanted))

    def _change(
        self,
        known: Experiment,
        changed: ExperimentChanged,
        moves: Sequence[HeadMove] = (),
        *,
        more: Sequence[Amendment] = (),
        tasks: Sequence[TaskNew] = (),
    ) -> None:
        now = self._now_ms()
        fact = draft(msgspec.structs.replace(changed, at_ms=now), parents=[known.id])
        amendment = changed_experiment(self._scope.project, known.number, changed, now)
        self._commit(f"experiment {known.name}", fact, moves, [amendment, *more], tasks)

    def _commit(
        self,
        reason: str,
        fact: Draft,
        moves: Sequence[HeadMove],
        documents: Sequence[Amendment],
        tasks: Sequence[TaskNew] = (),
    ) -> None:
        batch = self._scope.batch(reason, [fact], heads=moves, documents=documents, tasks=tasks)
        self._stores.ledger.commit(batch)

    def _news(self, action: str, number: int, name: str) -> tuple[TaskNew, ...]:
        return news_of_experiment(self._stores, self._scope, action, number, name)

    def _now_ms(self) -> int:
        return to_micros(self._clock.now()) // 1000


def location_of(number: int) -> str:
    """Return the address under which clients find the artifacts of an experiment.

    It is an address of the artifact proxy, in the form that MLflow's clients know, and no place.
    """
    return f"mlflow-artifacts:/{number}"


def is_in_stage(stage: Stage) -> Condition:
    """Return the condition that something is in a stage."""
    return Compare("stage", "=", stage)


def check_experiment_name(name: str) -> None:
    """Check the name of an experiment.

    Raises:
        Invalid: It is empty, longer than 500 characters, or no text.
    """
    check_text(name, "the name of the experiment")
    if not name.strip():
        raise Invalid(
            f"Invalid experiment name: {name!r}; expected some text", code="bad-experiment-name"
        )
    if len(name) > _MOST_NAME:
        raise Invalid(
            f"'name' exceeds the maximum length of {_MOST_NAME} characters",
            code="bad-experiment-name",
            hint="Choose a shorter name; a tag can hold the rest.",
        )


def check_tags(tags: dict[str, str], *, most_value: int = _MOST_VALUE) -> None:
    """Check tags.

    Raises:
        Invalid: A key is no key, or a value is too long.
    """
    for key, value in tags.items():
        check_key(key, "tag")
        if len(value) > most_value:
            raise Invalid(
                f"'value' exceeds the maximum length of {most_value} characters: that of the tag "
                f"{key!r} has {len(value)}",
                code="too-long",
            )
        check_text(value, f"the value of the tag {key!r}")


_KEY = re.compile(r"[/\w.\- :]+")


def check_key(key: str, what: str) -> None:
    """Check the key of a metric, parameter or tag.

    Raises:
        Invalid: It is not 1 to 250 letters, digits, `_ - . : /` and spaces, or as a path it is not
            in its normal form; or it is no text at all.
    """
    if not isinstance(cast("object", key), str):
        raise Invalid(f"the name of a {what} is {key!r}; expected text", code="bad-key")
    if len(key) > _MOST_KEY:
        raise Invalid(
            f"'key' exceeds the maximum length of {_MOST_KEY} characters: that of a {what} has "
            f"{len(key)}",
            code="too-long",
        )
    parts = key.split("/")
    if not _KEY.fullmatch(key) or any(part in {"", ".", ".."} for part in parts):
        raise Invalid(
            f"Invalid value {key!r} for the name of a {what}; expected letters, digits, '_', '-', "
            "'.', ':', '/' and spaces, without empty, '.' or '..' parts between slashes",
            code="bad-key",
            hint="Write for example train/loss.",
        )


def _experiment(document: Document) -> Experiment:
    found = document.attributes
    return Experiment(
        id=document.notes["fact"],
        number=int(document.id.rpartition("/")[2]),  # as a float it would lose digits
        name=str(found["name"]),
        location=document.notes["location"],
        stage="deleted" if found["stage"] == "deleted" else "active",
        made_ms=int(found["creation_time"]),
        changed_ms=int(found["last_update_time"]),
        tags=tagged(document, "tags."),
    )


def tagged(document: Document, prefix: str) -> dict[str, str]:
    """Return the text attributes of a document whose names begin so, without the beginning."""
    return {
        name[len(prefix) :]: str(value)
        for name, value in document.attributes.items()
        if name.startswith(prefix)
    }


def _exists(name: str) -> Conflict:
    return Conflict(
        f"Experiment(name={name}) already exists",
        code="experiment-exists",
        hint="Deleted experiments keep their names: restore it, or choose another name.",
    )
