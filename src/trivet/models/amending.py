"""What facts of the registry make of its documents."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from trivet.core.catalog import Amendment, Compare, Document, Search, Value
from trivet.core.facts import Entry, read
from trivet.core.projecting import Known, Projectors, said_ms
from trivet.models.documents import (
    REGISTERED,
    VERSIONS,
    new_name,
    new_package,
    new_version,
    prefixed,
    version_id,
)
from trivet.models.facts import (
    AliasChanged,
    LoggedVersion,
    ModelVersion,
    NameChanged,
    NameRegistered,
    VersionChanged,
    VersionsDeleted,
)
from trivet.tracking.reporting.documents import RUNS, changed_at, imprinted
from trivet.tracking.reporting.model_points import LOGGED_MODELS

REGISTERED_MS: Final = "registered"
"""When a version was last registered from a run or a logged model: an attribute of these."""


def touched_name(registered: str, at_ms: int) -> Amendment:
    """Let the document of a name know that something of the name changed."""
    changed: dict[str, Value] = {"last_updated_timestamp": at_ms}
    return Amendment(collection=REGISTERED, id=registered, set=changed, expect="known")


def changed_name(changed: NameChanged, at_ms: int) -> Amendment:
    """Amend the document of a name, or take it away."""
    if changed.is_deleted:
        return Amendment(collection=REGISTERED, id=changed.registered, remove=True)
    now: dict[str, Value] = {
        **changed_at("last_updated_timestamp", changed.imported, at_ms),
        **prefixed(changed.tags),
    }
    if changed.name is not None:
        now["name"] = changed.name
    described = changed.description
    return Amendment(
        collection=REGISTERED,
        id=changed.registered,
        set=now,
        drop=tuple(f"tags.{key}" for key in changed.dropped),
        note={
            **({} if described is None else {"description": described}),
            **imprinted(changed.imported),
        },
        expect="known",
    )


def renamed_versions(versions: Iterable[str], name: str, at_ms: int) -> Iterator[Amendment]:
    """Amend the documents of versions whose name has another name now."""
    for version in versions:
        yield Amendment(
            collection=VERSIONS, id=version, set={"name": name, "last_updated_timestamp": at_ms}
        )


def changed_version(version: str, changed: VersionChanged, at_ms: int) -> Amendment:
    """Amend the document of a version."""
    now: dict[str, Value] = {
        **changed_at("last_updated_timestamp", changed.imported, at_ms),
        **prefixed(changed.tags),
    }
    if changed.stage is not None:
        now["current_stage"] = changed.stage
    described = changed.description
    return Amendment(
        collection=VERSIONS,
        id=version,
        set=now,
        drop=tuple(f"tags.{key}" for key in changed.dropped),
        note={
            **({} if described is None else {"description": described}),
            **imprinted(changed.imported),
        },
        expect="known",
    )


def registered_from(
    made: LoggedVersion, at_ms: int, known: Callable[[str, str], bool]
) -> Iterator[Amendment]:
    """Let the run and the logged model of a version know that it was registered from them.

    Of those that are not here, as those of a version whose files are elsewhere, nothing is said.

    Whoever removes them for good looks at that in the commit: nothing goes that is registered in
    the same moment.
    """
    origins = ((RUNS, made.run), (LOGGED_MODELS, made.logged_model))
    for collection, origin in origins:
        if origin is not None and known(collection, origin):
            changed: dict[str, Value] = {REGISTERED_MS: at_ms}
            yield Amendment(collection=collection, id=origin, set=changed, expect="known")


def gone_versions(versions: Iterable[str]) -> Iterator[Amendment]:
    """Take the documents of versions away."""
    for version in versions:
        yield Amendment(collection=VERSIONS, id=version, remove=True)


# -------------------------------------------------------------------------- from facts


def _from_name(entry: Entry, known: Known) -> Iterable[Amendment]:
    made = read(entry, NameRegistered)
    at_ms = said_ms(made.at_ms, entry)
    yield new_name(entry.project, entry.id, made, user=entry.actor, now_ms=at_ms)
    yield from _earlier_packages(entry, made.name, known)


def _earlier_packages(entry: Entry, name: str, known: Known) -> Iterator[Amendment]:
    """Make the documents of packages that were registered before names were facts."""
    for package in known.entries(ModelVersion.KIND, "name", name, project=entry.project):
        if package.seq > entry.seq:
            return
        if package.payload is not None and not _is_deleted(package, name, entry, known):
            yield _package(package, entry.id)


def _is_deleted(package: Entry, name: str, entry: Entry, known: Known) -> bool:
    deletions = known.entries(VersionsDeleted.KIND, "name", name, project=entry.project)
    return any(
        package.id in read(deleted, VersionsDeleted).models
        for deleted in deletions
        if deleted.payload is not None and deleted.seq < entry.seq
    )


def _package(entry: Entry, registered: str) -> Amendment:
    made = read(entry, ModelVersion)
    at_ms = said_ms(made.at_ms, entry)
    return new_package(entry.project, entry.id, made, registered, user=entry.actor, now_ms=at_ms)


def _from_name_change(entry: Entry, known: Known) -> Iterable[Amendment]:
    changed = read(entry, NameChanged)
    if known.document(REGISTERED, changed.registered) is None:
        return
    at_ms = said_ms(changed.at_ms, entry)
    yield changed_name(changed, at_ms)
    versions = (version.id for version in _versions(entry.project, changed.registered, known))
    if changed.is_deleted:
        yield from gone_versions(versions)
    elif changed.name is not None:
        yield from renamed_versions(versions, changed.name, at_ms)


def _from_alias(entry: Entry, known: Known) -> Iterable[Amendment]:
    changed = read(entry, AliasChanged)
    if known.document(REGISTERED, changed.registered) is not None:
        yield touched_name(changed.registered, said_ms(changed.at_ms, entry))


def _from_logged(entry: Entry, known: Known) -> Iterable[Amendment]:
    made = read(entry, LoggedVersion)
    if known.document(REGISTERED, made.registered) is not None:
        at_ms = said_ms(made.at_ms, entry)
        yield new_version(entry.project, entry.id, made, user=entry.actor, now_ms=at_ms)
        if made.imported is None:  # else the name says itself when it was changed
            yield touched_name(made.registered, at_ms)
        yield from registered_from(
            made, at_ms, lambda collection, id: known.document(collection, id) is not None
        )


def _from_package(entry: Entry, known: Known) -> Iterable[Amendment]:
    made = read(entry, ModelVersion)
    where = Compare("name", "=", made.name)
    names = Search(collection=REGISTERED, groups=(entry.project,), where=where)
    for name in known.documents(names):
        yield _package(entry, name.id)
        yield touched_name(name.id, said_ms(made.at_ms, entry))


def _from_version_change(entry: Entry, known: Known) -> Iterable[Amendment]:
    changed = read(entry, VersionChanged)
    version = _document(changed.model, entry.project, known)
    if version is None:
        return
    at_ms = said_ms(changed.at_ms, entry)
    yield changed_version(version.id, changed, at_ms)
    registered = str(version.attributes["registered"])
    is_touched = changed.stage is not None and changed.imported is None
    if is_touched and known.document(REGISTERED, registered) is not None:
        yield touched_name(registered, at_ms)


def _from_deletion(entry: Entry, known: Known) -> Iterable[Amendment]:
    deleted = read(entry, VersionsDeleted)
    found = [_document(model, entry.project, known) for model in deleted.models]
    versions = [version for version in found if version is not None]
    yield from gone_versions(version.id for version in versions)
    for registered in {str(version.attributes["registered"]) for version in versions}:
        if known.document(REGISTERED, registered) is not None:
            yield touched_name(registered, said_ms(deleted.at_ms, entry))


def _document(model: str, project: str, known: Known) -> Document | None:
    """Return the document of a version, packaged or logged, by its fact."""
    logged = known.fact(model, LoggedVersion)
    if logged is not None:
        return known.document(VERSIONS, version_id(logged.registered, logged.version))
    package = known.fact(model, ModelVersion)
    if package is None:
        return None
    where = Compare("version_number", "=", package.version)
    wanted = Search(collection=VERSIONS, groups=(project,), where=where)
    return next((one for one in known.documents(wanted) if one.notes["fact"] == model), None)


def _versions(project: str, registered: str, known: Known) -> Iterator[Document]:
    where = Compare("registered", "=", registered)
    return known.documents(Search(collection=VERSIONS, groups=(project,), where=where))


PROJECTORS: Final[Projectors] = {
    NameRegistered.KIND: _from_name,
    NameChanged.KIND: _from_name_change,
    AliasChanged.KIND: _from_alias,
    LoggedVersion.KIND: _from_logged,
    ModelVersion.KIND: _from_package,
    VersionChanged.KIND: _from_version_change,
    VersionsDeleted.KIND: _from_deletion,
}
