"""The guards: Host, Origin, fetch metadata, token and body size, before any handler runs.

A server on loopback is reachable from every page open in the user's browser. So nothing is
inferred from the network: Host and Origin must be on an exact list (which defeats DNS rebinding),
cross-site fetches are turned away whatever they carry, and a token is always needed.
"""

from base64 import b64decode
from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec

from trivet.access.permissions import Permission, Principal
from trivet.core.errors import Forbidden, Invalid

RawHeaders = Iterable[tuple[bytes, bytes]]

COOKIE: Final = b"trivet_session"
ANONYMOUS: Final = Principal(name="anonymous", role="application")
_SAME: Final = frozenset({b"same-origin", b"none"})


class DoorPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the guards of one server go by.

    `hosts` are the exact values of the Host header that are accepted, with port, in lower case;
    `origins` the exact origins a browser page may call from.
    """

    hosts: frozenset[bytes]
    origins: frozenset[bytes]
    max_body_bytes: int = 16 << 20
    patience_s: float = 30.0
    """How long a client may take over a whole body, or be silent within a stream, either way."""


def loopback_policy(port: int, *, max_body_bytes: int = 16 << 20) -> DoorPolicy:
    """Return the policy of a server on loopback: its own names and nobody else's."""
    names = ("127.0.0.1", "localhost", "[::1]")
    return DoorPolicy(
        hosts=frozenset(f"{name}:{port}".encode() for name in names),
        origins=frozenset(f"http://{name}:{port}".encode() for name in names),
        max_body_bytes=max_body_bytes,
    )


class Visitor(msgspec.Struct, frozen=True):
    """What the guards read from a request's headers."""

    host: bytes | None
    origin: bytes | None
    fetch_site: bytes | None
    token: str | None
    by_cookie: bool
    length: int | None
    encoding: bytes | None
    """How the body is packed; None when it is as it is."""


def read_visitor(headers: RawHeaders) -> Visitor:
    """Read the guarded headers, once, from raw ASGI headers (names in lower case).

    Raises:
        Invalid: Host, Authorization or Content-Length is given twice or malformed.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _GUARDED:
            if name in found:
                raise Invalid(
                    f"header {name.decode()} is given twice; expected once", code="bad-header"
                )
            found[name] = value
    token = _secret(found.get(b"authorization"))
    by_cookie = False
    if token is None and b"cookie" in found:
        token = _cookie_token(found[b"cookie"])
        by_cookie = token is not None
    return Visitor(
        found.get(b"host"),
        found.get(b"origin"),
        found.get(b"sec-fetch-site"),
        token,
        by_cookie,
        _length(found.get(b"content-length")),
        _encoding(found[b"content-encoding"]) if b"content-encoding" in found else None,
    )


_GUARDED = frozenset(
    {
        b"host",
        b"origin",
        b"sec-fetch-site",
        b"authorization",
        b"cookie",
        b"content-length",
        b"content-encoding",
    }
)


def check_door(visitor: Visitor, policy: DoorPolicy, *, changes: bool) -> None:
    """Turn away requests that come from where nobody should be calling from.

    Args:
        visitor: The request's guarded headers.
        policy: What this server accepts.
        changes: Whether the request changes anything. A cookie alone never suffices for that.

    Raises:
        Forbidden: Host or Origin is not on the list, or the fetch is cross-site.
    """
    if visitor.host is None or visitor.host.lower() not in policy.hosts:
        raise Forbidden(
            "the Host header names no host of this server",
            code="bad-host",
            hint="Call it by the address that `trivet up` printed.",
        )
    if visitor.origin is not None and visitor.origin.lower() not in policy.origins:
        raise Forbidden("the Origin is not allowed here", code="bad-origin")
    if visitor.fetch_site is not None and visitor.fetch_site not in _SAME:
        raise Forbidden("cross-site requests are not allowed here", code="cross-site")
    if changes and visitor.by_cookie and visitor.origin is None:
        raise Forbidden(
            "a request that changes something needs an Origin or a bearer token",
            code="no-origin",
            hint="Send the token in the Authorization header.",
        )


def check_body(visitor: Visitor, limit_bytes: int, encodings: Collection[bytes] = ()) -> None:
    """Check what a request says of its body, before any of it is read.

    Args:
        visitor: The request's guarded headers.
        limit_bytes: The most bytes that are taken.
        encodings: How the body may be packed.

    Raises:
        Invalid: It is too large (code `too-large`) or packed in another way (`other-encoding`).
    """
    if visitor.encoding is not None and visitor.encoding not in encodings:
        raise Invalid(
            "the body is encoded in a way that is not read here; expected "
            + (" or ".join(sorted(name.decode() for name in encodings)) or "none"),
            code="other-encoding",
            hint="Send it without Content-Encoding.",
        )
    if visitor.length is not None and visitor.length > limit_bytes:
        raise too_large(limit_bytes)


def too_large(limit_bytes: int) -> Invalid:
    """Return the error for a body over the limit."""
    return Invalid(
        f"the body is larger than {limit_bytes} bytes",
        code="too-large",
        hint="Send less in one request.",
    )


def admit(
    visitor: Visitor, permission: Permission, principal_of: Callable[[str], Principal]
) -> Principal:
    """Return who is asking, when they may.

    Raises:
        Forbidden: There is no token (`no-token`), it is not valid (`bad-token`), or its role lacks
            the permission (`no-permission`).
    """
    if permission is Permission.PUBLIC:
        return ANONYMOUS
    if visitor.token is None:
        raise Forbidden(
            "the request carries no token",
            code="no-token",
            hint="Send `Authorization: Bearer <token>`; `trivet up` prints the token.",
        )
    principal = principal_of(visitor.token)
    principal.demand(permission)
    return principal


def _secret(value: bytes | None) -> str | None:
    """Return the token of an Authorization header: a bearer's, or the password of a basic one."""
    if value is None:
        return None
    scheme, _, secret = value.partition(b" ")
    scheme = scheme.lower()
    if scheme != b"bearer":
        secret = _password(secret.strip()) if scheme == b"basic" else b""
    if not secret:
        raise Invalid(
            "header authorization is of an unknown form; expected `Bearer <token>`, or `Basic` "
            "with the token as the password",
            code="bad-header",
        )
    return secret.strip().decode("latin-1")


def _password(credentials: bytes) -> bytes:
    # Who it is follows from the token alone: the user name is whatever the client has.
    try:
        return b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _cookie_token(value: bytes) -> str | None:
    for part in value.split(b";"):
        name, _, content = part.strip().partition(b"=")
        if name == COOKIE:
            return content.decode("latin-1")
    return None


def _length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > 15:  # 15 digits cannot overflow anything
        raise Invalid("header content-length is no number of bytes", code="bad-header")
    return int(value)


def _encoding(value: bytes) -> bytes | None:
    name = value.strip().lower()
    return None if name in {b"", b"identity"} else name
