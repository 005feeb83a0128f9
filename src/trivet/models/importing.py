"""Landing registered models of other stores: names, versions with their numbers, aliases."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from trivet.core.catalog import Amendment, Document
from trivet.core.clock import Clock, to_micros
from trivet.core.errors import Invalid
from trivet.core.facts import Draft, HeadMove, Scope, draft
from trivet.core.moving import HeldName, HeldVersion
from trivet.core.ports import Stores
from trivet.models.amending import (
    changed_name,
    changed_version,
    registered_from,
    touched_name,
)
from trivet.models.approvals import Approvals
from trivet.models.deprecations import born_deprecated
from trivet.models.documents import (
    ORIGIN,
    REGISTERED,
    VERSIONS,
    new_name,
    new_version,
    version_id,
    version_origin,
)
from trivet.models.facts import (
    AliasChanged,
    LoggedVersion,
    NameChanged,
    NameRegistered,
    VersionChanged,
    VersionStage,
)
from trivet.models.names import (
    check_alias,
    check_registered_name,
    head_of,
    registered_head,
    stage_of,
)
from trivet.models.protections import stage_place
from trivet.models.reading import number_behind
from trivet.tracking.importing.cleaning import Remarks, clean_text, clean_texts, digest_of
from trivet.tracking.reporting.documents import IMPRINT
from trivet.tracking.reporting.facts import Imported

_AT_ONCE: Final = 300
"""How many versions one commit brings."""


class Origin(msgspec.Struct, frozen=True):
    """Where a version's files are here: the address clients get, and whose artifacts they are."""

    location: str = ""
    run: str | None = None
    logged_model: str | None = None


OriginOf = Callable[[HeldVersion], Origin]


class NameLanding:
    """Brings registered models of one store into a project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        clock: Says when they came.
        source: Which store they come from.
        remarks: Told of what is otherwise here.
        origin_of: Says where a version's files are here.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        clock: Clock,
        source: str,
        remarks: Remarks,
        origin_of: OriginOf,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._clock = clock
        self._source = source
        self._remarks = remarks
        self._origin_of = origin_of
        self._approvals = Approvals(stores, scope)

    def is_new(self, held: HeldName) -> bool:
        """Say whether nobody has the name here."""
        return self._head(registered_head(held.name)) is None

    def land(self, held: HeldName, *, again: bool = False) -> int:
        """Let a name be here as it is there; return how many versions are new.

        A name that cannot be registered here is remarked and left out. What was done here stays
        while nothing changes there, a version that was deleted for example.

        Args:
            held: As it is there.
            again: Look at it even when it did not change there.
        """
        try:
            check_registered_name(held.name)
        except Invalid:
            self._remarks.note(f"the registered model {held.name[:100]!r} has no name for here")
            return 0
        standing = self._head(registered_head(held.name))
        if standing is not None and not again and self._is_same(held, standing):
            return 0
        registered = standing or self._register(held)
        numbers: dict[int, str] = {}
        count = 0
        for start in range(0, len(held.versions), _AT_ONCE):
            part = held.versions[start : start + _AT_ONCE]
            count += self._versions(held, registered, part, numbers)
        self._aliases(held, registered, numbers)
        self._settle(held, registered)
        return count

    # ------------------------------------------------------------------- the name

    def _register(self, held: HeldName) -> str:
        made = NameRegistered(
            name=held.name,
            description=self._described(held.description, held.name),
            tags=clean_texts(held.tags, "tag", self._remarks),
            imported=self._imported(held),
        )
        fact = draft(made)
        moves = [HeadMove(name=registered_head(held.name), to=fact.id, expect=None)]
        if self._head(head_of(held.name)) is None:
            moves.append(HeadMove(name=head_of(held.name), to=fact.id, expect=None))
        document = new_name(
            self._scope.project, fact.id, made, user=self._scope.actor, now_ms=held.made_ms
        )
        self._commit(held.name, [fact], [document], moves)
        return fact.id

    def _settle(self, held: HeldName, registered: str) -> None:
        """Say what the name itself is like there, once its versions are here."""
        if self._is_same(held, registered):
            return
        document = self._stores.catalog.get(REGISTERED, [registered])[0]
        description = self._described(held.description, held.name)
        changed = NameChanged(
            registered=registered,
            description=description if description != document.notes.get("description") else None,
            tags=self._news(held.tags, document),
            imported=self._imported(held, imprint=digest_of(held)),
        )
        fact = draft(changed, parents=[registered])
        self._commit(held.name, [fact], [changed_name(changed, held.changed_ms)])

    def _is_same(self, held: HeldName, registered: str) -> bool:
        found = self._stores.catalog.get(REGISTERED, [registered])
        return bool(found) and found[0].notes.get(IMPRINT) == digest_of(held)

    def _imported(self, held: HeldName, imprint: str = "") -> Imported:
        return Imported(
            source=self._source,
            id=held.name,
            made_ms=held.made_ms,
            changed_ms=held.changed_ms or held.made_ms,
            imprint=imprint,
        )

    # --------------------------------------------------------------- its versions

    def _versions(
        self,
        held: HeldName,
        registered: str,
        versions: Sequence[HeldVersion],
        numbers: dict[int, str],
    ) -> int:
        """Bring some versions; `numbers` is filled with the fact of each number there."""
        newest, greatest = number_behind(self._stores, self._scope.project, held.name)
        ids = [version_id(registered, version.number) for version in versions]
        standing = {document.id: document for document in self._stores.catalog.get(VERSIONS, ids)}
        facts: list[Draft] = []
        documents: list[Amendment] = []
        head = newest
        count = 0
        for version in versions:
            document = standing.get(version_id(registered, version.number))
            if document is None:
                fact = self._new(held, registered, version, facts, documents)
                numbers[version.number] = fact
                count += 1
                if version.number > greatest:
                    greatest, head = version.number, fact
            elif document.notes.get(ORIGIN) != self._origin(held, version):
                self._remarks.note(
                    f"{held.name}:{version.number} is another version here, and is left as it is"
                )
            else:
                numbers[version.number] = document.notes["fact"]
                self._amend(version, document, facts, documents)
        moves = []
        if head is not None and head != newest:
            moves = [HeadMove(name=head_of(held.name), to=head, expect=newest)]
        if facts:
            self._commit(held.name, facts, documents, moves)
        return count

    def _new(
        self,
        held: HeldName,
        registered: str,
        version: HeldVersion,
        facts: list[Draft],
        documents: list[Amendment],
    ) -> str:
        """Gather what lets a version be here; return its fact."""
        origin = self._origin_of(version)
        made = LoggedVersion(
            name=held.name,
            registered=registered,
            version=version.number,
            source=clean_text(version.source, f"source of a version of {held.name}", self._remarks),
            location=origin.location,
            run=origin.run,
            logged_model=origin.logged_model,
            run_link=version.run_link or None,
            description=self._described(version.description, held.name),
            tags=clean_texts(version.tags, "tag", self._remarks),
            imported=self._version_imported(version),
            at_ms=to_micros(self._clock.now()) // 1000,
        )
        fact = draft(made, parents=[registered])
        facts += [fact, *born_deprecated(fact.id, made.tags)]
        documents.append(
            new_version(
                self._scope.project, fact.id, made, user=version.user, now_ms=version.made_ms
            )
        )
        documents += registered_from(made, made.at_ms or 0, self._is_here)
        stage = self._stage(held.name, version)
        if stage != "None":
            changed = VersionChanged(model=fact.id, stage=stage, imported=made.imported)
            facts.append(draft(changed, parents=[fact.id]))
            place = version_id(registered, version.number)
            documents.append(changed_version(place, changed, version.changed_ms))
        return fact.id

    def _is_here(self, collection: str, id: str) -> bool:
        return bool(self._stores.catalog.get(collection, [id]))

    def _version_imported(self, version: HeldVersion) -> Imported:
        return Imported(
            source=self._source,
            id=str(version.number),
            made_ms=version.made_ms,
            changed_ms=version.changed_ms or version.made_ms,
            user=version.user,
            imprint=digest_of(version),
        )

    def _origin(self, held: HeldName, version: HeldVersion) -> str:
        return version_origin(held.name, self._version_imported(version))

    def _amend(
        self,
        version: HeldVersion,
        document: Document,
        facts: list[Draft],
        documents: list[Amendment],
    ) -> None:
        if document.notes.get(IMPRINT) == digest_of(version):
            return
        name = str(document.attributes["name"])
        stage = self._stage(name, version)
        description = self._described(version.description, name)
        is_described = description is not None and description != document.notes.get("description")
        changed = VersionChanged(
            model=document.notes["fact"],
            stage=stage if stage != document.attributes["current_stage"] else None,
            description=description if is_described else None,
            tags=self._news(version.tags, document),
            imported=self._version_imported(version),
        )
        facts.append(draft(changed, parents=[changed.model]))
        documents.append(changed_version(document.id, changed, version.changed_ms))

    def _stage(self, name: str, version: HeldVersion) -> VersionStage:
        try:
            stage = stage_of(version.stage)
        except Invalid:
            self._remarks.note(f"the stage {version.stage[:50]!r} of {name} is 'None' here")
            return "None"
        if stage != "None" and self._approvals.needed(f"{name}@{stage_place(stage)}"):
            self._remarks.note(f"the stage {stage} of {name} is protected: versions stay outside")
            return "None"
        return stage

    # ------------------------------------------------------------------- aliases

    def _aliases(self, held: HeldName, registered: str, numbers: Mapping[int, str]) -> None:
        moves: list[HeadMove] = []
        facts: list[Draft] = []
        at_ms = held.changed_ms or held.made_ms
        for alias, number in held.aliases.items():
            place = head_of(held.name, alias)
            model, now = numbers.get(number), self._head(place)
            if model is not None and now != model and self._may_move(held.name, alias, now):
                moves.append(HeadMove(name=place, to=model, expect=now))
                changed = AliasChanged(registered=registered, alias=alias, model=model, at_ms=at_ms)
                facts.append(draft(changed, parents=[registered]))
        if moves:
            self._commit(held.name, facts, [touched_name(registered, at_ms)], moves)

    def _may_move(self, name: str, alias: str, now: str | None) -> bool:
        try:
            check_alias(alias)
        except Invalid:
            self._remarks.note(f"the alias {alias[:100]!r} of {name} has no name for here")
            return False
        if self._approvals.needed(f"{name}@{alias}"):
            self._remarks.note(f"the alias {name}@{alias} is protected, and was not moved")
            return False
        if now is not None and not self._was_imported(now):
            self._remarks.note(f"the alias {name}@{alias} points at a version of here, and stays")
            return False
        return True

    def _was_imported(self, model: str) -> bool:
        entry = self._stores.ledger.get(model)
        if entry is None or entry.kind != LoggedVersion.KIND or entry.payload is None:
            return False
        return msgspec.json.decode(entry.payload, type=LoggedVersion).imported is not None

    # ------------------------------------------------------------------- inside

    def _news(self, values: Mapping[str, str], document: Document) -> dict[str, str]:
        tags = clean_texts(values, "tag", self._remarks)
        found = document.attributes
        return {key: value for key, value in tags.items() if found.get(f"tags.{key}") != value}

    def _described(self, text: str | None, name: str) -> str | None:
        return None if text is None else clean_text(text, f"description of {name}", self._remarks)

    def _head(self, name: str) -> str | None:
        head = self._stores.ledger.head(self._scope.project, name)
        return None if head is None else head.target

    def _commit(
        self,
        name: str,
        facts: Sequence[Draft],
        documents: Sequence[Amendment],
        moves: Sequence[HeadMove] = (),
    ) -> None:
        reason = f"import registered model {name}"
        batch = self._scope.batch(reason, facts, heads=moves, documents=documents)
        self._stores.ledger.commit(batch)
