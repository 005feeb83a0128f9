"""Nothing that a caller sends may be answered with 5xx: a client would try it seven times more.

Every route gets fields of wrong types, of huge size, missing ones, and true ids among them, so that
some requests come as far as the stores.
"""

import http.client
import json
import os
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.clients.areas import SWEPT
from tests.clients.routes import ROUTES, Route
from tests.clients.servers import Server

ORACLE = os.environ.get("TRIVET_CONFORMANCE") == "oracle"
PATIENCE_S = 60
# What MLflow's own server answers with 5xx is counted, not judged.
FAILED: Counter[str] = Counter()

WORD_LIST = (
    *(
        "",
        " ",
        "a",
        "0",
        "-1",
        "1.5",
        "ünïcode ✓",
        "a\x00b",
        "\n",
        "a//b",
        "../../etc",
        "%2e%2e",
        "'",
    ),
    *("x" * 300, "x" * 70_000, "9" * 40, "NaN", "null", "true", "eyJvZmZzZXQiOiAxfQ==", "e30="),
    *(
        "metrics.a > 1",
        "metrics.a > 'b'",
        "params.`a` = 'b'",
        "name LIKE '%'",
        "a = 'b",
        "name IN ()",
    ),
    *("attributes.start_time > 99999999999999999999", "tags.a IS NULL", "name", "metrics.a DESC"),
    *("FINISHED", "READY", "ALL", "Staging", "LOGGED_MODEL_READY", "http://host/x", "/etc/passwd"),
)


def word(number: int) -> str:
    """By number, because Hypothesis would print the long ones with every strategy."""
    return WORD_LIST[number]


WORDS = st.integers(0, len(WORD_LIST) - 1).map(word)
NUMBERS = st.sampled_from(
    [
        *(
            0,
            1,
            -1,
            5,
            2**31,
            2**53,
            2**63 - 1,
            2**63,
            -(2**63) - 1,
            10**40,
            1.5,
            1e308,
            -0.0,
            True,
            False,
        ),
    ]
)
SCALARS = st.one_of(WORDS, NUMBERS, st.none())
PARTS = (
    "key",
    "value",
    "timestamp",
    "step",
    "name",
    "version",
    "model_id",
    "dataset",
    "field_name",
    "ascending",
)
OBJECTS = st.dictionaries(st.sampled_from(PARTS), SCALARS, max_size=5)
TREES = st.recursive(
    SCALARS | OBJECTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=6,
)
LISTS = st.lists(OBJECTS | SCALARS, max_size=4)


def values_of(field: str, known: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Half of the time what belongs there, so that the rest of the request is looked at as well."""
    name = field.strip("[]#")
    if name in known:
        return st.one_of(st.just(known[name]), st.just(known[name]), TREES)
    if field.startswith("["):
        return st.one_of(LISTS, LISTS, TREES)
    return st.one_of(NUMBERS if field.endswith("#") else WORDS, TREES)


def requests_to(route: Route, known: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {field.strip("[]#"): values_of(field, known) for field in route.fields}
    return st.fixed_dictionaries({}, optional=fields)


class Wire:
    """One connection that stays, and the ids of things that are there."""

    def __init__(self, server: Server) -> None:
        self.place = urllib.parse.urlsplit(server.url)
        self.headers = {"Authorization": f"Bearer {server.token}"} if server.token else {}
        self.connection = http.client.HTTPConnection(self.place.netloc, timeout=PATIENCE_S)
        self.known = self.furnish()

    def send(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None
    ) -> tuple[int, bytes]:
        content = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        headers = {
            **self.headers,
            **({"Content-Type": "application/json"} if content is not None else {}),
        }
        self.connection.request(method, self.place.path + path, content, headers)
        answer = self.connection.getresponse()
        found = answer.status, answer.read()
        if answer.will_close:
            self.connection.close()
        return found

    def furnish(self) -> dict[str, Any]:
        api = "/api/2.0/mlflow"

        def made(path: str, body: dict[str, Any]) -> dict[str, Any]:
            status, content = self.send("POST", f"{api}/{path}", body)
            assert status in {200, 400}, (path, status, content)
            return json.loads(content)

        made("experiments/create", {"name": "swept"})
        _, found = self.send("GET", f"{api}/experiments/get-by-name?experiment_name=swept")
        experiment = json.loads(found)["experiment"]["experiment_id"]
        run = made("runs/create", {"experiment_id": experiment})["run"]["info"]
        made("registered-models/create", {"name": "swept"})
        known = {
            "experiment_id": experiment,
            "experiment_ids": [experiment],
            "run_id": run["run_id"],
        }
        known |= {"name": "swept", "version": "1", "run_ids": [run["run_id"]], "metric_key": "m"}
        made(
            "model-versions/create",
            {"name": "swept", "source": f"{run['artifact_uri']}/m", "run_id": run["run_id"]},
        )
        return known


@pytest.fixture(scope="module")
def wire(server: Server) -> Iterator[Wire]:
    found = Wire(server)
    yield found
    found.connection.close()
    if ORACLE:
        print(f"\n5xx of MLflow's server, by route: {json.dumps(+FAILED, indent=1)}")


def judge(route: str, status: int, content: bytes, sent: object) -> None:
    if ORACLE:
        FAILED[route] += status >= 500
        return
    assert status < 500, f"{route} answered {status} {content[:300]!r} to {str(sent)[:1500]}"
    if status >= 400 and content.startswith(b"{"):
        assert {"error_code", "message"} <= set(json.loads(content)), (route, content[:300])


def address_of(route: Route, known: dict[str, Any], fields: dict[str, Any]) -> str:
    path = route.path
    for name in ("model_id", "trace_id", "webhook_id", "key"):
        value = str(fields.get(name, known.get(name, "m-" + "0" * 32)))[:300]
        path = path.replace(f"{{{name}}}", urllib.parse.quote(value or "x", safe=""))
    if route.method != "GET":
        return path
    query = {name: value for name, value in fields.items() if value is not None}
    return f"{path}?{urllib.parse.urlencode(query, doseq=True, errors='replace')[:50_000]}"


if ORACLE or SWEPT:

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
    def test_no_request_is_answered_with_5xx(route: Route, wire: Wire) -> None:
        @settings(max_examples=25, suppress_health_check=list(HealthCheck), database=None)
        @given(fields=requests_to(route, wire.known))
        def sweep(fields: dict[str, Any]) -> None:
            body = None if route.method == "GET" else fields
            path = address_of(route, wire.known, fields)
            judge(f"{route.method} {route.path}", *wire.send(route.method, path, body), fields)

        sweep()

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
    def test_no_body_is_answered_with_5xx(route: Route, wire: Wire) -> None:
        path = address_of(route, wire.known, {})
        deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
        for raw in (
            b"",
            b"{",
            b"[1]",
            b"null",
            b"5",
            b'"x"',
            b"\xff\xfe",
            b"{}" * 3,
            b"[" * 50_000,
            deep,
        ):
            if route.method != "GET":
                judge(
                    f"{route.method} {route.path}",
                    *wire.send(route.method, path, raw=raw),
                    raw[:50],
                )
