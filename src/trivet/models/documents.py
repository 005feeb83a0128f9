"""Documents of the registry: how names and versions stand in the catalog, and what changes them."""

from collections.abc import Mapping
from typing import Any, Final

from trivet.core.catalog import Amendment, Document, Value
from trivet.models.facts import (
    LoggedVersion,
    ModelVersion,
    NameRegistered,
    RegisteredName,
    Version,
)
from trivet.models.names import stage_of
from trivet.tracking.reporting.documents import changed_at, imprinted
from trivet.tracking.reporting.facts import Imported

REGISTERED: Final = "registered-models"
VERSIONS: Final = "model-versions"
ORIGIN: Final = "origin"
"""The note of an imported version that says which one it was there."""


def new_name(project: str, fact: str, made: NameRegistered, *, user: str, now_ms: int) -> Amendment:
    """Return the document of a name that was just taken; an imported one has its old times."""
    told = made.imported
    began_ms = told.made_ms if told else now_ms
    return Amendment(
        collection=REGISTERED,
        id=fact,
        group=project,
        set={
            "name": made.name,
            "user_id": user,
            "creation_timestamp": began_ms,
            "last_updated_timestamp": began_ms,
            **changed_at("last_updated_timestamp", told, now_ms),
            **prefixed(made.tags),
        },
        note={"description": made.description, **imprinted(told)},
        expect="new",
    )


def new_version(
    project: str, fact: str, made: LoggedVersion, *, user: str, now_ms: int
) -> Amendment:
    """Return the document of a version that was just logged; an imported one has its old times."""
    attributes: dict[str, Value] = prefixed(made.tags)
    notes = {"location": made.location, "run_link": made.run_link, "description": made.description}
    told = made.imported
    if told is not None:
        user, now_ms = told.user, told.made_ms
        attributes |= changed_at("last_updated_timestamp", told, now_ms)
        notes |= {ORIGIN: version_origin(made.name, told), **imprinted(told)}
    if made.run:
        attributes["run_id"] = made.run
    if made.logged_model:
        attributes["model_id"] = made.logged_model
    return _version(
        project,
        (made.registered, made.name, made.version),
        fact,
        attributes=attributes | {"source_path": made.source, "packaged": 0.0, "user_id": user},
        notes=notes,
        now_ms=now_ms,
    )


def new_package(
    project: str, fact: str, made: ModelVersion, registered: str, *, user: str, now_ms: int
) -> Amendment:
    """Return the document of a packaged version that was just registered."""
    return _version(
        project,
        (registered, made.name, made.version),
        fact,
        attributes={
            "run_id": made.run,
            "source_path": f"trivet:/packages/{made.package}",
            "packaged": 1.0,
            "user_id": user,
            **{f"metrics.{name}": figure.value for name, figure in made.metrics.items()},
        },
        notes={},
        now_ms=now_ms,
    )


def version_origin(name: str, imported: Imported) -> str:
    """Return what an imported version is known by, whichever way its store was reached."""
    return f"{name}/{imported.id}@{imported.made_ms}"


def version_id(registered: str, number: int) -> str:
    """Return the identifier of a version's document."""
    return f"{registered}/{number}"


def prefixed(tags: Mapping[str, str]) -> dict[str, Value]:
    """Return tags as attributes."""
    return {f"tags.{key}": value for key, value in tags.items()}


def to_name(document: Document, aliases: Mapping[str, int]) -> RegisteredName:
    """Read the document of a name."""
    found = document.attributes
    return RegisteredName(
        id=document.id,
        name=str(found["name"]),
        user=str(found["user_id"]),
        made_ms=int(found["creation_timestamp"]),
        changed_ms=int(found["last_updated_timestamp"]),
        description=document.notes.get("description"),
        tags=_tags(document),
        aliases=dict(aliases),
    )


def to_version(document: Document, aliases: tuple[str, ...] = ()) -> Version:
    """Read the document of a version."""
    found, notes = document.attributes, document.notes
    run, logged_model = found.get("run_id"), found.get("model_id")
    return Version(
        id=notes["fact"],
        registered=str(found["registered"]),
        name=str(found["name"]),
        number=int(found["version_number"]),
        is_packaged=found["packaged"] == 1.0,
        user=str(found["user_id"]),
        made_ms=int(found["creation_timestamp"]),
        changed_ms=int(found["last_updated_timestamp"]),
        stage=stage_of(str(found["current_stage"])),
        source=str(found["source_path"]),
        location=notes.get("location") or "",
        run=None if run is None else str(run),
        logged_model=None if logged_model is None else str(logged_model),
        run_link=notes.get("run_link"),
        description=notes.get("description"),
        tags=_tags(document),
        aliases=aliases,
    )


def _version(
    project: str,
    which: tuple[str, str, int],
    fact: str,
    *,
    attributes: dict[str, Value],
    notes: dict[str, Any],
    now_ms: int,
) -> Amendment:
    registered, name, number = which
    return Amendment(
        collection=VERSIONS,
        id=version_id(registered, number),
        group=project,
        set={
            "registered": registered,
            "name": name,
            "version_number": number,
            "current_stage": "None",
            "creation_timestamp": now_ms,
            "last_updated_timestamp": now_ms,
            **attributes,
        },
        note={"fact": fact, **notes},
        expect="new",
    )


def _tags(document: Document) -> dict[str, str]:
    return {
        name[5:]: str(value)
        for name, value in document.attributes.items()
        if name.startswith("tags.")
    }
