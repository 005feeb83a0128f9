"""Documents of web hooks: what facts make of them, which is all but addresses and secrets."""

from collections.abc import Iterable
from typing import Final

from trivet.core.catalog import Amendment, Document, Value
from trivet.core.facts import Entry, read
from trivet.core.projecting import Known, Projectors, said_ms
from trivet.tracking.webhooks.announcing import ACTIVE, WEBHOOKS, attribute_of
from trivet.tracking.webhooks.events import MODEL_EVENTS
from trivet.tracking.webhooks.facts import WebhookDeleted, WebhookSet

OF_MODELS: Final = "models"
"""The attribute that a web hook has when it is told of models or prompts."""
PRIVATE: Final = ("url", "secret")
"""Notes that no fact has: whoever has one can use it. Lost with the document."""


def set_webhook(
    project: str, fact: str, said: WebhookSet, at_ms: int, before: Document | None
) -> Amendment:
    """Make or amend the document of a web hook, all but its address and its secret.

    Args:
        project: Whose it is.
        fact: The `webhook` fact.
        said: What that says.
        at_ms: When.
        before: The document as it stood, None for a new one.
    """
    attributes: dict[str, Value] = {
        "name": said.name,
        "creation_time": before.attributes["creation_time"] if before else at_ms,
        "last_update_time": at_ms,
        **{attribute_of(event): 1.0 for event in said.events},
        **({ACTIVE: 1.0} if said.is_active else {}),
        **({OF_MODELS: 1.0} if MODEL_EVENTS.keys() & set(said.events) else {}),
    }
    standing = before.attributes.keys() if before else set[str]()
    return Amendment(
        collection=WEBHOOKS,
        id=said.webhook,
        group=project,
        set=attributes,
        drop=tuple(standing - attributes.keys()),
        note={"fact": fact, "events": list(said.events), "description": said.description},
        expect="known" if before else "new",
    )


def gone_webhook(webhook: str) -> Amendment:
    """Take the document of a web hook away."""
    return Amendment(collection=WEBHOOKS, id=webhook, remove=True)


def _from_set(entry: Entry, known: Known) -> Iterable[Amendment]:
    said = read(entry, WebhookSet)
    before = known.document(WEBHOOKS, said.webhook)
    yield set_webhook(entry.project, entry.id, said, said_ms(said.at_ms, entry), before)


def _from_deletion(entry: Entry, known: Known) -> Iterable[Amendment]:
    del known
    yield gone_webhook(read(entry, WebhookDeleted).webhook)


PROJECTORS: Final[Projectors] = {
    WebhookSet.KIND: _from_set,
    WebhookDeleted.KIND: _from_deletion,
}
