"""Calls about versions of registered models."""

from typing import Final

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid
from trivet.core.filtering import parse_order
from trivet.models.model_versions import NewVersion
from trivet.models.names import stage_of
from trivet.models.searching import registry_filter, version_grammar
from trivet.models.tags import MEANING
from trivet.models.telling import is_prompt
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.experiments import page_size
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.paging import read_token, with_token
from trivet.web.mlflow.registered_models import check_order, version_message, version_number
from trivet.web.mlflow.rendering import Message

_MENTION: Final = "mlflow.modelVersions"
_MOST: Final = 200_000
_ORDERED: Final = frozenset(
    {"name", "version_number", "creation_timestamp", "last_updated_timestamp"}
)
_MOST_AT_ONCE: Final = 50_000


def _create(rooms: Rooms, fields: Fields) -> Message:
    tags = fields.tags()
    made = rooms.model_versions.make(
        fields.demanded("name"),
        NewVersion(
            source=fields.demanded("source"),
            run=fields.text("run_id") or None,
            logged_model=fields.text("model_id") or None,
            run_link=fields.text("run_link") or None,
            description=fields.text("description") or None,
            tags=tags,
            is_text=is_prompt(tags),
            mention=_MENTION,
        ),
    )
    return {"model_version": version_message(made)}


def _get(rooms: Rooms, fields: Fields) -> Message:
    found = rooms.model_versions.get(fields.demanded("name"), version_number(fields))
    return {"model_version": version_message(found)}


def _download_uri(rooms: Rooms, fields: Fields) -> Message:
    return {"artifact_uri": files_of_version(rooms, fields)}


def files_of_version(rooms: Rooms, fields: Fields) -> str:
    """Return where the files of the version are that a request names.

    Raises:
        NotFound: There is no such version.
        Invalid: It has no files that MLflow's clients could open.
    """
    found = rooms.model_versions.get(fields.demanded("name"), version_number(fields))
    if found.is_packaged:
        raise Invalid(
            f"{found.label} is a package of Trivet's and no folder of MLflow's",
            code="packaged",
            hint=f"Ask an endpoint that serves it, or open it: `trivet models show {found.label}`.",
        )
    if not found.location:
        raise Invalid(f"{found.label} has no files", code="no-files")
    return found.location


def _search(rooms: Rooms, fields: Fields) -> Message:
    grammar = version_grammar()
    text, orders = fields.text("filter"), fields.texts("order_by")
    limit = min(page_size(fields, 10_000, _MOST), _MOST_AT_ONCE)
    order = [parse_order(item, grammar) for item in orders]
    check_order(order, _ORDERED, "attribute")
    search = ["model-versions", text, orders]
    found, after = rooms.model_versions.search(
        registry_filter(text, grammar),
        order=order,
        after=read_token(fields.text("page_token"), search),
        limit=limit,
    )
    return with_token({"model_versions": list(map(version_message, found))}, after, search)


def _update(rooms: Rooms, fields: Fields) -> Message:
    name, number = fields.demanded("name"), version_number(fields)
    found = rooms.model_versions.describe(name, number, fields.text("description"))
    return {"model_version": version_message(found)}


def _move(rooms: Rooms, fields: Fields) -> Message:
    found = rooms.model_versions.move(
        fields.demanded("name"),
        version_number(fields),
        stage_of(fields.demanded("stage")),
        archive=fields.flag("archive_existing_versions"),
    )
    return {"model_version": version_message(found)}


def _delete(rooms: Rooms, fields: Fields) -> Message:
    rooms.model_versions.delete(fields.demanded("name"), version_number(fields))
    return {}


def _tag(rooms: Rooms, fields: Fields) -> Message:
    name, number = fields.demanded("name"), version_number(fields)
    key, value = fields.demanded("key"), fields.text("value")
    if key in MEANING:
        rooms.deprecations.take_tag(rooms.model_versions.get(name, number).id, key, value)
    else:
        rooms.model_versions.tag(name, number, key, value)
    return {}


def _untag(rooms: Rooms, fields: Fields) -> Message:
    name, number, key = fields.demanded("name"), version_number(fields), fields.demanded("key")
    if key in MEANING:
        rooms.deprecations.take_tag(rooms.model_versions.get(name, number).id, key, None)
    else:
        rooms.model_versions.untag(name, number, key)
    return {}


_READ, _WRITE, _RELEASE = Permission.READ, Permission.REGISTER, Permission.RELEASE
_AT: Final = "/model-versions"

CALLS: Final = (
    Call("POST", f"{_AT}/create", _WRITE, "Register a version", _create),
    Call("GET", f"{_AT}/get", _READ, "Get a version", _get),
    Call("GET", f"{_AT}/get-download-uri", _READ, "Say where a version's files are", _download_uri),
    Call("GET", f"{_AT}/search", _READ, "Search versions", _search),
    Call("PATCH", f"{_AT}/update", _WRITE, "Describe a version", _update),
    Call("POST", f"{_AT}/transition-stage", _RELEASE, "Bring a version to a stage", _move),
    Call("DELETE", f"{_AT}/delete", _RELEASE, "Delete a version", _delete),
    Call("POST", f"{_AT}/set-tag", _WRITE, "Tag a version", _tag),
    Call("DELETE", f"{_AT}/delete-tag", _WRITE, "Untag a version", _untag),
)
