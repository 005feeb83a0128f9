"""Landing registered models of other stores: names, versions with their numbers, aliases."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from trivet.core.catalog import Amendment, Document, Value
from trivet.core.errors import Invalid
from trivet.core.facts import Draft, HeadMove, Scope, draft
from trivet.core.moving import HeldName, HeldVersion
from trivet.core.ports import Stores
from trivet.models.approvals import Approvals, stage_place
from trivet.models.documents import REGISTERED, VERSIONS, new_name, new_version, version_id
from trivet.models.facts import (
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
from trivet.models.reading import number_behind
from trivet.tracking.importing.cleaning import Remarks, clean_text, clean_texts, digest_of
from trivet.tracking.importing.experiments import IMPRINT
from trivet.tracking.reporting.facts import Imported

_AT_ONCE: Final = 300
"""How many versions one commit brings."""
_ORIGIN: Final = "origin"


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
        source: Which store they come from.
        remarks: Told of what is otherwise here.
        origin_of: Says where a version's files are here.
    """

    def __init__(
        self, stores: Stores, scope: Scope, source: str, remarks: Remarks, origin_of: OriginOf
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._source = source
        self._remarks = remarks
        self._origin_of = origin_of
        self._approvals = Approvals(stores.ledger, scope)

    def is_new(self, held: HeldName) -> bool:
        """Say whether nobody has the name here."""
        return self._head(registered_head(held.name)) is None

    def land(self, held: HeldName) -> int:
        """Let a name be here as it is there; return how many versions are new.

        A name that cannot be registered here is remarked and left out.
        """
        try:
            check_registered_name(held.name)
        except Invalid:
            self._remarks.note(f"the registered model {held.name[:100]!r} has no name for here")
            return 0
        registered = self._name(held)
        numbers: dict[int, str] = {}
        count = 0
        for start in range(0, len(held.versions), _AT_ONCE):
            part = held.versions[start : start + _AT_ONCE]
            count += self._versions(held, registered, part, numbers)
        self._aliases(held, numbers)
        noted = {IMPRINT: digest_of(held)}
        now: dict[str, Value] = {"last_updated_timestamp": held.changed_ms or held.made_ms}
        self._stores.catalog.write(
            [Amendment(collection=REGISTERED, id=registered, set=now, note=noted)]
        )
        return count

    # ------------------------------------------------------------------- the name

    def _name(self, held: HeldName) -> str:
        """Return the `registered-model` fact of a name, which is brought up to date."""
        registered = self._head(registered_head(held.name))
        if registered is None:
            return self._register(held)
        document = self._stores.catalog.get(REGISTERED, [registered])[0]
        if document.notes.get(IMPRINT) != digest_of(held):
            self._change(held, registered, document)
        return registered

    def _register(self, held: HeldName) -> str:
        imported = Imported(
            source=self._source, id=held.name, made_ms=held.made_ms, changed_ms=held.changed_ms
        )
        made = NameRegistered(
            name=held.name,
            description=self._described(held.description, held.name),
            tags=clean_texts(held.tags, "tag", self._remarks),
            imported=imported,
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

    def _change(self, held: HeldName, registered: str, document: Document) -> None:
        tags = self._news(held.tags, document)
        description = self._described(held.description, held.name)
        changed = NameChanged(
            registered=registered,
            description=description if description != document.notes.get("description") else None,
            tags=tags,
            imported=Imported(source=self._source, id=held.name, changed_ms=held.changed_ms),
        )
        noted = {} if changed.description is None else {"description": changed.description}
        if noted or tags:
            amendment = Amendment(
                collection=REGISTERED, id=registered, set=_prefixed(tags), note=noted
            )
            self._commit(held.name, [draft(changed, parents=[registered])], [amendment])

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
                fact, amendment = self._new(held, registered, version)
                facts.append(fact)
                documents.append(amendment)
                numbers[version.number] = fact.id
                count += 1
                if version.number > greatest:
                    greatest, head = version.number, fact.id
            elif document.notes.get(_ORIGIN) != _origin(held, version):
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
        self, held: HeldName, registered: str, version: HeldVersion
    ) -> tuple[Draft, Amendment]:
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
            imported=Imported(
                source=self._source,
                id=str(version.number),
                made_ms=version.made_ms,
                changed_ms=version.changed_ms,
                user=version.user,
            ),
        )
        fact = draft(made, parents=[registered])
        document = new_version(
            self._scope.project, fact.id, made, user=version.user, now_ms=version.made_ms
        )
        stage = self._stage(held.name, version)
        now: dict[str, Value] = {
            "current_stage": stage,
            "last_updated_timestamp": version.changed_ms or version.made_ms,
        }
        noted = {_ORIGIN: _origin(held, version), IMPRINT: digest_of(version)}
        whole = msgspec.structs.replace(
            document, set={**document.set, **now}, note={**document.note, **noted}
        )
        return fact, whole

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
        tags = self._news(version.tags, document)
        stage = self._stage(name, version)
        description = self._described(version.description, name)
        is_described = description is not None and description != document.notes.get("description")
        changed = VersionChanged(
            model=document.notes["fact"],
            stage=stage if stage != document.attributes["current_stage"] else None,
            description=description if is_described else None,
            tags=tags,
            imported=Imported(
                source=self._source, id=str(version.number), changed_ms=version.changed_ms
            ),
        )
        now: dict[str, Value] = {
            **_prefixed(tags),
            "current_stage": stage,
            "last_updated_timestamp": version.changed_ms or version.made_ms,
        }
        noted: dict[str, Any] = {IMPRINT: digest_of(version)}
        if is_described:
            noted["description"] = description
        facts.append(draft(changed, parents=[changed.model]))
        documents.append(Amendment(collection=VERSIONS, id=document.id, set=now, note=noted))

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

    def _aliases(self, held: HeldName, numbers: Mapping[int, str]) -> None:
        moves: list[HeadMove] = []
        for alias, number in held.aliases.items():
            place = head_of(held.name, alias)
            model, now = numbers.get(number), self._head(place)
            if model is not None and now != model and self._may_move(held.name, alias, now):
                moves.append(HeadMove(name=place, to=model, expect=now))
        if moves:
            self._commit(held.name, [], [], moves)

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


def _origin(held: HeldName, version: HeldVersion) -> str:
    """Return what a version is known by, whichever way its store was reached."""
    return f"{held.name}/{version.number}@{version.made_ms}"


def _prefixed(tags: Mapping[str, str]) -> dict[str, Value]:
    return {f"tags.{key}": value for key, value in tags.items()}
