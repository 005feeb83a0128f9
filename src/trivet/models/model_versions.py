"""Versions of registered models: logged ones are made here, and all of them are found here."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from trivet.core.catalog import (
    Amendment,
    Compare,
    Condition,
    Document,
    Every,
    OneOf,
    Order,
    Position,
    Search,
)
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Draft, HeadMove, Scope, TaskNew, draft
from trivet.core.ports import Stores
from trivet.core.search import walk
from trivet.models.amending import (
    changed_version,
    gone_versions,
    registered_from,
    touched_name,
)
from trivet.models.approvals import Passage
from trivet.models.contents import Content
from trivet.models.deprecations import born_deprecated
from trivet.models.documents import (
    VERSIONS,
    new_version,
    to_version,
    version_id,
)
from trivet.models.facts import (
    LoggedVersion,
    RegisteredName,
    Version,
    VersionChanged,
    VersionsDeleted,
    VersionStage,
)
from trivet.models.names import ACTIVE_STAGES, head_of, stage_of, stages_head
from trivet.models.origins import Origin, Origins
from trivet.models.protections import stage_place
from trivet.models.reading import number_behind
from trivet.models.registered_models import RegisteredModels, no_version
from trivet.models.tags import check_free_tag
from trivet.models.telling import News
from trivet.tracking.reporting.experiments import check_tags

_MOST_VALUE: Final = 100_000
_ATTEMPTS: Final = 100


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a version that shall be logged."""

    source: str
    run: str | None = None
    logged_model: str | None = None
    run_link: str | None = None
    description: str | None = None
    tags: dict[str, str] = {}
    is_text: bool = False
    """It is no files at all: whatever its source says, nobody can download it."""
    mention: str = ""
    """The tag of its logged model that shall list its versions, as JSON."""


class ModelVersions:
    """The versions of one project's registered models.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        models: The names that they belong to.
        origins: Says what the sources of versions mean.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        models: RegisteredModels,
        origins: Origins,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._models = models
        self._origins = origins
        self._news = News(stores, scope)

    def make(self, name: str, new: NewVersion) -> Version:
        """Give logged files the next version of a name.

        Raises:
            NotFound: Nobody has the name.
            Invalid: The source lies in no run's or logged model's artifacts (code `bad-source`),
                or a tag is malformed.
        """
        check_tags(new.tags, most_value=_MOST_VALUE)
        for _ in range(_ATTEMPTS):
            known = self._models.get(name)
            origin = Origin(location="") if new.is_text else self._origin(new)
            newest, number = number_behind(self._stores, self._scope.project, name)
            made = LoggedVersion(
                name=name,
                registered=known.id,
                version=number + 1,
                source=origin.source or new.source,
                location=origin.location,
                run=origin.run,
                logged_model=origin.logged_model,
                run_link=new.run_link,
                description=new.description,
                tags=new.tags,
                at_ms=self._models.now_ms(),
            )
            fact = draft(made, parents=[known.id])
            moves = [HeadMove(name=head_of(name), to=fact.id, expect=newest)]
            try:
                self._register(known, fact, made, moves, new.mention)
            except Conflict as error:
                if error.code != "head-moved":
                    raise
                continue  # somebody else took the number
            return self.get(name, made.version)
        raise Conflict(f"others kept registering versions of {name!r}", code="busy")

    def get(self, name: str, number: int) -> Version:
        """Return a version.

        Raises:
            NotFound: There is no such name or version.
        """
        known = self._named(name, number)
        document = self._document(known, number)
        aliases = tuple(alias for alias, points_at in known.aliases.items() if points_at == number)
        return to_version(document, aliases)

    def search(
        self,
        where: Condition,
        *,
        order: Sequence[Order] = (),
        after: Position | None = None,
        limit: int = 1000,
    ) -> tuple[tuple[Version, ...], Position | None]:
        """Return a page of versions, and where the next one begins.

        Args:
            where: A condition on attributes of the versions' documents.
            order: By what; the last changed first when nothing is said. What it leaves open is
                decided by the name, then by the greater number.
            after: Where an earlier page of the same search ended.
            limit: 1 to 50,000.
        """
        by_change = () if order else (Order("last_updated_timestamp", falls=True),)
        ties = (*by_change, Order("name"), Order("version_number", falls=True))
        named = {item.name for item in order}
        found = self._stores.catalog.search(
            Search(
                collection=VERSIONS,
                groups=(self._scope.project,),
                where=where,
                order=(*order, *(item for item in ties if item.name not in named)),
                after=after,
                limit=limit,
            )
        )
        return self._with_aliases(found.documents), found.after

    def latest(self, registered: Sequence[str]) -> dict[str, list[Version]]:
        """Return the greatest version in each stage, of each of several names.

        Args:
            registered: Their identifiers.
        """
        newest: dict[tuple[str, str], Document] = {}
        for document in self._staged_and_newest(registered):
            found = document.attributes
            newest.setdefault((str(found["registered"]), str(found["current_stage"])), document)
        by_name: dict[str, list[Version]] = {each: [] for each in registered}
        for version in self._with_aliases(tuple(newest.values())):
            by_name[version.registered].append(version)
        return by_name

    def describe(self, name: str, number: int, description: str) -> Version:
        """Give a version another description."""
        document = self._document(self._named(name, number), number)
        self._change(document, {"description": description})
        return self.get(name, number)

    def tag(self, name: str, number: int, key: str, value: str) -> None:
        """Set a tag of a version.

        Raises:
            Invalid: It is malformed, or one that says that something is deprecated.
        """
        check_tags({key: value}, most_value=_MOST_VALUE)
        check_free_tag(key)
        known = self._named(name, number)
        self._change(
            self._document(known, number),
            {"tags": {key: value}},
            news=self._news.of_tag(known, key, value, number),
        )

    def untag(self, name: str, number: int, key: str) -> None:
        """Take a tag of a version away; one that is not there is no error."""
        check_tags({key: ""})
        check_free_tag(key)
        known = self._named(name, number)
        document = self._document(known, number)
        if f"tags.{key}" in document.attributes:
            news = self._news.of_tag(known, key, None, number)
            self._change(document, {"dropped": (key,)}, news=news)

    def move(self, name: str, number: int, stage: VersionStage, *, archive: bool) -> Version:
        """Bring a version to a stage.

        Args:
            name: The name.
            number: The version's number.
            stage: Where it shall stand.
            archive: Whether other versions that stand there are archived.

        Raises:
            Invalid: Others shall be archived from a stage that is not active.
            Forbidden: That stage, or the one it leaves, is protected, and this is not approved
                (code `approval-needed`).
        """
        if archive and stage not in ACTIVE_STAGES:
            raise Invalid(
                "Model version transition cannot archive existing model versions because "
                f"'{stage}' is not an Active stage. Valid stages are {list(ACTIVE_STAGES)}",
                code="bad-stage",
            )
        for _ in range(_ATTEMPTS):
            try:
                self._move(name, number, stage, archive=archive)
            except Conflict as error:
                if error.code != "head-moved":
                    raise
                continue  # somebody else moved a version of this name
            return self.get(name, number)
        raise Conflict(f"others kept moving versions of {name!r}", code="busy")

    def _move(self, name: str, number: int, stage: VersionStage, *, archive: bool) -> None:
        known = self._named(name, number)
        place = stages_head(known.id)
        last = self._stores.ledger.head(self._scope.project, place)
        document = self._document(known, number)
        passage = self._models.passage(name, stage_place(stage), document.notes["fact"])
        leave = self._leave(known, document, stage)
        others = self._in_stage(known.id, stage) if archive else ()
        moving: list[tuple[Document, VersionStage]] = [(document, stage)]
        moving.extend((other, "Archived") for other in others if other.id != document.id)
        facts, now = [*passage.facts, *leave.facts], self._models.now_ms()
        amendments = [touched_name(known.id, now)]
        for other, where in moving:
            fact, amendment = self._changing(other, {"stage": where}, now)
            facts.append(fact)
            amendments.append(amendment)
        reason = f"{name}:{number} comes to stage {stage}"
        turn = HeadMove(name=place, to=facts[-1].id, expect=last and last.target)
        heads = (*passage.moves, *leave.moves, turn)
        batch = self._scope.batch(reason, facts, heads=heads, documents=amendments)
        self._stores.ledger.commit(batch)

    def delete(self, name: str, number: int) -> None:
        """Take a version and its aliases away; its number is not given again.

        Raises:
            NotFound: There is no such name or version.
            Invalid: An endpoint serves it (code `served`).
        """
        known = self._named(name, number)
        document = self._document(known, number)
        model: str = document.notes["fact"]
        self._models.demand_unserved(known, [document])
        moves = [
            HeadMove(name=head_of(name, alias), to=None, expect=model)
            for alias, points_at in known.aliases.items()
            if points_at == number
        ]
        moves += self._models.approvals.thawing([model])
        now = self._models.now_ms()
        deleted = VersionsDeleted(name=name, models=(model,), at_ms=now)
        batch = self._scope.batch(
            f"delete the model version {name}:{number}",
            [draft(deleted, parents=[model])],
            heads=moves,
            documents=[*gone_versions([document.id]), touched_name(known.id, now)],
        )
        self._stores.ledger.commit(batch)

    # ------------------------------------------------------------------- inside

    def _origin(self, new: NewVersion) -> Origin:
        return self._origins.find(new.source, new.run, new.logged_model, self._copied)

    def _copied(self, name: str, number: int, alias: str) -> Version | None:
        """Return the version that shall be copied, by number or alias; the number 0: the latest."""
        found = number or self._models.aliased(name, alias or "latest")
        return None if found is None else self.get(name, found)

    def _register(
        self,
        known: RegisteredName,
        fact: Draft,
        made: LoggedVersion,
        moves: list[HeadMove],
        mention: str,
    ) -> None:
        facts, now = [fact, *born_deprecated(fact.id, made.tags)], made.at_ms or 0
        project, user = self._scope.project, self._scope.actor
        document = new_version(project, fact.id, made, user=user, now_ms=now)
        documents = [
            touched_name(known.id, now),
            document,
            *registered_from(made, now, self._is_known),
        ]
        if mention and made.logged_model is not None:
            told, amendment, move = self._origins.mentioning(made, fact.id, mention)
            facts.append(told)
            documents.append(amendment)
            moves.append(move)
        reason = f"log the model version {made.name}:{made.version}"
        news = self._news.of_version(made)
        batch = self._scope.batch(reason, facts, heads=moves, documents=documents, tasks=news)
        self._stores.ledger.commit(batch)

    def _is_known(self, collection: str, id: str) -> bool:
        return bool(self._stores.catalog.get(collection, [id]))

    def _named(self, name: str, number: int) -> RegisteredName:
        """Return the name of a version; where nobody has it, it is the version that is missing."""
        try:
            return self._models.get(name)
        except NotFound as error:
            raise no_version(name, number) from error

    def _document(self, known: RegisteredName, number: int) -> Document:
        found = self._stores.catalog.get(VERSIONS, [version_id(known.id, number)])
        if not found:
            raise no_version(known.name, number)
        return found[0]

    def _leave(self, known: RegisteredName, document: Document, stage: VersionStage) -> Passage:
        """Return what leaving its stage must write beside it; refuse it without an approval."""
        before = stage_of(str(document.attributes["current_stage"]))
        if before in {"None", stage}:
            return Passage()
        number = int(document.attributes["version_number"])
        leaving = Content(model=document.notes["fact"], label=f"{known.name}:{number} out of it")
        return self._models.approvals.demand(known.name, stage_place(before), lambda: leaving)

    def _in_stage(self, registered: str, stage: VersionStage) -> Iterable[Document]:
        where = Every(
            (Compare("registered", "=", registered), Compare("current_stage", "=", stage))
        )
        return walk(self._stores.catalog, self._newest(where))

    def _staged_and_newest(self, registered: Sequence[str]) -> Iterable[Document]:
        """Yield the versions among which the greatest of each stage are, the greatest first.

        Few versions ever come to a stage. So those are read, and of the rest only the greatest.
        """
        staged = Every(
            (OneOf("registered", tuple(registered)), Compare("current_stage", "!=", "None"))
        )
        yield from walk(self._stores.catalog, self._newest(staged))
        for each in registered:
            plain = Every((Compare("registered", "=", each), Compare("current_stage", "=", "None")))
            wanted = msgspec.structs.replace(self._newest(plain), limit=1)
            yield from self._stores.catalog.search(wanted).documents

    def _newest(self, where: Condition) -> Search:
        return Search(
            collection=VERSIONS,
            groups=(self._scope.project,),
            where=where,
            order=(Order("version_number", falls=True),),
            limit=1000,
        )

    def _with_aliases(self, documents: Sequence[Document]) -> tuple[Version, ...]:
        names = {str(document.attributes["name"]) for document in documents}
        aliases = {name: self._models.aliases(name) for name in names}
        found: list[Version] = []
        for document in documents:
            number = document.attributes["version_number"]
            own = aliases[str(document.attributes["name"])]
            found.append(
                to_version(document, tuple(alias for alias, at in own.items() if at == number))
            )
        return tuple(found)

    def _change(
        self,
        document: Document,
        what: Mapping[str, Any],
        *,
        news: Iterable[TaskNew] = (),
    ) -> None:
        fact, amendment = self._changing(document, what, self._models.now_ms())
        reason = f"model version {document.attributes['name']}"
        batch = self._scope.batch(reason, [fact], documents=[amendment], tasks=news)
        self._stores.ledger.commit(batch)

    def _changing(
        self, document: Document, what: Mapping[str, Any], at_ms: int
    ) -> tuple[Draft, Amendment]:
        model: str = document.notes["fact"]
        changed = VersionChanged(model=model, **what, at_ms=at_ms)
        return draft(changed, parents=[model]), changed_version(document.id, changed, at_ms)
