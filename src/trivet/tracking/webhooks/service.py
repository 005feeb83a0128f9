"""The web hooks of one project: registered, changed, tried, deleted."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from trivet.core.catalog import Document, Has, Order, Position, Search
from trivet.core.clock import Clock, to_micros
from trivet.core.errors import Invalid, NotFound, TrivetError
from trivet.core.facts import HeadMove, Scope, draft
from trivet.core.ids import new_id
from trivet.core.outbox import Poster
from trivet.core.ports import Message, Stores
from trivet.tracking.webhooks.announcing import ACTIVE, ANY, WEBHOOKS
from trivet.tracking.webhooks.delivering import post
from trivet.tracking.webhooks.documents import OF_MODELS, gone_webhook, set_webhook
from trivet.tracking.webhooks.events import EVENTS
from trivet.tracking.webhooks.facts import Webhook, WebhookChange, WebhookDeleted, WebhookSet

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_MOST_TEXT: Final = 1000
_TRY_S: Final = 10.0


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message that was sent as a test."""

    is_taken: bool
    status: int | None = None
    body: str = ""
    """The beginning of what the receiver answered."""
    error: str = ""


class Webhooks:
    """The web hooks of one project.

    Args:
        stores: Where they are kept.
        scope: Project and actor.
        clock: For the times that people see.
        poster: Knows which addresses may be posted to.
    """

    def __init__(self, stores: Stores, scope: Scope, clock: Clock, poster: Poster) -> None:
        self._stores = stores
        self._scope = scope
        self._clock = clock
        self._poster = poster

    def make(self, wanted: WebhookChange) -> Webhook:
        """Register a web hook.

        Args:
            wanted: With name, address and at least one event; active unless it says otherwise.

        Raises:
            Invalid: Name, address, event or text is malformed, or nothing may be posted there.
        """
        webhook = new_id()
        now = self._now_ms()
        made = Webhook(
            id=webhook,
            name=wanted.name or "",
            url=wanted.url or "",
            events=wanted.events or (),
            description=wanted.description or "",
            is_active=wanted.is_active is not False,
            made_ms=now,
            changed_ms=now,
        )
        self._record(made, wanted.secret or "", before=None)
        return made

    def get(self, webhook: str) -> Webhook:
        """Return a web hook.

        Raises:
            NotFound: There is none of this identifier in this project.
        """
        return _webhook(self._document(webhook))

    def list(
        self, *, of_models: bool = False, after: Position | None = None, limit: int = 100
    ) -> tuple[tuple[Webhook, ...], Position | None]:
        """Return a page of web hooks, the newest first, and where the next one begins.

        Args:
            of_models: Only those that are told of models and prompts.
            after: Where an earlier page ended.
            limit: 1 to 50,000.
        """
        found = self._stores.catalog.search(
            Search(
                collection=WEBHOOKS,
                groups=(self._scope.project,),
                where=Has(OF_MODELS) if of_models else None,
                order=(Order("creation_time", falls=True),),
                after=after,
                limit=limit,
            )
        )
        return tuple(map(_webhook, found.documents)), found.after

    def change(self, webhook: str, change: WebhookChange) -> Webhook:
        """Change a web hook.

        Raises:
            NotFound: There is no such web hook.
            Invalid: As `make`.
        """
        before = self._document(webhook)
        given: dict[str, Any] = {
            field: value
            for field in ("name", "url", "events", "description", "is_active")
            if (value := getattr(change, field)) is not None
        }
        now = msgspec.structs.replace(_webhook(before), **given, changed_ms=self._now_ms())
        secret = before.notes.get("secret", "") if change.secret is None else change.secret
        self._record(now, secret, before=before)
        return now

    def delete(self, webhook: str) -> None:
        """Delete a web hook; what it was not told of yet, it is not told of.

        Raises:
            NotFound: There is no such web hook.
        """
        document = self._document(webhook)
        fact = draft(WebhookDeleted(webhook=webhook), parents=[document.notes["fact"]])
        batch = self._scope.batch(
            f"delete web hook {document.attributes['name']}",
            [fact],
            documents=[gone_webhook(webhook)],
        )
        self._stores.ledger.commit(batch)

    def try_out(self, webhook: str, event: str | None = None) -> Tried:
        """Post an example at once, past the outbox, to an inactive web hook as well.

        Args:
            webhook: Its identifier.
            event: Of what; the first that it is told of when None.

        Raises:
            NotFound: There is no such web hook.
            Invalid: There is no such event.
        """
        document = self._document(webhook)
        told: str = event or document.notes["events"][0]
        _check_events([told])
        message = Message(
            key=new_id(),
            event=told,
            project=self._scope.project,
            title=f"{self._scope.project}: a test",
            text="",
            time=datetime.now(UTC),
            detail=EVENTS[told],
        )
        try:
            posted = post(document, message, self._poster, timeout_s=_TRY_S)
        except TrivetError as error:
            return Tried(is_taken=False, error=error.message)
        body = posted.body.decode("utf-8", "replace")
        return Tried(is_taken=posted.status < 300, status=posted.status, body=body)

    # ------------------------------------------------------------------- inside

    def _document(self, webhook: str) -> Document:
        found = self._stores.catalog.get(WEBHOOKS, [webhook]) if webhook else ()
        if not found or found[0].group != self._scope.project:
            raise NotFound(f"Webhook with ID {webhook} not found.", code="no-webhook")
        return found[0]

    def _record(self, now: Webhook, secret: str, *, before: Document | None) -> None:
        self._check(now, secret)
        said = WebhookSet(
            webhook=now.id,
            name=now.name,
            host=urlsplit(now.url).hostname or "",
            events=now.events,
            description=now.description,
            is_active=now.is_active,
            is_signed=bool(secret),
            at_ms=now.changed_ms,
        )
        fact = draft(said, parents=[before.notes["fact"]] if before else [])
        told = set_webhook(self._scope.project, fact.id, said, now.changed_ms, before)
        private = {"url": now.url, "secret": secret or None}
        amendment = msgspec.structs.replace(told, note=told.note | private)
        moves = [HeadMove(name=ANY, to=fact.id)] if before is None else []
        batch = self._scope.batch(
            f"web hook {now.name}", [fact], heads=moves, documents=[amendment]
        )
        self._stores.ledger.commit(batch)

    def _check(self, wanted: Webhook, secret: str) -> None:
        if not _NAME.fullmatch(wanted.name):
            raise Invalid(
                f"Webhook name {wanted.name[:100]!r} is invalid. It must start and end with a "
                "letter or digit, have at most 63 characters, and contain only letters, digits, "
                "dots (.), underscores (_), and hyphens (-).",
                code="bad-name",
            )
        _check_events(wanted.events)
        for field, text in (("description", wanted.description), ("secret", secret)):
            if len(text) > _MOST_TEXT:
                raise Invalid(
                    f"{field} has {len(text)} characters and exceeds the maximum length of "
                    f"{_MOST_TEXT}",
                    code="too-long",
                )
        self._poster.check(wanted.url)

    def _now_ms(self) -> int:
        return to_micros(self._clock.now()) // 1000


def _check_events(events: Sequence[str]) -> None:
    unknown = [event for event in events if event not in EVENTS]
    if unknown or not events:
        raise Invalid(
            f"Invalid webhook event {unknown[0]!r}"
            if unknown
            else "Webhook events cannot be empty",
            code="bad-event",
            hint=f"There are: {', '.join(EVENTS)}.",
        )


def _webhook(document: Document) -> Webhook:
    found, notes = document.attributes, document.notes
    return Webhook(
        id=document.id,
        name=str(found["name"]),
        url=notes["url"],
        events=tuple(notes["events"]),
        description=notes["description"],
        is_active=ACTIVE in found,
        made_ms=int(found["creation_time"]),
        changed_ms=int(found["last_update_time"]),
    )
