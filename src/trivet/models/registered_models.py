"""Registered models: names with a description, tags and aliases, and the versions below them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

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
from trivet.core.facts import Entry, HeadMove, Scope, TaskNew, draft
from trivet.core.ports import Stores
from trivet.core.search import find_all, walk
from trivet.models.amending import (
    changed_name,
    gone_versions,
    renamed_versions,
    touched_name,
)
from trivet.models.approvals import Approvals, Passage
from trivet.models.contents import Content, Contents
from trivet.models.deprecations import born_deprecated
from trivet.models.documents import (
    REGISTERED,
    VERSIONS,
    new_name,
    to_name,
    version_id,
)
from trivet.models.facts import (
    AliasChanged,
    ModelVersion,
    NameChanged,
    NameRegistered,
    RegisteredName,
    VersionsDeleted,
)
from trivet.models.names import (
    check_alias,
    check_registered_name,
    head_of,
    registered_head,
    stage_of,
)
from trivet.models.protections import stage_place
from trivet.models.reading import deleted_models, number_of
from trivet.models.tags import check_free_tag
from trivet.models.telling import News, is_prompt
from trivet.tracking.reporting.experiments import check_tags

ServedBy = Callable[[str], str | None]
_MOST_VALUE: Final = 100_000
_PAGE: Final = 1000


class RegisteredModels:
    """The names of one project's registry.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        clock: For the times that people see.
        served_by: Given a version, the endpoint that serves it, or None.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        clock: Clock,
        *,
        served_by: ServedBy,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._clock = clock
        self._served_by = served_by
        self._contents = Contents(stores, scope)
        self._news = News(stores, scope)
        self.approvals = Approvals(stores, scope, self._contents)

    def make(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> RegisteredName:
        """Take a name.

        Raises:
            Invalid: The name or a tag is malformed.
            Conflict: Somebody has it (code `model-exists`).
        """
        check_registered_name(name)
        check_tags(dict(tags or {}), most_value=_MOST_VALUE)
        now = self.now_ms()
        made = NameRegistered(name=name, description=description, tags=dict(tags or {}), at_ms=now)
        fact = draft(made)
        moves = [HeadMove(name=registered_head(name), to=fact.id, expect=None)]
        if self._head(head_of(name)) is None:
            # Numbers of a name that had packages go on where they were: their labels are in logs.
            moves.append(HeadMove(name=head_of(name), to=fact.id, expect=None))
        document = new_name(self._scope.project, fact.id, made, user=self._scope.actor, now_ms=now)
        batch = self._scope.batch(
            f"register the name {name}",
            [fact, *born_deprecated(fact.id, made.tags)],
            heads=moves,
            documents=[document],
            tasks=self._news.of_name(made),
        )
        try:
            self._stores.ledger.commit(batch)
        except Conflict as error:
            raise self._taken(name, made) from error
        return self.get(name)

    def get(self, name: str) -> RegisteredName:
        """Return a name as it stands.

        Raises:
            NotFound: Nobody has taken it.
            Invalid: It is no name.
        """
        check_registered_name(name)
        head = self._head(registered_head(name))
        found = self._stores.catalog.get(REGISTERED, [head]) if head else ()
        if not found:
            raise NotFound(f"Registered Model with name={name} not found", code="no-registered")
        return to_name(found[0], self.aliases(name))

    def search(
        self,
        where: Condition,
        *,
        order: Sequence[Order] = (),
        after: Position | None = None,
        limit: int = 100,
    ) -> tuple[tuple[RegisteredName, ...], Position | None]:
        """Return a page of names, and where the next one begins.

        Args:
            where: A condition on attributes of the names' documents.
            order: By what; then by name.
            after: Where an earlier page of the same search ended.
            limit: 1 to 50,000.
        """
        ties = () if any(item.name == "name" for item in order) else (Order("name"),)
        found = self._stores.catalog.search(
            Search(
                collection=REGISTERED,
                groups=(self._scope.project,),
                where=where,
                order=(*order, *ties),
                after=after,
                limit=limit,
            )
        )
        names = (str(document.attributes["name"]) for document in found.documents)
        pairs = zip(found.documents, map(self.aliases, names), strict=True)
        return tuple(to_name(document, aliases) for document, aliases in pairs), found.after

    def rename(self, name: str, new: str) -> RegisteredName:
        """Give everything that has a name another one: its versions, its aliases.

        Raises:
            NotFound: Nobody has the name.
            Conflict: Somebody has the new one (code `model-exists`).
            Invalid: The new one is malformed, packages have the name (code `has-packages`), or an
                alias is protected (`protected`).
        """
        check_registered_name(new)
        known = self.get(name)
        if new == name:
            return known
        if any(self.packaged(name)):
            raise Invalid(
                f"{name!r} has packaged versions: verdicts and releases know them by this name",
                code="has-packages",
                hint="Register them under the other name by their own verdicts.",
            )
        documents = list(self._documents(known.id))
        for each in (name, new):  # nor does an alias come to a protected place this way
            self._demand_unprotected(each, known.aliases)
            self._demand_unstaged(each, documents)
        newest = self._head(head_of(name))
        moves = [
            HeadMove(name=registered_head(name), to=None, expect=known.id),
            HeadMove(name=registered_head(new), to=known.id, expect=None),
            HeadMove(name=head_of(name), to=None, expect=newest),
            HeadMove(name=head_of(new), to=newest, expect=None),
        ]
        for head in self._alias_heads(name):
            alias = head.name.rpartition("@")[2]
            moves.append(HeadMove(name=head.name, to=None, expect=head.target))
            moves.append(HeadMove(name=head_of(new, alias), to=head.target, expect=None))
        now = self.now_ms()
        changed = NameChanged(registered=known.id, name=new, at_ms=now)
        renamed = tuple(renamed_versions((each.id for each in documents), new, now))
        try:
            self._change(known, changed, documents=renamed, moves=moves)
        except Conflict as error:
            raise _exists(new) from error
        return self.get(new)

    def describe(self, name: str, description: str) -> RegisteredName:
        """Give a name another description."""
        known = self.get(name)
        changed = NameChanged(registered=known.id, description=description, at_ms=self.now_ms())
        self._change(known, changed)
        return self.get(name)

    def tag(self, name: str, key: str, value: str) -> None:
        """Set a tag of a name.

        Raises:
            Invalid: It is malformed, or one that says that something is deprecated.
        """
        check_tags({key: value}, most_value=_MOST_VALUE)
        check_free_tag(key)
        known = self.get(name)
        changed = NameChanged(registered=known.id, tags={key: value}, at_ms=self.now_ms())
        self._change(known, changed, tasks=self._news.of_tag(known, key, value))

    def untag(self, name: str, key: str) -> None:
        """Take a tag of a name away; one that is not there is no error."""
        check_tags({key: ""})
        check_free_tag(key)
        known = self.get(name)
        if key in known.tags:
            changed = NameChanged(registered=known.id, dropped=(key,), at_ms=self.now_ms())
            self._change(known, changed, tasks=self._news.of_tag(known, key, None))

    def delete(self, name: str) -> None:
        """Give a name up, with its versions, tags and aliases; what was recorded stays recorded.

        Raises:
            NotFound: Nobody has the name.
            Invalid: An endpoint serves a version (code `served`).
        """
        known = self.get(name)
        documents = list(self._documents(known.id))
        self.demand_unserved(known, documents)
        moves = [HeadMove(name=registered_head(name), to=None, expect=known.id)]
        moves += [
            HeadMove(name=head.name, to=None, expect=head.target)
            for head in self._alias_heads(name)
        ]
        newest = self._head(head_of(name))
        if not any(self._packages_ever(name)):
            moves.append(HeadMove(name=head_of(name), to=None, expect=newest))
        now = self.now_ms()
        deleted = NameChanged(registered=known.id, is_deleted=True, at_ms=now)
        gone = gone_versions(document.id for document in documents)
        facts = [draft(deleted, parents=[known.id])]
        models = tuple(document.notes["fact"] for document in documents)
        if models:
            away = VersionsDeleted(name=name, models=models, at_ms=now)
            facts.append(draft(away, parents=[known.id, *models]))
            moves += self.approvals.thawing(list(models))
        self._stores.ledger.commit(
            self._scope.batch(
                f"delete the registered model {name}",
                facts,
                heads=moves,
                documents=[changed_name(deleted, now), *gone],
            )
        )

    # ------------------------------------------------------------------ aliases

    def _taken(self, name: str, wanted: NameRegistered) -> Conflict:
        """Say who has a name: prompts and models share one set of names."""
        wants_prompt, has_prompt = is_prompt(wanted.tags), is_prompt(self.get(name).tags)
        if wants_prompt == has_prompt:
            return _exists(name, "Prompt" if has_prompt else "Registered Model")
        words = ("prompt", "registered model") if wants_prompt else ("registered model", "prompt")
        return Conflict(
            f"Tried to create a {words[0]} with name {name!r}, but the name is already taken by a "
            f"{words[1]}.",
            code="model-exists",
            hint="Choose another name.",
        )

    def aliases(self, name: str) -> dict[str, int]:
        """Return the numbers of the versions that a name's aliases point at."""
        heads = self._alias_heads(name)
        return {h.name.rpartition("@")[2]: number_of(self._stores, h.target) for h in heads}

    def aliased(self, name: str, alias: str) -> int | None:
        """Return the number of the version that an alias points at, or None.

        `latest` is the greatest number there is.
        """
        if alias.lower() == "latest":
            document = next(self._documents(self.get(name).id, newest_first=True), None)
            return None if document is None else int(document.attributes["version_number"])
        target = self._head(head_of(name, alias))
        return None if target is None else number_of(self._stores, target)

    def set_alias(
        self, name: str, alias: str, number: int, *, reason: str = "", force: str = ""
    ) -> None:
        """Point an alias at a version.

        Args:
            name: The name.
            alias: The alias.
            number: The version's number.
            reason: Why it moves; programs do not say.
            force: Why a protected alias shall point at a deprecated version all the same.

        Raises:
            NotFound: There is no such name or version.
            Invalid: The alias is malformed or reserved.
            Forbidden: It is protected, and this is not approved (code `approval-needed`), or the
                version is deprecated (`deprecated`).
        """
        check_alias(alias)
        known = self.get(name)
        found = self._stores.catalog.get(VERSIONS, [version_id(known.id, number)])
        if not found:
            raise no_version(name, number)
        model: str = found[0].notes["fact"]
        passage = self.passage(name, alias, model, force=force)
        move = HeadMove(name=head_of(name, alias), to=model, expect=passage.expect)
        news = self._news.of_alias(known, alias, number)
        why = reason.strip() or f"alias {name}@{alias} is version {number}"
        self._move(known, why, move, passage, news)

    def drop_alias(self, name: str, alias: str, *, reason: str = "") -> None:
        """Take an alias away; one that is not there is no error.

        Raises:
            Forbidden: It is protected, and this is not approved (code `approval-needed`).
        """
        known = self.get(name)
        if alias in known.aliases:
            passage = self.passage(name, alias, None)
            move = HeadMove(name=head_of(name, alias), to=None, expect=passage.expect)
            news = self._news.of_alias(known, alias, None)
            self._move(known, reason.strip() or f"drop alias {name}@{alias}", move, passage, news)

    # ------------------------------------------------- for the versions of names

    def packaged(self, name: str) -> Iterable[Entry]:
        """Yield the packaged versions of a name that were not deleted, oldest first."""
        ledger, project = self._stores.ledger, self._scope.project
        gone = deleted_models(self._stores, project, name)
        for entry in find_all(ledger, ModelVersion.KIND, where={"name": name}, project=project):
            if entry.payload is not None and entry.id not in gone:
                yield entry

    def passage(self, name: str, alias: str, model: str | None, *, force: str = "") -> Passage:
        """Return what moving an alias, or reaching a stage, must write beside it.

        Raises:
            Forbidden: It is protected, and this is not approved (code `approval-needed`).
        """

        def content() -> Content:
            if model is None:
                return Content(model=None, label="nothing")
            return self._contents.of(model)

        return self.approvals.demand(name, alias, content, force=force)

    def demand_unserved(self, known: RegisteredName, documents: Sequence[Document]) -> None:
        """Refuse to delete what answers requests, or what a protected alias points at.

        Raises:
            Invalid: An endpoint serves one of the versions (code `served`), or a protected alias
                points at one (`protected`).
        """
        name = known.name
        for document in documents:
            endpoint = self._served_by(document.notes["fact"])
            if endpoint is not None:
                number = int(document.attributes["version_number"])
                raise Invalid(
                    f"{name}:{number} is served by the endpoint {endpoint!r} and cannot be deleted",
                    code="served",
                    hint="Release another version there first.",
                )
            number = document.attributes["version_number"]
            pointing = {alias: at for alias, at in known.aliases.items() if at == number}
            self._demand_unprotected(name, pointing)
        self._demand_unstaged(name, documents)

    def _demand_unprotected(self, name: str, aliases: Mapping[str, int]) -> None:
        for alias, number in aliases.items():
            if self.approvals.needed(f"{name}@{alias}"):
                raise Invalid(
                    f"the alias {name}@{alias} is protected, and it points at version {number}",
                    code="protected",
                    hint="Move the alias first, which others approve.",
                )

    def _demand_unstaged(self, name: str, documents: Iterable[Document]) -> None:
        for document in documents:
            stage = stage_of(str(document.attributes["current_stage"]))
            if stage != "None" and self.approvals.needed(f"{name}@{stage_place(stage)}"):
                number = int(document.attributes["version_number"])
                raise Invalid(
                    f"the stage {stage} of {name} is protected, and version {number} stands there",
                    code="protected",
                    hint="Bring the version to another stage first, which others approve.",
                )

    def now_ms(self) -> int:
        """Return the time, in milliseconds since 1970 (UTC)."""
        return to_micros(self._clock.now()) // 1000

    # ------------------------------------------------------------------- inside

    def _packages_ever(self, name: str) -> Sequence[Entry]:
        page = self._stores.ledger.find(
            ModelVersion.KIND, where={"name": name}, project=self._scope.project, limit=1
        )
        return page.entries

    def _head(self, name: str) -> str | None:
        head = self._stores.ledger.head(self._scope.project, name)
        return None if head is None else head.target

    def _alias_heads(self, name: str) -> Sequence[Any]:
        return self._stores.ledger.heads(self._scope.project, f"{head_of(name)}@")

    def _documents(self, registered: str, *, newest_first: bool = False) -> Iterator[Document]:
        wanted = Search(
            collection=VERSIONS,
            groups=(self._scope.project,),
            where=Compare("registered", "=", registered),
            order=(Order("version_number", falls=newest_first),),
            limit=_PAGE,
        )
        return walk(self._stores.catalog, wanted)

    def _move(
        self,
        known: RegisteredName,
        reason: str,
        move: HeadMove,
        passage: Passage,
        news: Iterable[TaskNew],
    ) -> None:
        now = self.now_ms()
        changed = AliasChanged(
            registered=known.id,
            alias=move.name.rpartition("@")[2],
            model=move.to,
            at_ms=now,
        )
        moved = draft(changed, parents=[known.id])
        batch = self._scope.batch(
            reason,
            [*passage.facts, moved],
            heads=[move, *passage.moves],
            documents=[touched_name(known.id, now)],
            tasks=news,
        )
        self._stores.ledger.commit(batch)

    def _change(
        self,
        known: RegisteredName,
        changed: NameChanged,
        *,
        documents: Sequence[Amendment] = (),
        moves: Sequence[HeadMove] = (),
        tasks: Iterable[TaskNew] = (),
    ) -> None:
        fact = draft(changed, parents=[known.id])
        reason = f"registered model {known.name}"
        every = [changed_name(changed, changed.at_ms or 0), *documents]
        batch = self._scope.batch(reason, [fact], heads=moves, documents=every, tasks=tasks)
        self._stores.ledger.commit(batch)


def no_version(name: str, number: int | str) -> NotFound:
    """Say that a version does not exist."""
    return NotFound(
        f"Model Version (name={name}, version={number}) not found", code="no-model-version"
    )


def _exists(name: str, what: str = "Registered Model") -> Conflict:
    return Conflict(
        f"{what} (name={name}) already exists",
        code="model-exists",
        hint="Choose another name, or register a version of this one.",
    )
