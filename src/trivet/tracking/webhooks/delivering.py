"""Messages on their way to web hooks: what is posted, and what an answer means."""

import base64
import hmac
import time
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

import msgspec

from trivet.core.catalog import Document
from trivet.core.errors import Invalid, TrivetError, Unavailable
from trivet.core.outbox import Posted, Poster
from trivet.core.ports import Message, Stores
from trivet.tracking.webhooks.announcing import ACTIVE, WEBHOOKS

_LATER: Final = frozenset({408, 425, 429})


class HookNotifier:
    """Hands messages to one web hook, as it stands when they are sent.

    Args:
        stores: Where it is registered.
        webhook: Its identifier.
        poster: What posts.
    """

    def __init__(self, stores: Stores, webhook: str, poster: Poster) -> None:
        self._stores = stores
        self._webhook = webhook
        self._poster = poster

    def send(self, message: Message, *, timeout_s: float) -> None:
        """Post a message; one to a web hook that is gone or put off goes nowhere.

        Raises:
            Unavailable: It may go better later.
            Invalid: The receiver refuses it, or its address is not allowed.
        """
        found = self._stores.catalog.get(WEBHOOKS, [self._webhook])
        if not found or found[0].group != message.project or ACTIVE not in found[0].attributes:
            return
        url: str = found[0].notes["url"]
        posted = post(found[0], message, self._poster, timeout_s=timeout_s)
        trouble = trouble_of(posted.status, urlsplit(url).hostname)
        if trouble is not None:
            raise trouble


def post(document: Document, message: Message, poster: Poster, *, timeout_s: float) -> Posted:
    """Post a message to a web hook's address, signed when there is a secret.

    Header `X-MLflow-Signature` is `v1,BASE64`: HMAC-SHA256 of `DELIVERY.SECONDS.BODY` under the
    secret, where the headers `X-MLflow-Delivery-Id` and `X-MLflow-Timestamp` are the first two.
    """
    entity, _, action = message.event.partition(".")
    body = msgspec.json.encode(
        {
            "entity": entity,
            "action": action,
            "timestamp": message.time.isoformat(),
            "data": message.detail,
        }
    )
    now = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "trivet",
        "Idempotency-Key": message.key,
        "X-MLflow-Delivery-Id": message.key,
        "X-MLflow-Timestamp": now,
    }
    secret = document.notes.get("secret")
    if secret:
        signed = f"{message.key}.{now}.".encode() + body
        digest = hmac.new(secret.encode(), signed, sha256).digest()
        headers["X-MLflow-Signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return poster.post(document.notes["url"], body, headers, timeout_s=timeout_s)


def trouble_of(status: int, host: str | None) -> TrivetError | None:
    """Return what is wrong when a receiver answers so; None when it took the message."""
    if status < 300:
        return None
    if status >= 500 or status in _LATER:
        return Unavailable(f"{host} answered {status}", code="no-answer", hint="It is tried again.")
    if status < 400:
        return Invalid(
            f"{host} answered {status}, a redirect, which is not followed",
            code="not-taken",
            hint="Give the web hook the address where it leads.",
        )
    return Invalid(
        f"{host} answered {status} and does not take the message",
        code="not-taken",
        hint="Check the web hook's address and secret, then `trivet notify retry KEY`.",
    )
