"""Web hooks on the wire, with a receiver that listens."""

import base64
import hmac
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from tests.unit.web.mlflow.conftest import wire_of
from tests.unit.workspace.receivers import Hook, web_hook

from trivet.core.ports import Stores

MODELS = [{"entity": "MODEL_VERSION", "action": "CREATED"}, {"entity": 5, "action": 1}]


@pytest.fixture
def wire(stores: Stores) -> Any:
    return wire_of(stores, "admin", ["127.0.0.0/8"])


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_hook() as found:
        yield found


def make(wire: Any, **fields: Any) -> Any:
    wanted = {"name": "team", "url": "https://example.com/x", "events": MODELS, **fields}
    return wire.post("webhooks", **wanted)["webhook"]


def patch(wire: Any, webhook: str, **fields: Any) -> Any:
    return wire.call("PATCH", f"webhooks/{webhook}", body=json.dumps(fields).encode())["webhook"]


def test_a_web_hook_is_answered_without_its_secret(wire: Any, refused: Any) -> None:
    made = make(wire, secret="between us", description="d")
    assert "between us" not in json.dumps(made)
    assert made["events"] == [MODELS[0], {"entity": "PROMPT", "action": "CREATED"}]
    assert (made["status"], made["description"]) == ("ACTIVE", "d")
    assert wire.get(f"webhooks/{made['webhook_id']}")["webhook"] == made
    now = patch(wire, made["webhook_id"], status="DISABLED", events=[], description="")
    assert (now["status"], now["events"]) == ("DISABLED", made["events"])
    assert "description" not in now
    assert wire.call("DELETE", f"webhooks/{made['webhook_id']}") == {}
    with pytest.raises(refused, match="RESOURCE_DOES_NOT_EXIST"):
        wire.get(f"webhooks/{made['webhook_id']}")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"events": None}, "Missing value for required parameter 'events'"),
        ({"name": ""}, "Missing value for required parameter 'name'"),
        ({"name": "a b"}, "Webhook name 'a b' is invalid"),
        ({"events": [{"entity": "MODEL_VERSION", "action": "SET"}]}, "Valid actions are"),
        ({"events": [{"entity": "ORACLE", "action": "SET"}]}, "expected one of"),
        ({"own_events": ["run.exploded"]}, "Invalid webhook event"),
        ({"url": "ftp://example.com"}, "no http or https address"),
        ({"url": "https://me:pw@example.com/"}, "user or password"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "no public address"),
        ({"url": "http://[::1]:80/"}, "no public address"),
        ({"url": "http://10.0.0.1/"}, "no public address"),
        ({"url": "https://example.com/a b"}, "odd characters"),
        ({"status": "ASLEEP"}, "expected one of ACTIVE, DISABLED"),
    ],
)
def test_what_makes_no_sense_is_refused(
    wire: Any, refused: Any, fields: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(refused, match=complaint) as caught:
        make(wire, **fields)
    assert caught.value.status == 400
    assert wire.get("webhooks") == {"webhooks": []}


def test_mlflow_clients_see_no_event_that_they_cannot_read(wire: Any) -> None:
    own = make(wire, events=None, own_events=["run.finished"])
    both = make(wire, own_events=["run.finished", "run.created"])
    assert own["events"] == []
    listed = wire.get("webhooks")["webhooks"]
    assert [one["webhook_id"] for one in listed] == [both["webhook_id"]]
    assert listed[0]["own_events"] == ["run.finished", "run.created"]
    assert len(wire.get("webhooks", own_events="true")["webhooks"]) == 2
    assert patch(wire, own["webhook_id"], events=MODELS[:1])["own_events"] == []


def test_pages_end_where_the_list_ends(wire: Any, refused: Any) -> None:
    for number in range(4):
        make(wire, name=f"n{number}")
        make(wire, events=None, own_events=["run.created"])
    first = wire.get("webhooks", max_results=3)
    second = wire.get("webhooks", max_results=3, page_token=first["next_page_token"])
    assert (len(first["webhooks"]), len(second["webhooks"])) == (3, 1)
    assert "next_page_token" not in second
    assert "next_page_token" not in wire.get("webhooks", max_results=4)
    with pytest.raises(refused, match="max_results"):
        wire.get("webhooks", max_results=1001)


def test_a_test_is_signed_as_receivers_of_mlflow_expect(wire: Any, hook: Hook) -> None:
    made = make(wire, url=hook.url, secret="between us")
    path = f"webhooks/{made['webhook_id']}/test"
    result = wire.post(path)["result"]
    assert result == {"success": True, "response_status": 204, "response_body": ""}
    headers, body = hook.got[0]
    signed = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.".encode() + body
    digest = hmac.new(b"between us", signed, sha256).digest()
    assert headers["X-MLflow-Signature"] == f"v1,{base64.b64encode(digest).decode()}"
    sent = json.loads(body)
    assert (sent["entity"], sent["action"]) == ("model_version", "created")
    assert sent["data"]["version"] == "1"
    wire.post(path, event={"entity": "PROMPT", "action": "CREATED"})
    wire.post(path, own_event="run.created")
    assert [body["entity"] for body in hook.bodies[1:]] == ["prompt", "run"]


def test_a_test_says_what_went_wrong(wire: Any, hook: Hook, stores: Stores) -> None:
    made = make(wire, url=hook.url)
    path = f"webhooks/{made['webhook_id']}/test"
    hook.answers = [302, 500]
    assert wire.post(path)["result"]["success"] is False  # the redirect is not followed
    assert wire.post(path)["result"]["response_status"] == 500
    assert len(hook.got) == 2
    guarded = wire_of(stores, "admin")  # where this machine may not be posted to
    result = guarded.post(path)["result"]
    assert result["success"] is False
    assert "no public address" in result["error_message"]
    assert len(hook.got) == 2


@pytest.mark.parametrize("role", ["viewer", "developer", "operator", "application"])
def test_web_hooks_are_for_administrators(stores: Stores, refused: Any, role: Any) -> None:
    wire = wire_of(stores, role)
    for method, path in (
        ("POST", "webhooks"),
        ("GET", "webhooks"),
        ("GET", "webhooks/x"),
        ("PATCH", "webhooks/x"),
        ("DELETE", "webhooks/x"),
        ("POST", "webhooks/x/test"),
    ):
        with pytest.raises(refused, match="PERMISSION_DENIED"):
            wire.call(method, path)
