"""Calls about experiments."""

import re
from typing import Final

from trivet.access.permissions import Permission
from trivet.core.catalog import Condition, Every
from trivet.core.errors import Invalid
from trivet.core.filtering import parse_filter, parse_order
from trivet.tracking.reporting.experiments import is_in_stage
from trivet.tracking.reporting.searching import experiment_grammar
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.paging import read_token, with_token
from trivet.web.mlflow.rendering import Message, experiment_message

VIEWS: Final = ("ACTIVE_ONLY", "DELETED_ONLY", "ALL")
_MOST: Final = 50_000
_MISLEADING = re.compile(r"\.\.|\\|%2e")
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://[^?#]+", re.IGNORECASE)


def _create(rooms: Rooms, fields: Fields) -> Message:
    location = _own_storage(fields.text("artifact_location"))
    made = rooms.experiments.make(fields.demanded("name"), tags=fields.tags(), location=location)
    return {"experiment_id": str(made.number)}


def _get(rooms: Rooms, fields: Fields) -> Message:
    return {"experiment": experiment_message(rooms.experiments.get(experiment_number(fields)))}


def _get_by_name(rooms: Rooms, fields: Fields) -> Message:
    found = rooms.experiments.by_name(fields.demanded("experiment_name"))
    return {"experiment": experiment_message(found)}


def _search(rooms: Rooms, fields: Fields) -> Message:
    grammar = experiment_grammar()
    text, orders = fields.text("filter"), fields.texts("order_by")
    view = fields.choice("view_type", VIEWS, "ACTIVE_ONLY")
    limit = page_size(fields, 1000, _MOST)
    search = ["experiments", text, orders, view]
    found, after = rooms.experiments.search(
        seen_in(view, parse_filter(text, grammar)),
        order=[parse_order(order, grammar) for order in orders],
        after=read_token(fields.text("page_token"), search),
        limit=limit,
    )
    return with_token({"experiments": list(map(experiment_message, found))}, after, search)


def _update(rooms: Rooms, fields: Fields) -> Message:
    number = experiment_number(fields)
    rooms.experiments.rename(number, fields.demanded("new_name"))
    return {}


def _delete(rooms: Rooms, fields: Fields) -> Message:
    rooms.experiments.delete(experiment_number(fields))
    return {}


def _restore(rooms: Rooms, fields: Fields) -> Message:
    rooms.experiments.restore(experiment_number(fields))
    return {}


def _tag(rooms: Rooms, fields: Fields) -> Message:
    number = experiment_number(fields)
    rooms.experiments.tag(number, fields.demanded("key"), fields.present("value"))
    return {}


def _untag(rooms: Rooms, fields: Fields) -> Message:
    rooms.experiments.untag(experiment_number(fields), fields.demanded("key"))
    return {}


def experiment_number(fields: Fields, *, default: int | None = None) -> int:
    """Return the number of the experiment that a request names.

    Raises:
        Invalid: It names none, or what it names is no number.
    """
    text = fields.text("experiment_id")
    if not text and default is not None:
        return default
    if not text:
        raise fields.missing("experiment_id")
    return numbered(text)


def numbered(text: str) -> int:
    """Read the number of an experiment.

    Raises:
        Invalid: It is none.
    """
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise Invalid(
        f"Invalid experiment ID {text[:100]!r}. Experiment ID must be a valid integer.",
        code="bad-experiment-id",
    )


def page_size(fields: Fields, default: int, most: int) -> int:
    """Return how many results a page may have.

    Raises:
        Invalid: It is less than 1 or too many.
    """
    size = fields.integer("max_results", default)
    if not 1 <= size <= most:
        must = "a positive integer" if size < 1 else f"at most {most}"
        raise Invalid(
            f"Invalid value {size} for parameter 'max_results' supplied. It must be {must}.",
            code="bad-field",
        )
    return size


def seen_in(view: str, condition: Condition) -> Condition:
    """Narrow a condition to what a view shows: active ones, deleted ones, or all."""
    if view == "ALL":
        return condition
    return Every((is_in_stage("active" if view == "ACTIVE_ONLY" else "deleted"), condition))


def _own_storage(given: str) -> str:
    """Return the storage that a client wants to use by itself, empty when artifacts are kept here.

    Its address is handed back to clients as it was given, and never looked at here. Folders are
    none: what they meant on another machine nobody can say. Nor are web servers: clients send
    theirs the token that they have for this one.
    """
    lower = given.lower()
    if lower.startswith(("runs:", "http:", "https:")) or _MISLEADING.search(lower):
        raise _bad_location(given)
    if not given or lower.startswith(("file:", "mlflow-artifacts:")) or "://" not in given:
        if "#" in given or "?" in given or ";" in given:
            raise _bad_location(given)
        return ""
    if not _REMOTE.fullmatch(given):
        raise _bad_location(given)
    return given


def _bad_location(given: str) -> Invalid:
    return Invalid(
        f"Invalid value {given[:200]!r} for parameter 'artifact_location' supplied: expected an "
        "address of storage, of no web server, without '..', query and fragment",
        code="bad-location",
        hint="Leave it out: artifacts are then kept here.",
    )


_READ, _WRITE = Permission.READ, Permission.LOG

CALLS: Final = (
    Call("POST", "/experiments/create", _WRITE, "Create an experiment", _create),
    Call("GET", "/experiments/get", _READ, "Get an experiment", _get),
    Call("GET", "/experiments/get-by-name", _READ, "Get an experiment by name", _get_by_name),
    Call("POST", "/experiments/search", _READ, "Search experiments", _search),
    Call("GET", "/experiments/search", _READ, "Search experiments", _search),
    Call("POST", "/experiments/update", _WRITE, "Rename an experiment", _update),
    Call("POST", "/experiments/delete", _WRITE, "Delete an experiment", _delete),
    Call("POST", "/experiments/restore", _WRITE, "Restore an experiment", _restore),
    Call("POST", "/experiments/set-experiment-tag", _WRITE, "Tag an experiment", _tag),
    Call("POST", "/experiments/delete-experiment-tag", _WRITE, "Untag an experiment", _untag),
)
