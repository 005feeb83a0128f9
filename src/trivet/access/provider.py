"""Signing in at a provider (OpenID Connect): what is asked of it, and what of its answer counts.

The code flow with PKCE (RFC 7636), bound to one browser and good for once. Nothing that the
provider or the browser says is believed before it was checked here: where the answer comes from,
for whom it is, that it belongs to this very attempt, and that its time has come and not passed.
"""

import base64
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256, sha384, sha512
from typing import Any, Final, Protocol, cast
from urllib.parse import urlencode, urlsplit

import msgspec

from trivet.access.permissions import ROLES, RoleName
from trivet.core.errors import Forbidden

MOST_AGE_S: Final = 3600.0
"""How long ago a provider may have issued what it says, in seconds."""
_HASHES: Final = {"256": sha256, "384": sha384, "512": sha512}
_PATH: Final = re.compile(r"/(?![/\\])[\x21-\x7e]*")


class Provider(Protocol):
    """A provider as its adapter speaks to it. What it returns is signed by the provider's keys."""

    @property
    def issuer(self) -> str:
        """Return the issuer's identifier, as it was configured."""
        ...

    @property
    def client_id(self) -> str:
        """Return who this server is to the provider."""
        ...

    def metadata(self) -> Mapping[str, Any]:
        """Return what its discovery document says; its issuer is the one that was configured.

        Raises:
            Unavailable: It does not answer, or with something else.
        """
        ...

    def exchange(self, code: str, verifier: str, redirect_uri: str) -> Mapping[str, Any]:
        """Give a code for tokens.

        Raises:
            Forbidden: The provider refuses the code.
            Unavailable: It does not answer.
        """
        ...

    def verified(self, token: str) -> tuple[str, Mapping[str, Any]]:
        """Return the algorithm and the claims of a token that the provider signed.

        Raises:
            Forbidden: The signature does not hold, or by an algorithm that is not accepted.
            Unavailable: The provider's keys cannot be had.
        """
        ...


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to sign in."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    onward: str = "/session"
    """Where the browser goes when it has worked out: a path of this server."""
    cli: tuple[int, str, str] | None = None
    """A command line that waits: its port on loopback, its challenge, and its state."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a provider vouches for."""

    subject: str
    name: str
    email: str
    groups: tuple[str, ...]


def new_secret() -> str:
    """Make 32 random bytes, as text that fits into an address."""
    return secrets.token_urlsafe(32)


def challenge_of(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636, S256)."""
    return _base64url(sha256(verifier.encode()).digest())


def new_attempt(redirect_uri: str, onward: str, cli: tuple[int, str, str] | None = None) -> Attempt:
    """Begin an attempt. Where it goes on to is a path of this server, whatever was asked for."""
    return Attempt(
        state=new_secret(),
        nonce=new_secret(),
        verifier=new_secret(),
        redirect_uri=redirect_uri,
        onward=local_path(onward),
        cli=cli,
    )


def local_path(wished: str) -> str:
    r"""Return a path of this server; `/session` in place of all that could lead elsewhere.

    Example:
        >>> local_path("/runs?limit=5"), local_path("//evil.example"), local_path("/\\evil")
        ('/runs?limit=5', '/session', '/session')
    """
    parts = urlsplit(wished) if _PATH.fullmatch(wished) else None
    return wished if parts is not None and not (parts.scheme or parts.netloc) else "/session"


def question(provider: Provider, attempt: Attempt, scopes: str) -> str:
    """Return the provider's address to which a browser is sent.

    Args:
        provider: The provider.
        attempt: The attempt that its answer will belong to.
        scopes: What is asked for, words with spaces between.
    """
    endpoint = str(provider.metadata()["authorization_endpoint"])
    query = urlencode(
        {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": attempt.redirect_uri,
            "scope": scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge_of(attempt.verifier),
            "code_challenge_method": "S256",
        }
    )
    return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"


def answer(
    provider: Provider, attempt: Attempt, query: Mapping[str, str], now: datetime, skew_s: float
) -> Mapping[str, Any]:
    """Return the claims about whoever came back from the provider with this query.

    Raises:
        Forbidden: It is no answer to this attempt, or not to be believed; its code says why.
        Unavailable: The provider does not answer.
    """
    if not hmac.compare_digest(query.get("state", "").encode(), attempt.state.encode()):
        raise _refused("bad-state", "the answer belongs to another attempt to sign in")
    known_by = provider.metadata().get("authorization_response_iss_parameter_supported") is True
    if query.get("iss", "" if known_by else provider.issuer) != provider.issuer:
        raise _refused("bad-issuer", "the answer comes from another provider")
    if "error" in query or not query.get("code"):
        raise _refused("not-signed-in", "the provider did not sign you in")
    tokens = provider.exchange(query["code"], attempt.verifier, attempt.redirect_uri)
    id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
    if not isinstance(id_token, str):
        raise _refused("no-id-token", "the provider's answer holds no ID token")
    algorithm, claims = provider.verified(id_token)
    check_claims(claims, provider.issuer, provider.client_id, now, skew_s)
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
        raise _refused("bad-nonce", "the ID token belongs to another attempt to sign in")
    if "at_hash" in claims and claims["at_hash"] != token_hash(str(access_token), algorithm):
        raise _refused("bad-at-hash", "the ID token belongs to another access token")
    return claims


def check_claims(
    claims: Mapping[str, Any], issuer: str, client_id: str, now: datetime, skew_s: float
) -> None:
    """Check from whom a token is, for whom, and when (OpenID Connect Core, section 3.1.3.7).

    Args:
        claims: Of a token whose signature holds.
        issuer: From whom it must be.
        client_id: For whom it must be.
        now: The present.
        skew_s: How far apart the two clocks may be.

    Raises:
        Forbidden: One of them does not hold (`bad-issuer`, `bad-audience`, `expired`, `not-yet`,
            `bad-claims`).
    """
    if claims.get("iss") != issuer:
        raise _refused("bad-issuer", "the ID token is from another issuer")
    audience = claims.get("aud")
    found = cast("list[object]", audience if isinstance(audience, list) else [audience])
    party = claims.get("azp", None if len(found) > 1 else client_id)
    if client_id not in found or party != client_id:
        raise _refused("bad-audience", "the ID token is for somebody else")
    seconds = now.timestamp()
    expires, issued, begins = (_moment(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None or issued is None:
        raise _refused("bad-claims", "the ID token does not say when it was issued or expires")
    if expires + skew_s <= seconds or issued + skew_s + MOST_AGE_S <= seconds:
        raise _refused("expired", "the ID token has expired")
    if max(issued, begins or issued) - skew_s > seconds:
        raise _refused("not-yet", "the ID token is of a time to come: compare the two clocks")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise _refused("bad-claims", "the ID token names nobody")


def token_hash(token: str, algorithm: str) -> str:
    """Return the hash of an access token that an ID token of an algorithm holds (`at_hash`)."""
    digest = _HASHES.get(algorithm[-3:], sha512)(token.encode()).digest()
    return _base64url(digest[: len(digest) // 2])


def person(claims: Mapping[str, Any], name_claim: str, groups_claim: str) -> Person:
    """Return who the claims are about."""
    groups = claims.get(groups_claim, [])
    listed = cast("list[object]", groups if isinstance(groups, list) else [groups])
    email = claims.get("email") if claims.get("email_verified") is not False else ""
    names = (claims.get(name_claim), claims.get("email"), claims["sub"])
    return Person(
        subject=claims["sub"],
        name=next(name for name in names if isinstance(name, str) and name).partition("@")[0],
        email=email if isinstance(email, str) else "",
        groups=tuple(group for group in listed if isinstance(group, str)),
    )


def roles_of(
    groups: Sequence[str], table: Mapping[str, Mapping[str, RoleName]]
) -> dict[str, RoleName]:
    """Return roles by project for the groups of a person; of several the one that may most.

    Args:
        groups: As the provider names them.
        table: By group, then by project (or `*`), the role.
    """
    found: dict[str, RoleName] = {}
    for group in groups:
        for project, role in table.get(group, {}).items():
            before = found.get(project)
            if before is None or len(ROLES[role]) > len(ROLES[before]):
                found[project] = role
    return found


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _refused(code: str, message: str) -> Forbidden:
    return Forbidden(message, code=code, hint="Begin again: `trivet login`, or /login.")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
