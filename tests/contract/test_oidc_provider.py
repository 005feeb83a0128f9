"""The adapter of OpenID Connect against a provider that lies, over real HTTP and with real keys."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from trivet.adapters.oidc import provider as adapter
from trivet.adapters.oidc.provider import OidcProvider
from trivet.core.errors import Forbidden, Invalid, TrivetError, Unavailable

jwt = pytest.importorskip("joserfc.jwt")
jwk = pytest.importorskip("joserfc.jwk")

CLAIMS = {"sub": "1"}


class Liar(ThreadingHTTPServer):
    """A provider whose documents can be bent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.about: Any = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }
        self.key = jwk.RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.keys: Any = {"keys": [self.key.as_dict(private=False)]}
        self.status = 200
        self.token: Any = {"id_token": "x"}
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []

    def publish(self, *keys: Any) -> None:
        self.keys = {"keys": [key.as_dict(private=False) for key in keys]}

    def paths(self) -> list[str]:
        return [asked[0] for asked in self.asked]


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        query = parse_qs(self.rfile.read(length).decode())
        self._answer({name: values[0] for name, values in query.items()})

    def _answer(self, fields: dict[str, str]) -> None:
        liar: Any = self.server
        liar.asked.append((self.path, fields, dict(self.headers)))
        found = {"/token": liar.token, "/keys": liar.keys}.get(self.path, liar.about)
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(liar.status)
        self.send_header("content-length", str(len(body)))
        self.send_header("location", f"{liar.url}/.well-known/openid-configuration")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def provider(liar: Liar) -> OidcProvider:
    return OidcProvider(liar.url, "trivet", None)


def signed(key: Any, algorithm: str = "RS256", **header: Any) -> str:
    head = {"alg": algorithm, "kid": "one"} | header
    token: str = jwt.encode(head, CLAIMS, key, algorithms=[algorithm])
    return token


def code_of(provider: OidcProvider, token: str) -> str:
    with pytest.raises(TrivetError) as caught:
        provider.verified(token)
    assert isinstance(caught.value, Forbidden)
    return caught.value.code


def test_what_the_provider_signed_is_told_with_its_algorithm(
    liar: Liar, provider: OidcProvider
) -> None:
    assert provider.verified(signed(liar.key)) == ("RS256", CLAIMS)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # and what most who have such keys send
@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (lambda: jwk.ECKey.generate_key("P-256", {"kid": "one"}), "ES256"),
        (lambda: jwk.RSAKey.generate_key(2048, {"kid": "one"}), "PS256"),
        (lambda: jwk.OKPKey.generate_key("Ed25519", {"kid": "one"}), "Ed25519"),
        (lambda: jwk.OKPKey.generate_key("Ed25519", {"kid": "one"}), "EdDSA"),
    ],
)
def test_other_kinds_of_keys_are_read_too(
    liar: Liar, provider: OidcProvider, make: Any, algorithm: str
) -> None:
    key = make()
    liar.publish(key)
    assert provider.verified(signed(key, algorithm))[1] == CLAIMS


def test_a_token_by_another_key_is_refused(provider: OidcProvider) -> None:
    other = jwk.RSAKey.generate_key(2048, {"kid": "one"})
    assert code_of(provider, signed(other)) == "bad-signature"


def test_a_token_without_a_signature_is_refused(liar: Liar, provider: OidcProvider) -> None:
    import base64

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        bare = f"{part({'alg': algorithm, 'kid': 'one'})}.{part(CLAIMS)}."
        assert code_of(provider, bare) == "bad-signature"
    head, _, _ = signed(liar.key).split(".")
    assert code_of(provider, f"{head}.{part(CLAIMS)}.") == "bad-signature"


def test_a_public_key_is_no_shared_secret(liar: Liar, provider: OidcProvider) -> None:
    for text in (liar.key.as_pem(private=False), json.dumps(liar.keys["keys"][0]).encode()):
        secret = jwk.OctKey.import_key(text.hex())
        assert code_of(provider, signed(secret, "HS256")) == "bad-signature"


def test_a_secret_that_is_published_signs_nothing(liar: Liar, provider: OidcProvider) -> None:
    secret = jwk.OctKey.generate_key(256, {"kid": "one"})
    liar.keys = {"keys": [secret.as_dict(private=True)]}
    assert code_of(provider, signed(secret, "HS256")) == "bad-signature"


def test_a_key_for_encryption_signs_nothing(liar: Liar, provider: OidcProvider) -> None:
    key = jwk.RSAKey.generate_key(2048, {"kid": "one", "use": "enc"})
    liar.publish(key)
    plain = jwk.RSAKey.import_key({k: v for k, v in key.as_dict(True).items() if k != "use"})
    assert code_of(provider, signed(plain)) == "bad-signature"


def test_a_token_does_not_bring_its_own_key(liar: Liar, provider: OidcProvider) -> None:
    other = jwk.RSAKey.generate_key(2048, {"kid": "one"})
    token = signed(other, jwk=other.as_dict(private=False), jku=f"{liar.url}/evil")
    assert code_of(provider, token) == "bad-signature"
    assert set(liar.paths()) == {"/.well-known/openid-configuration", "/keys"}


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "é.é.é", "e30.e30.", "e30.e30.e30"])
def test_what_is_no_token_is_refused(provider: OidcProvider, token: str) -> None:
    assert code_of(provider, token) == "bad-signature"


def test_keys_are_fetched_once_and_anew_when_they_change(
    liar: Liar, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        provider.verified(signed(liar.key))
    assert liar.paths().count("/keys") == 1
    fresh = jwk.RSAKey.generate_key(2048, {"kid": "two"})
    liar.publish(fresh)
    # Whoever sends unknown names of keys does not have them fetched each time.
    assert code_of(provider, signed(fresh, kid="two")) == "bad-signature"
    assert liar.paths().count("/keys") == 1
    monkeypatch.setattr(adapter, "_ANEW_S", 0.0)
    assert provider.verified(signed(fresh, kid="two"))[1] == CLAIMS
    assert code_of(provider, signed(liar.key)) == "bad-signature"


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://192.0.2.1/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        b"<html>",
        b"[]",
        b" " * (1 << 20) + b"{}",
    ],
)
def test_a_document_about_something_else_is_not_followed(
    liar: Liar, provider: OidcProvider, about: Any
) -> None:
    liar.about = liar.about | about if isinstance(about, dict) else about
    with pytest.raises((Unavailable, Invalid)):
        provider.metadata()


@pytest.mark.parametrize("status", [302, 307, 500, 404])
def test_a_redirect_is_not_followed_and_an_error_is_the_provider_s(
    liar: Liar, provider: OidcProvider, status: int
) -> None:
    liar.status = status
    with pytest.raises(Unavailable):
        provider.metadata()
    assert len(liar.asked) == 1


def test_a_code_is_given_with_its_verifier_and_refused_as_a_whole(
    liar: Liar, provider: OidcProvider
) -> None:
    assert provider.exchange("c", "v", "http://127.0.0.1:1/back") == {"id_token": "x"}
    assert liar.asked[-1][1] == {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": "http://127.0.0.1:1/back",
        "code_verifier": "v",
        "client_id": "trivet",
    }
    liar.status = 400
    with pytest.raises(Forbidden) as caught:
        provider.exchange("c", "v", "http://127.0.0.1:1/back")
    assert caught.value.code == "bad-code"


def test_a_client_s_secret_goes_where_the_provider_wants_it(liar: Liar) -> None:
    provider = OidcProvider(liar.url, "tri:vet", "s ecret")
    provider.exchange("c", "v", "b")
    assert liar.asked[-1][2]["Authorization"] == "Basic dHJpJTNBdmV0OnMrZWNyZXQ="
    liar.about["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    provider = OidcProvider(liar.url, "tri:vet", "s ecret")
    provider.exchange("c", "v", "b")
    assert liar.asked[-1][1]["client_secret"] == "s ecret"
    assert "Authorization" not in liar.asked[-1][2]


@pytest.mark.parametrize(
    "issuer",
    [
        "http://id.example",
        "ftp://127.0.0.1",
        "",
        "https://",
        "https://a:b@id.example",
        "id.example",
    ],
)
def test_an_issuer_that_anybody_on_the_way_could_be_is_refused(issuer: str) -> None:
    with pytest.raises(Invalid):
        OidcProvider(issuer, "trivet", None)
