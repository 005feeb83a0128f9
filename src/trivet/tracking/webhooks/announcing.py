"""Telling web hooks: tasks for the commit of what they are told of."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from trivet.core.catalog import Document, Every, Has, Order, Search
from trivet.core.facts import TaskNew
from trivet.core.ids import new_id
from trivet.core.outbox import message_task
from trivet.core.ports import Message, Stores
from trivet.core.search import walk

WEBHOOKS: Final = "webhooks"
PREFIX: Final = "webhook/"
"""What the name of a web hook begins with in the outbox; notifiers of people have no `/`."""
ANY: Final = "webhooks"
"""A head that is there once a project has had a web hook."""
ACTIVE: Final = "active"
_PAGE: Final = 1000


def announce(
    stores: Stores, project: str, event: str, detail: Mapping[str, Any]
) -> tuple[TaskNew, ...]:
    """Return the tasks that tell the project's web hooks of an event, mostly none.

    Put them into the commit that makes it happen: then nobody is told of what did not happen, and
    nothing that happened is left untold.

    Args:
        stores: Where web hooks are registered.
        project: Whose web hooks.
        event: One of `EVENTS`.
        detail: What there is to say, JSON-ready.
    """
    if stores.ledger.head(project, ANY) is None:
        return ()
    message = Message(
        key="",
        event=event,
        project=project,
        title=f"{project}: {event}",
        text="",
        time=datetime.now(UTC),
        detail=dict(detail),
    )
    return tuple(
        message_task(PREFIX + hook.id, msgspec.structs.replace(message, key=new_id()))
        for hook in _told_of(stores, project, event)
    )


def attribute_of(event: str) -> str:
    """Return the attribute that a web hook's document has when it is told of an event."""
    return f"event.{event}"


def _told_of(stores: Stores, project: str, event: str) -> Iterator[Document]:
    wanted = Search(
        collection=WEBHOOKS,
        groups=(project,),
        where=Every((Has(attribute_of(event)), Has(ACTIVE))),
        order=(Order("creation_time"),),
        limit=_PAGE,
    )
    return walk(stores.catalog, wanted)
