"""Finding versions and models by what people call them, packaged or logged alike."""

import re
from typing import Final

import msgspec

from trivet.core.catalog import Compare, Document, Every, Order, Search
from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import read
from trivet.core.ports import Stores
from trivet.core.search import walk
from trivet.models.documents import REGISTERED, VERSIONS, to_name, to_version, version_id
from trivet.models.facts import (
    LoggedVersion,
    ModelVersion,
    RegisteredName,
    Version,
)
from trivet.models.names import head_of, registered_head
from trivet.models.reading import number_of

_ID = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_SCHEME: Final = "models:/"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model, or one of its versions."""

    id: str
    """The `registered-model` fact, or the version's."""
    registered: RegisteredName
    version: Version | None = None

    @property
    def label(self) -> str:
        """`name:version`, or the name alone."""
        return self.version.label if self.version else self.registered.name


class Finder:
    """Finds what is registered in one project.

    Args:
        stores: Where it is.
        project: Whose registry.
    """

    def __init__(self, stores: Stores, project: str) -> None:
        self._stores = stores
        self._project = project

    def subject(self, reference: str) -> Subject:
        """Return a model or a version.

        Args:
            reference: `name`, or what `version` takes.

        Raises:
            NotFound: Nothing has this reference.
        """
        registered = self._named(reference) or self._known(reference)
        if registered is not None:
            return Subject(id=registered.id, registered=registered)
        version = self.version(reference)
        found = self._named(version.name)
        if found is None:
            raise _nothing(reference)
        return Subject(id=version.id, registered=found, version=version)

    def version(self, reference: str) -> Version:
        """Return a version.

        Args:
            reference: `name` (its newest version), `name:3`, `name@3`, `name@alias`,
                `models:/name/3`, or an identifier.

        Raises:
            NotFound: Nothing has this reference.
            Invalid: It is empty.
        """
        if not reference.strip():
            raise Invalid("the reference is empty; expected name:3", code="bad-reference")
        registered = self._named(reference) or self._known(reference)
        if registered is not None:
            return self._newest(registered)
        found = self._by_id(reference) if _ID.fullmatch(reference) else self._by_label(reference)
        if found is None:
            raise _nothing(reference)
        return found

    def versions(self, registered: RegisteredName) -> tuple[Version, ...]:
        """Return all versions of a model, the newest first."""
        wanted = self._of(registered)
        return tuple(
            _aliased(registered, document) for document in walk(self._stores.catalog, wanted)
        )

    def names(self) -> tuple[RegisteredName, ...]:
        """Return all models, prompts among them, by name."""
        wanted = Search(
            collection=REGISTERED,
            groups=(self._project,),
            where=Every(()),
            order=(Order("name"),),
            limit=1000,
        )
        return tuple(
            to_name(document, self._aliases(str(document.attributes["name"])))
            for document in walk(self._stores.catalog, wanted)
        )

    # ------------------------------------------------------------------- inside

    def _named(self, name: str) -> RegisteredName | None:
        head = self._stores.ledger.head(self._project, registered_head(name))
        found = self._stores.catalog.get(REGISTERED, [head.target]) if head else ()
        return to_name(found[0], self._aliases(name)) if found else None

    def _known(self, registered: str) -> RegisteredName | None:
        """Return a model by its fact, whatever it is called by now."""
        found = self._stores.catalog.get(REGISTERED, [registered] if registered else [])
        if not found or found[0].group != self._project:
            return None
        return to_name(found[0], self._aliases(str(found[0].attributes["name"])))

    def _aliases(self, name: str) -> dict[str, int]:
        heads = self._stores.ledger.heads(self._project, f"{head_of(name)}@")
        return {h.name.rpartition("@")[2]: number_of(self._stores, h.target) for h in heads}

    def _newest(self, registered: RegisteredName) -> Version:
        wanted = msgspec.structs.replace(self._of(registered), limit=1)
        for document in self._stores.catalog.search(wanted).documents:
            return _aliased(registered, document)
        raise NotFound(
            f"{registered.name} has no version",
            code="no-model",
            hint="Register one: a flow with a gate does, or mlflow.register_model.",
        )

    def _of(self, registered: RegisteredName) -> Search:
        return Search(
            collection=VERSIONS,
            groups=(self._project,),
            where=Compare("registered", "=", registered.id),
            order=(Order("version_number", falls=True),),
            limit=1000,
        )

    def _by_label(self, reference: str) -> Version | None:
        plain = reference.removeprefix(_SCHEME)
        for sign in ("@", ":", "/"):
            name, found, rest = plain.rpartition(sign)
            registered = self._named(name) if found else None
            if registered is None:
                continue
            number = registered.aliases.get(rest) if sign == "@" else None
            if number is None and _NUMBER.fullmatch(rest):
                number = int(rest)
            return None if number is None else self._numbered(registered, number)
        return None

    def _numbered(self, registered: RegisteredName, number: int) -> Version | None:
        found = self._stores.catalog.get(VERSIONS, [version_id(registered.id, number)])
        return _aliased(registered, found[0]) if found else None

    def _by_id(self, identifier: str) -> Version | None:
        entry = self._stores.ledger.get(identifier)
        if entry is None or entry.project != self._project or entry.payload is None:
            return None
        if entry.kind == LoggedVersion.KIND:
            logged = read(entry, LoggedVersion)
            registered, number = self._known(logged.registered), logged.version
        elif entry.kind == ModelVersion.KIND:
            packaged = read(entry, ModelVersion)
            registered, number = self._named(packaged.name), packaged.version
        else:
            return None
        version = None if registered is None else self._numbered(registered, number)
        return version if version is not None and version.id == identifier else None


def _aliased(registered: RegisteredName, document: Document) -> Version:
    number = document.attributes["version_number"]
    own = (alias for alias, at in registered.aliases.items() if at == number)
    return to_version(document, tuple(sorted(own)))


def _nothing(reference: str) -> NotFound:
    return NotFound(
        f"no model {reference!r}",
        code="no-model",
        hint="Write name:3 or name@alias; `trivet models list` names them.",
    )
