"""What is recorded of web hooks. Addresses and secrets are not: whoever has one can use it."""

import msgspec

from trivet.core.facts import Fact


class WebhookSet(Fact, frozen=True, kw_only=True):
    """Somebody registered a web hook, or changed one; its parent is the fact before."""

    KIND = "webhook"
    INDEXED = ("webhook",)

    webhook: str
    name: str
    host: str
    """Where its messages go; the rest of the address may be a secret."""
    events: tuple[str, ...]
    description: str
    is_active: bool
    is_signed: bool
    at_ms: int | None = None
    """When, in milliseconds since 1970 (UTC)."""


class WebhookDeleted(Fact, frozen=True, kw_only=True):
    """A web hook is no longer told of anything; its parent is the last `webhook` fact."""

    KIND = "webhook.deleted"
    INDEXED = ("webhook",)

    webhook: str


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A web hook as it stands, without its secret."""

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    description: str
    is_active: bool
    made_ms: int
    changed_ms: int


class WebhookChange(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be otherwise with a web hook; None: as it is."""

    name: str | None = None
    url: str | None = None
    events: tuple[str, ...] | None = None
    description: str | None = None
    secret: str | None = None
    """Empty: its messages are no longer signed."""
    is_active: bool | None = None
