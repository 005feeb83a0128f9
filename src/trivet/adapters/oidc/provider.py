"""A provider over HTTP: discovery, the exchange of codes, and keys that change.

Only asymmetric algorithms are accepted, so a public key can never pass for a shared secret, and
`none` is nothing. A key is used for the algorithm of its own type alone.
"""

import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from trivet.core.errors import Forbidden, Invalid, Unavailable

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
_PATIENCE_S: Final = 10.0
_MOST_BYTES: Final = 1 << 20
_KEPT_S: Final = 3600.0
_ANEW_S: Final = 30.0
"""The shortest time between two looks for keys that are not known, in seconds."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class OidcProvider:
    """A provider of OpenID Connect.

    Args:
        issuer: Its address, exactly as it writes it; https, or http on this machine.
        client_id: Who this server is to it.
        secret: What proves that; None for a client that has none.

    Raises:
        Invalid: The issuer is no such address.
    """

    def __init__(self, issuer: str, client_id: str, secret: str | None) -> None:
        _checked(issuer, "issuer")
        self.issuer = issuer
        self.client_id = client_id
        self._secret = secret
        self._lock = threading.Lock()
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, list[dict[str, Any]]] | None = None
        self._open = urllib.request.build_opener(_NoRedirects).open

    def metadata(self) -> Mapping[str, Any]:
        with self._lock:
            kept = self._metadata
            if kept is None or time.monotonic() - kept[0] > _KEPT_S:
                url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
                found = self._json(urllib.request.Request(url))  # noqa: S310  # checked: http or https
                self._check(found)
                kept = self._metadata = (time.monotonic(), found)
            return kept[1]

    def _check(self, metadata: Mapping[str, Any]) -> None:
        if metadata.get("issuer") != self.issuer:
            raise _odd("its discovery document is about another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(metadata.get(name), str):
                raise _odd(f"its discovery document has no {name}")
            _checked(metadata[name], name)

    def exchange(self, code: str, verifier: str, redirect_uri: str) -> Mapping[str, Any]:
        about = self.metadata()
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        methods = about.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if self._secret is None or "client_secret_basic" not in methods:
            fields["client_id"] = self.client_id
            fields |= {} if self._secret is None else {"client_secret": self._secret}
        else:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self._secret)}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        request = urllib.request.Request(  # noqa: S310  # checked when the document was read
            about["token_endpoint"], urlencode(fields).encode(), headers
        )
        return self._json(request)

    def verified(self, token: str) -> tuple[str, Mapping[str, Any]]:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        try:
            keys = self._keys_for(_header(token).get("kid"))
            found = KeySet.import_key_set({"keys": [k for k in keys if _may_sign(k)]})
            decoded = jwt.decode(token, found, algorithms=list(ALGORITHMS))
        except (JoseError, msgspec.DecodeError, ValueError, KeyError, TypeError) as error:
            raise Forbidden(
                f"the ID token cannot be believed: {type(error).__name__}",
                code="bad-signature",
                hint="Begin again; if it stays so, tell whoever runs the provider.",
            ) from error
        return str(decoded.header["alg"]), decoded.claims

    def _keys_for(self, kid: object) -> list[dict[str, Any]]:
        """Return the provider's keys; anew, when one of this identifier is not among them."""
        about = self.metadata()
        with self._lock:
            kept = self._keys
            age = float("inf") if kept is None else time.monotonic() - kept[0]
            found = [] if kept is None else kept[1]
            is_known = any(key.get("kid") == kid for key in found)
            if kept is None or age > _KEPT_S or (not is_known and age > _ANEW_S):
                request = urllib.request.Request(about["jwks_uri"])  # noqa: S310  # checked
                fresh = self._json(request)
                try:
                    found = msgspec.convert(fresh.get("keys"), list[dict[str, Any]])
                except msgspec.ValidationError as error:
                    raise _odd("its keys are no key set") from error
                self._keys = (time.monotonic(), found)
            return found

    def _json(self, request: urllib.request.Request) -> Mapping[str, Any]:
        request.add_header("Accept", "application/json")
        try:
            with self._open(request, timeout=_PATIENCE_S) as answer:
                body = answer.read(_MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
            if request.data is not None and 400 <= status < 500:
                raise Forbidden(
                    "the provider refuses the code",
                    code="bad-code",
                    hint="Begin again; a code is good for once, and for a short time.",
                ) from error
            raise Unavailable(f"the provider answered {status}", code="no-answer") from error
        except OSError as error:
            raise Unavailable(f"the provider does not answer: {error}", code="no-answer") from error
        try:
            found = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _odd("it answers with something else than JSON") from error
        return found


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> None:  # urllib's signature
        return None


def _header(token: str) -> Mapping[str, Any]:
    """Read a token's header. Nothing in it is believed: it says which key to look for."""
    part = token.partition(".")[0]
    return msgspec.json.decode(
        urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=dict[str, Any]
    )


def _may_sign(key: Mapping[str, Any]) -> bool:
    return key.get("kty") in {"RSA", "EC", "OKP"} and key.get("use", "sig") == "sig"


def _checked(url: str, name: str) -> None:
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or (
        parts.scheme == "http" and (parts.hostname or "") in _LOOPBACK
    )
    if not is_safe or not parts.hostname or parts.username is not None or parts.fragment:
        raise Invalid(
            f"{name} of the provider is no https address",
            code="bad-settings",
            hint="http is accepted on this machine alone.",
        )


def _odd(what: str) -> Unavailable:
    return Unavailable(
        f"the provider cannot be used: {what}",
        code="bad-provider",
        hint="Compare sign_in.issuer in trivet.toml with what the provider publishes.",
    )
