"""A message as one POST. Redirects are not followed: a body meant for one host is for no other."""

import hmac
import http.client
import time
import urllib.error
import urllib.request
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from trivet.core.deadlines import Deadline
from trivet.core.errors import Invalid, Unavailable
from trivet.core.ports import Message

_LATER = frozenset({408, 425, 429})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Plain(urllib.request.HTTPHandler):
    """Makes connections under a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)

    def _connection(self, host: str, **options: Any) -> http.client.HTTPConnection:
        made = http.client.HTTPConnection(host, **options)
        self._deadline.watch(made)
        return made


class _Secure(urllib.request.HTTPSHandler):
    """The same, with TLS."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)

    def _connection(self, host: str, **options: Any) -> http.client.HTTPSConnection:
        made = http.client.HTTPSConnection(host, **options)
        self._deadline.watch(made)
        return made


class WebhookNotifier:
    """Posts messages to an address.

    The header `Idempotency-Key` is the message's key. With a secret, `X-Trivet-Signature` is
    `t=SECONDS,v1=HEX`: HMAC-SHA256 of `SECONDS.BODY` under the secret.

    Args:
        url: An http or https address.
        body: `json`: the message as it is; `slack`: `{"text": ...}`, as chat services take it.
        secret: What both sides know; empty for none.
    """

    def __init__(
        self, url: str, *, body: Literal["json", "slack"] = "json", secret: str = ""
    ) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise Invalid(
                "the address of a web hook is no http or https address",
                code="bad-url",
                hint="Write it as https://host/path.",
            )
        if "@" in urlsplit(url).netloc:
            raise Invalid(
                "the address of a web hook has a user or password in it, which is not sent",
                code="bad-url",
                hint="Put what proves you into the path or the query, as the service gives it to "
                "you, and keep the address in a variable: url_env.",
            )
        self._url = url
        self._body = body
        self._secret = secret.encode()

    def send(self, message: Message, *, timeout_s: float) -> None:
        request = urllib.request.Request(  # noqa: S310  # the scheme was checked
            self._url, data=self._encoded(message), method="POST"
        )
        for name, value in self._headers(message, request.data).items():
            request.add_header(name, value)
        host = urlsplit(self._url).hostname
        deadline = Deadline(timeout_s)
        opener = urllib.request.build_opener(_NoRedirect(), _Plain(deadline), _Secure(deadline))
        try:
            with deadline, opener.open(request, timeout=timeout_s):
                # The status says it all: a body is not waited for. A head that was cut off by the
                # deadline reads like a whole one.
                if deadline.has_passed:
                    raise TimeoutError
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, host) from error
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", error)
            why = f"not within {timeout_s:.3g} s" if deadline.has_passed else why
            raise Unavailable(
                f"{host} did not answer: {why}",
                code="no-answer",
                hint="It is tried again; check the address and the network.",
            ) from error

    def _encoded(self, message: Message) -> bytes:
        if self._body == "slack":
            return msgspec.json.encode({"text": f"*{message.title}*\n{message.text}"})
        return msgspec.json.encode(message)

    def _headers(self, message: Message, body: Any) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "trivet",
            "Idempotency-Key": message.key,
        }
        if self._secret:
            now = str(int(time.time()))
            digest = hmac.new(self._secret, f"{now}.".encode() + body, sha256).hexdigest()
            headers["X-Trivet-Signature"] = f"t={now},v1={digest}"
        return headers


def _refusal(status: int, host: str | None) -> Unavailable | Invalid:
    if status >= 500 or status in _LATER:
        return Unavailable(f"{host} answered {status}", code="no-answer", hint="It is tried again.")
    if 300 <= status < 400:
        return Invalid(
            f"{host} answered {status}, a redirect, which is not followed",
            code="not-taken",
            hint="Set url to the address where it leads, in notify.toml.",
        )
    return Invalid(
        f"{host} answered {status} and does not take the message",
        code="not-taken",
        hint="Check url and secret in notify.toml, then `trivet notify retry KEY`.",
    )
