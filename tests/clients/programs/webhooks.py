"""Web hooks of the registry: kept, changed, deleted, and called with a signature."""

import hashlib
import hmac
import json
import threading
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from judging import check, fresh, judge, refused, same
from mlflow.entities.webhook import WebhookStatus
from mlflow.tracking import MlflowClient

client = MlflowClient()
GOT: list[tuple[dict[str, str], bytes]] = []


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        GOT.append((dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


LISTENER = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=LISTENER.serve_forever, daemon=True).start()
HERE = f"http://127.0.0.1:{LISTENER.server_port}/hook"


def waited(wanted: str) -> tuple[dict[str, str], bytes]:
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        for headers, body in GOT:
            if wanted in body.decode():
                return headers, body
        time.sleep(0.05)
    raise AssertionError(f"no call with {wanted} came, but {GOT!r}")


@check()
def a_hook_is_kept_changed_and_deleted() -> None:
    name = fresh("hook")
    made = client.create_webhook(
        name, HERE, ["registered_model.created"], description="d", secret="s"
    )
    same((made.name, made.url, made.description), (name, HERE, "d"))
    same(
        (str(made.status), [str(each) for each in made.events]),
        ("ACTIVE", ["registered_model.created"]),
    )
    found = client.get_webhook(made.webhook_id)
    same((found.name, found.secret), (name, None))
    assert made.webhook_id in {each.webhook_id for each in client.list_webhooks()}
    new = fresh("hook")
    client.update_webhook(
        made.webhook_id, name=new, events=["model_version.created"], status="DISABLED"
    )
    found = client.get_webhook(made.webhook_id)
    same((found.name, found.description, found.status), (new, "d", WebhookStatus.DISABLED))
    same([str(each) for each in found.events], ["model_version.created"])
    client.delete_webhook(made.webhook_id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_webhook(made.webhook_id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.delete_webhook(made.webhook_id)


@check()
def hooks_come_by_pages() -> None:
    made = [
        client.create_webhook(fresh("hook"), HERE, ["registered_model.created"], status="DISABLED")
        for _ in range(3)
    ]
    found, token = set(), None
    while True:
        page = client.list_webhooks(max_results=2, page_token=token)
        assert len(page) <= 2
        found |= {each.webhook_id for each in page}
        token = page.token
        if not token:
            break
    assert {each.webhook_id for each in made} <= found
    for each in made:
        client.delete_webhook(each.webhook_id)


@check()
def hooks_that_make_no_sense_are_refused() -> None:
    for name, url, events in (
        ("", HERE, ["registered_model.created"]),
        ("-a", HERE, ["registered_model.created"]),
        ("a" * 64, HERE, ["registered_model.created"]),
        ("a b", HERE, ["registered_model.created"]),
        (fresh("hook"), "ftp://host/x", ["registered_model.created"]),
        (fresh("hook"), "nonsense", ["registered_model.created"]),
        (fresh("hook"), HERE, []),
    ):
        with refused("INVALID_PARAMETER_VALUE"):
            client.create_webhook(name, url, events)


@check()
def a_hook_can_be_tried() -> None:
    made = client.create_webhook(fresh("hook"), HERE, ["registered_model.created"], secret="s")
    result = client.test_webhook(made.webhook_id)
    same((result.success, result.response_status, result.response_body), (True, 200, "ok"))
    client.delete_webhook(made.webhook_id)


@check()
def events_of_the_registry_call_the_hook_with_a_signature() -> None:
    secret = "a secret of the hook"
    events = [
        "registered_model.created",
        "model_version.created",
        "model_version_alias.created",
        "model_version_tag.set",
    ]
    hook = client.create_webhook(fresh("hook"), HERE, events, secret=secret)
    name = fresh("model")
    client.create_registered_model(name, description="of the test")
    headers, body = waited(name)
    same(json.loads(body)["data"]["name"], name)
    lower = {key.lower(): value for key, value in headers.items()}
    signed = f"{lower['x-mlflow-delivery-id']}.{lower['x-mlflow-timestamp']}.{body.decode()}"
    digest = b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()).decode()
    same(lower["x-mlflow-signature"], f"v1,{digest}")
    run = client.create_run("0").info
    client.log_text(run.run_id, "x", "m/MLmodel")
    client.create_model_version(name, f"{run.artifact_uri}/m", run.run_id)
    _, body = waited('"model_version"')
    same(json.loads(body)["data"]["version"], "1")
    client.set_registered_model_alias(name, "champion", "1")
    waited("champion")
    client.set_model_version_tag(name, "1", "looked", "yes")
    waited("looked")
    client.delete_webhook(hook.webhook_id)


if __name__ == "__main__":
    judge()
