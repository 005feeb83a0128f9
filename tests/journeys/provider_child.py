"""A provider of OpenID Connect for the tests: `oidc-provider-mock`, which also checks PKCE.

Run with the Python of its own environment: it takes a port that is free, and prints its address.
The mock speaks the protocol with Authlib and signs with real keys; what it leaves out is put before
it here, as a provider does it: a code whose attempt had a challenge is given for tokens only with
its verifier, and once.
"""

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from oidc_provider_mock import User, app
from werkzeug.serving import make_server

USERS = (
    User(
        sub="77",
        claims={
            "preferred_username": "carla",
            "email": "carla@example.org",
            "groups": ["data", "everybody"],
        },
    ),
    User(sub="78", claims={"preferred_username": "dora", "groups": []}),
)


class Pkce:
    """Demands a challenge (S256) of every attempt, and its verifier with every code."""

    def __init__(self, inner: Callable[..., Iterable[bytes]]) -> None:
        self.inner = inner
        self.challenges: dict[str, str] = {}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/oauth2/authorize":
            return self.authorize(environ, start)
        if environ["PATH_INFO"] == "/oauth2/token" and not self.proves(environ):
            start("400 Bad Request", [("Content-Type", "application/json")])
            return [json.dumps({"error": "invalid_grant"}).encode()]
        return self.inner(environ, start)

    def authorize(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        query = parse_qs(environ["QUERY_STRING"])
        if query.get("code_challenge_method") != ["S256"] or "code_challenge" not in query:
            start("400 Bad Request", [])
            return [b"no challenge"]

        def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            place = dict(headers).get("Location", "")
            for code in parse_qs(urlsplit(place).query).get("code", []):
                self.challenges[code] = query["code_challenge"][0]
            return start(status, headers, *rest)

        return self.inner(environ, started)

    def proves(self, environ: dict[str, Any]) -> bool:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        fields = parse_qs(body.decode())
        verifier = fields.get("code_verifier", [""])[0]
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        challenge = self.challenges.pop(fields.get("code", [""])[0], None)
        return digest.rstrip(b"=").decode() == challenge


if __name__ == "__main__":
    flask = app(require_nonce=True, user_claims=USERS)
    flask.wsgi_app = Pkce(flask.wsgi_app)
    server = make_server("127.0.0.1", 0, flask, threaded=True)
    print(f"ready at http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
