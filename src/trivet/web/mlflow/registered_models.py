"""Calls about registered models: names, their tags and aliases."""

from collections.abc import Collection, Sequence
from typing import Final

from trivet.access.permissions import Permission
from trivet.core.catalog import Order
from trivet.core.errors import Invalid
from trivet.core.filtering import parse_order
from trivet.models.facts import RegisteredName, Version
from trivet.models.names import STAGES, check_alias, stage_of
from trivet.models.searching import name_grammar, registry_filter
from trivet.models.tags import MEANING
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.experiments import page_size
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.paging import read_token, with_token
from trivet.web.mlflow.rendering import Message, pairs

_MOST: Final = 1000
_ORDERED: Final = frozenset({"name", "last_updated_timestamp"})


def _create(rooms: Rooms, fields: Fields) -> Message:
    made = rooms.registered_models.make(
        fields.demanded("name"), description=fields.optional("description"), tags=fields.tags()
    )
    return {"registered_model": name_message(made, [])}


def _get(rooms: Rooms, fields: Fields) -> Message:
    return _shown(rooms, rooms.registered_models.get(fields.demanded("name")))


def _rename(rooms: Rooms, fields: Fields) -> Message:
    name, new = fields.demanded("name"), fields.demanded("new_name")
    return _shown(rooms, rooms.registered_models.rename(name, new))


def _update(rooms: Rooms, fields: Fields) -> Message:
    name, description = fields.demanded("name"), fields.text("description")
    return _shown(rooms, rooms.registered_models.describe(name, description))


def _delete(rooms: Rooms, fields: Fields) -> Message:
    rooms.registered_models.delete(fields.demanded("name"))
    return {}


def _search(rooms: Rooms, fields: Fields) -> Message:
    grammar = name_grammar()
    text, orders = fields.text("filter"), fields.texts("order_by")
    limit = page_size(fields, 100, _MOST)
    order = [parse_order(item, grammar) for item in orders]
    check_order(order, _ORDERED, "order by")
    search = ["registered-models", text, orders]
    found, after = rooms.registered_models.search(
        registry_filter(text, grammar),
        order=order,
        after=read_token(fields.text("page_token"), search),
        limit=limit,
    )
    latest = rooms.model_versions.latest([item.id for item in found])
    shown = [name_message(item, latest[item.id]) for item in found]
    return with_token({"registered_models": shown}, after, search)


def _latest_versions(rooms: Rooms, fields: Fields) -> Message:
    known = rooms.registered_models.get(fields.demanded("name"))
    wanted = set(map(stage_of, fields.texts("stages"))) or set(STAGES)
    latest = rooms.model_versions.latest([known.id])[known.id]
    found = [version_message(version) for version in latest if version.stage in wanted]
    return {"model_versions": found}


def _tag(rooms: Rooms, fields: Fields) -> Message:
    name, key = fields.demanded("name"), fields.demanded("key")
    if key in MEANING:
        known = rooms.registered_models.get(name)
        rooms.deprecations.take_tag(known.name, key, fields.text("value"))
    else:
        rooms.registered_models.tag(name, key, fields.text("value"))
    return {}


def _untag(rooms: Rooms, fields: Fields) -> Message:
    name, key = fields.demanded("name"), fields.demanded("key")
    if key in MEANING:
        rooms.deprecations.take_tag(rooms.registered_models.get(name).name, key, None)
    else:
        rooms.registered_models.untag(name, key)
    return {}


def _set_alias(rooms: Rooms, fields: Fields) -> Message:
    name, alias = fields.demanded("name"), fields.demanded("alias")
    rooms.registered_models.set_alias(name, alias, version_number(fields))
    return {}


def _get_alias(rooms: Rooms, fields: Fields) -> Message:
    name, alias = fields.demanded("name"), fields.demanded("alias")
    if alias.lower() != "latest":
        check_alias(alias)
    rooms.registered_models.get(name)
    number = rooms.registered_models.aliased(name, alias)
    if number is None:
        raise Invalid(f"Registered model alias {alias} not found.", code="no-alias")
    return {"model_version": version_message(rooms.model_versions.get(name, number))}


def _delete_alias(rooms: Rooms, fields: Fields) -> Message:
    name, alias = fields.demanded("name"), fields.demanded("alias")
    rooms.registered_models.drop_alias(name, check_alias(alias))
    return {}


def check_order(order: Sequence[Order], names: Collection[str], what: str) -> None:
    """Check by what a search is ordered.

    Raises:
        Invalid: One is no name to order by, or is there twice.
    """
    for item in order:
        if item.name not in names:
            raise Invalid(
                f"Invalid {what} key '{item.name}' specified. Valid keys are {sorted(names)}",
                code="bad-order",
            )
    if len({item.name for item in order}) < len(order):
        raise Invalid("`order_by` contains duplicate fields; expected each once", code="bad-order")


def version_number(fields: Fields) -> int:
    """Return the number of the version that a request names.

    Raises:
        Invalid: It names none, or what it names is no whole number.
    """
    if not fields.has("version"):
        raise fields.missing("version")
    try:
        return fields.integer("version")
    except Invalid as error:
        given = str(fields.json("version"))[:200]
        raise Invalid(
            f"Parameter 'version' must be an integer, got {given!r}.", code="bad-field"
        ) from error


def name_message(name: RegisteredName, latest: list[Version]) -> Message:
    """Render a registered model with the greatest version of each stage."""
    message: Message = {
        "name": name.name,
        "creation_timestamp": name.made_ms,
        "last_updated_timestamp": name.changed_ms,
        "user_id": name.user,
        "latest_versions": [version_message(version) for version in latest],
        "tags": pairs(name.tags),
        "aliases": [
            {"alias": alias, "version": str(number)} for alias, number in name.aliases.items()
        ],
    }
    if name.description is not None:
        message["description"] = name.description
    return message


def version_message(version: Version) -> Message:
    """Render a version; of what is not known there is no field."""
    message: Message = {
        "description": "",
        "name": version.name,
        "version": str(version.number),
        "creation_timestamp": version.made_ms,
        "last_updated_timestamp": version.changed_ms,
        "user_id": version.user,
        "current_stage": version.stage,
        "source": version.source,
        "status": "READY",
        "tags": pairs(version.tags),
        "aliases": list(version.aliases),
        "packaged": version.is_packaged,
    }
    others = {
        "description": version.description,
        "run_id": version.run,
        "run_link": version.run_link,
        "model_id": version.logged_model,
    }
    return message | {name: value for name, value in others.items() if value is not None}


def _shown(rooms: Rooms, name: RegisteredName) -> Message:
    latest = rooms.model_versions.latest([name.id])[name.id]
    return {"registered_model": name_message(name, latest)}


_READ, _WRITE, _MOVE = Permission.READ, Permission.REGISTER, Permission.RELEASE
_AT: Final = "/registered-models"

CALLS: Final = (
    Call("POST", f"{_AT}/create", _WRITE, "Register a name for models", _create),
    Call("GET", f"{_AT}/get", _READ, "Get a registered model", _get),
    Call("POST", f"{_AT}/rename", _WRITE, "Rename a registered model", _rename),
    Call("PATCH", f"{_AT}/update", _WRITE, "Describe a registered model", _update),
    Call("DELETE", f"{_AT}/delete", _MOVE, "Delete a registered model", _delete),
    Call("GET", f"{_AT}/search", _READ, "Search registered models", _search),
    Call("POST", f"{_AT}/get-latest-versions", _READ, "Get the latest versions", _latest_versions),
    Call("GET", f"{_AT}/get-latest-versions", _READ, "Get the latest versions", _latest_versions),
    Call("POST", f"{_AT}/set-tag", _WRITE, "Tag a registered model", _tag),
    Call("DELETE", f"{_AT}/delete-tag", _WRITE, "Untag a registered model", _untag),
    Call("POST", f"{_AT}/alias", _MOVE, "Point an alias at a version", _set_alias),
    Call("GET", f"{_AT}/alias", _READ, "Get the version an alias points at", _get_alias),
    Call("DELETE", f"{_AT}/alias", _MOVE, "Delete an alias", _delete_alias),
)
