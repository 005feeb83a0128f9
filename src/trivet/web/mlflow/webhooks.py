"""Calls about web hooks.

MLflow's clients cannot read events that they do not know. So what is told of experiments and runs
stands in `own_events`, in both directions, and a web hook that is told of nothing else is listed
only where a caller asks for `own_events`.
"""

from typing import Final

from trivet.access.permissions import Permission
from trivet.tracking.webhooks.events import EVENTS, MODEL_EVENTS, OWN_EVENTS
from trivet.tracking.webhooks.facts import Webhook, WebhookChange
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.paging import read_token, with_token
from trivet.web.mlflow.rendering import Message

_MOST: Final = 1000
_STATUSES: Final = ("ACTIVE", "DISABLED")
_ENTITIES: Final = (
    "REGISTERED_MODEL",
    "MODEL_VERSION",
    "MODEL_VERSION_TAG",
    "MODEL_VERSION_ALIAS",
    "PROMPT",
    "PROMPT_VERSION",
    "PROMPT_TAG",
    "PROMPT_VERSION_TAG",
    "PROMPT_ALIAS",
    "BUDGET_POLICY",
)
_ACTIONS: Final = ("CREATED", "UPDATED", "DELETED", "SET", "EXCEEDED")


def _create(rooms: Rooms, fields: Fields) -> Message:
    for name in ("name", "url"):
        fields.demanded(name)
    if not fields.has("events") and not fields.has("own_events"):
        raise fields.missing("events")
    return {"webhook": _message(rooms.webhooks.make(_change(fields)))}


def _list(rooms: Rooms, fields: Fields) -> Message:
    is_all = fields.flag("own_events")
    limit = fields.integer("max_results", 100)
    if not 1 <= limit <= _MOST:
        raise fields.invalid("max_results", limit, f"max_results must be between 1 and {_MOST}")
    asked = ["webhooks", is_all]
    found, after = rooms.webhooks.list(
        of_models=not is_all,
        after=read_token(fields.text("page_token"), asked),
        limit=limit,
    )
    return with_token({"webhooks": list(map(_message, found))}, after, asked)


def _get(rooms: Rooms, fields: Fields) -> Message:
    return {"webhook": _message(rooms.webhooks.get(fields.demanded("webhook_id")))}


def _update(rooms: Rooms, fields: Fields) -> Message:
    changed = rooms.webhooks.change(fields.demanded("webhook_id"), _change(fields))
    return {"webhook": _message(changed)}


def _delete(rooms: Rooms, fields: Fields) -> Message:
    rooms.webhooks.delete(fields.demanded("webhook_id"))
    return {}


def _try(rooms: Rooms, fields: Fields) -> Message:
    event = fields.text("own_event") or None
    if fields.has("event"):
        event = _event(fields.message("event"))
    tried = rooms.webhooks.try_out(fields.demanded("webhook_id"), event)
    result: Message = {"success": tried.is_taken}
    if tried.status is not None:
        result |= {"response_status": tried.status, "response_body": tried.body}
    return {"result": result | ({"error_message": tried.error} if tried.error else {})}


def _change(fields: Fields) -> WebhookChange:
    events: tuple[str, ...] | None = None
    if fields.has("events") or fields.has("own_events"):
        events = (*map(_event, fields.messages("events")), *fields.texts("own_events"))
    status = fields.choice("status", _STATUSES, "")
    return WebhookChange(
        name=fields.text("name") or None,
        url=fields.text("url") or None,
        # An empty list means that nothing was said of them.
        events=tuple(dict.fromkeys(events)) if events else None,
        description=fields.optional("description"),
        secret=fields.optional("secret"),
        is_active=status == "ACTIVE" if status else None,
    )


def _event(fields: Fields) -> str:
    entity = fields.choice("entity", _ENTITIES, "")
    action = fields.choice("action", _ACTIONS, "")
    event = f"{entity}.{action}".lower()
    if event not in MODEL_EVENTS:
        actions = [
            each.partition(".")[2] for each in EVENTS if each.startswith(f"{entity.lower()}.")
        ]
        raise fields.invalid(
            "action",
            action,
            f"Invalid action {action.lower()!r} for entity {entity.lower()!r}. Valid actions are: "
            f"{sorted(actions)}",
        )
    return event


def _message(hook: Webhook) -> Message:
    message: Message = {
        "webhook_id": hook.id,
        "name": hook.name,
        "url": hook.url,
        "events": [_event_message(event) for event in hook.events if event in MODEL_EVENTS],
        "own_events": [event for event in hook.events if event in OWN_EVENTS],
        "status": "ACTIVE" if hook.is_active else "DISABLED",
        "creation_timestamp": hook.made_ms,
        "last_updated_timestamp": hook.changed_ms,
    }
    return message | ({"description": hook.description} if hook.description else {})


def _event_message(event: str) -> Message:
    entity, _, action = event.upper().partition(".")
    return {"entity": entity, "action": action}


# Whoever may register an address is told of everything that happens, and has this machine post.
_ADMIN = Permission.ADMINISTER

CALLS: Final = (
    Call("POST", "/webhooks", _ADMIN, "Register a web hook", _create),
    Call("GET", "/webhooks", _ADMIN, "List web hooks", _list),
    Call("GET", "/webhooks/{webhook_id}", _ADMIN, "Get a web hook", _get),
    Call("PATCH", "/webhooks/{webhook_id}", _ADMIN, "Change a web hook", _update),
    Call("DELETE", "/webhooks/{webhook_id}", _ADMIN, "Delete a web hook", _delete),
    Call("POST", "/webhooks/{webhook_id}/test", _ADMIN, "Try a web hook out", _try),
)
