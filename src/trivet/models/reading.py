"""Reading the registry: what is there, which versions are gone, and which number one has."""

from trivet.core.errors import NotFound
from trivet.core.facts import Entry, read
from trivet.core.ids import check_id
from trivet.core.ports import Stores
from trivet.core.search import find_all
from trivet.models.facts import LoggedVersion, ModelVersion, NameRegistered, VersionsDeleted
from trivet.models.names import head_of


def entry_of(stores: Stores, project: str, id: str, what: str) -> Entry:
    """Return the entry of an identifier.

    Raises:
        Invalid: It is no identifier.
        NotFound: The project has no such entry; `what` is what errors call it.
    """
    entry = stores.ledger.get(check_id(id, what))
    if entry is None or entry.project != project:
        raise NotFound(
            f"no {what} {id} in project {project!r}",
            code=f"no-{what}",
            hint="Copy the identifier as Trivet printed it.",
        )
    return entry


def known_entries(stores: Stores, project: str, kind: str, where: dict[str, str]) -> list[Entry]:
    """Return every entry of a kind that was not forgotten, oldest first."""
    found = find_all(stores.ledger, kind, where=where, project=project)
    return [entry for entry in found if entry.payload is not None]


def deleted_models(stores: Stores, project: str, name: str) -> set[str]:
    """Return the versions of a name that were deleted."""
    found = find_all(stores.ledger, VersionsDeleted.KIND, where={"name": name}, project=project)
    facts = (read(entry, VersionsDeleted) for entry in found if entry.payload is not None)
    return {model for fact in facts for model in fact.models}


def number_behind(stores: Stores, project: str, name: str) -> tuple[str | None, int]:
    """Return what the head of a name's newest version points at, and the last number given."""
    head = stores.ledger.head(project, head_of(name))
    return (None, 0) if head is None else (head.target, number_of(stores, head.target))


def number_of(stores: Stores, fact: str) -> int:
    """Return the number of a version, packaged or logged; a name alone has given none yet: 0."""
    entry = stores.ledger.get(fact)
    if entry is not None and entry.kind == NameRegistered.KIND:
        return 0
    if entry is not None and entry.kind == LoggedVersion.KIND:
        return read(entry, LoggedVersion).version
    return read(entry, ModelVersion).version
