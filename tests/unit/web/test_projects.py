"""Two projects behind one server: nothing of one is seen or changed from the other.

Every route is sent what somebody would send who knows all identifiers of the other project. That
these requests are good ones is checked by sending them to that project afterwards.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.unit.web.conftest import Client

from trivet.access.facts import WORKSPACE
from trivet.core.facts import Scope
from trivet.http.routes import Route
from trivet.models.approvals import Approvals
from trivet.web.mlflow.table import mlflow_routes
from trivet.workspace.workspace import Workspace

SECRET = "zebra"
"""In everything that the one project holds, and in nothing that is sent from the other."""
V2, V3 = "api/2.0/mlflow", "api/3.0/mlflow"
ROOTS = {"left": "", "right": "/right"}
PUBLIC = {"/version", "/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info"}
LAST = re.compile("DELETE|delete|rename|abort")
PAIRS = pytest.mark.parametrize(("here", "there"), [("left", "right"), ("right", "left")])


class Root:
    """One project, as an admin of it alone sees it."""

    def __init__(self, client: Client, prefix: str, token: str) -> None:
        self.client = client
        self.prefix = prefix
        self.token = token

    def call(self, method: str, path: str, /, body: Any = None, **query: Any) -> Any:
        address = f"{self.prefix}/{path.lstrip('/')}"
        if query:
            address += "?" + urlencode(query, doseq=True)
        headers = {"content-type": "application/json"}
        return self.client.call(method, address, token=self.token, body=body, headers=headers)

    def post(self, path: str, /, **fields: Any) -> Any:
        answer = self.call("POST", path, fields)
        assert answer.status == 200, (path, answer.body)
        return answer.data


@pytest.fixture
def roots(tracking: Client, workspace: Workspace) -> dict[str, Root]:
    workspace.access.projects.add("right")
    return {
        name: Root(tracking, prefix, workspace.access.issue(f"of-{name}", "admin", project=name))
        for name, prefix in ROOTS.items()
    }


def furnish(root: Root) -> dict[str, str]:
    """Make one of everything; return the identifiers that a stranger is assumed to know."""
    tags = [{"key": "k", "value": SECRET}]
    experiment = root.post(f"{V2}/experiments/create", name="known", tags=tags)["experiment_id"]
    run = root.post(f"{V2}/runs/create", experiment_id=experiment, start_time=1, tags=tags)
    run_id = run["run"]["info"]["run_id"]
    metric = {"key": "m", "value": 31337.5, "timestamp": 1, "step": 0}
    root.post(f"{V2}/runs/log-batch", run_id=run_id, metrics=[metric], params=tags)
    dataset = {"name": "d", "digest": "x", "source_type": "t", "source": SECRET}
    root.post(f"{V2}/runs/log-inputs", run_id=run_id, datasets=[{"dataset": dataset}])
    file = f"{experiment}/{run_id}/artifacts/a.txt"
    put = root.call("PUT", f"api/2.0/mlflow-artifacts/artifacts/{file}", SECRET.encode())
    assert put.status == 200
    logged = root.post(f"{V2}/logged-models", experiment_id=experiment, name="m", tags=tags)
    model_id = logged["model"]["info"]["model_id"]
    root.post(f"{V2}/registered-models/create", name="known-model", description=SECRET)
    source = f"mlflow-artifacts:/{experiment}/{run_id}/artifacts"
    root.post(f"{V2}/model-versions/create", name="known-model", source=source, run_id=run_id)
    root.post(f"{V2}/registered-models/alias", name="known-model", alias="best", version="1")
    trace = root.post(f"{V3}/traces", trace=trace_of(experiment, SECRET))["trace"]["trace_info"][
        "trace_id"
    ]
    value = {"feedback": {"value": SECRET}, "assessment_name": "a", "source": HUMAN}
    assessed = root.post(f"{V3}/traces/{trace}/assessments", assessment=value)
    hook = root.post(
        f"{V2}/webhooks",
        name="hook",
        description=SECRET,
        url="https://example.org/hook",
        events=[{"entity": "MODEL_VERSION", "action": "CREATED"}],
    )
    folder = f"{experiment}/{run_id}/artifacts"
    upload = root.post(f"api/2.0/mlflow-artifacts/mpu/create/{folder}", path="big", num_parts=1)
    return {
        "experiment": experiment,
        "run": run_id,
        "model": model_id,
        "source": source,
        "trace": trace,
        "assessment": assessed["assessment"]["assessment_id"],
        "hook": hook["webhook"]["webhook_id"],
        "folder": folder,
        "upload": upload["upload_id"],
    }


HUMAN = {"source_type": "HUMAN", "source_id": "x"}


def trace_of(experiment: str, text: str) -> dict[str, Any]:
    info = {
        "trace_id": "tr-" + "7" * 32,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment},
        },
        "request_time": "2026-01-01T00:00:00Z",
        "state": "OK",
        "request_preview": text,
        "tags": {"k": text},
    }
    return {"trace_info": info}


def fields_for(route: Route[Any], known: dict[str, str]) -> dict[str, Any]:
    """Return what a request of this route may hold, made of what a stranger knows."""
    experiment, run, model, trace = (known[k] for k in ("experiment", "run", "model", "trace"))
    of_models = re.search(r"registered-models|model-versions", route.path)
    every: dict[str, Any] = {
        "experiment_id": experiment,
        "experiment_ids": [experiment],
        "experiment_name": "known",
        "name": "known-model" if of_models else "known",
        "new_name": "renamed",
        "run_id": run,
        "run_uuid": run,
        "run_ids": [run],
        "metric_key": "m",
        "model_id": model,
        "version": "1",
        "alias": "best",
        "stage": "Production",
        "source": known["source"],
        "key": "k",
        "value": "1.5" if route.path.endswith("log-metric") else "mine",
        "timestamp": 2,
        "step": 1,
        "status": "FINISHED",
        "description": "mine",
        "metrics": [{"key": "m", "value": 1.5, "timestamp": 2, "step": 1}],
        "tags": [{"key": "k", "value": "mine"}],
        "params": [{"key": "p", "value": "mine"}],
        "models": [{"model_id": model, "step": 0}],
        "datasets": [{"dataset": {"name": "e", "digest": "y", "source_type": "t", "source": "s"}}],
        "locations": [
            {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
        ],
        "request_id": trace,
        "trace_id": trace,
        "trace_ids": [trace],
        "request_ids": [trace],
        "timestamp_ms": 1,
        "execution_time_ms": 1,
        "artifact_file_path": "a.txt",
        "path": "big" if "/mpu/" in route.path else "a.txt",
        "num_parts": 1,
        "upload_id": known["upload"],
        "parts": [],
        "assessment": {
            "assessment_name": "a",
            "feedback": {"value": "mine"},
            "source": HUMAN,
        },
        "update_mask": "feedback",
        "trace": trace_of(experiment, "mine"),
    }
    for word, fields in OTHERWISE.items():
        if word in f"{route.method} {route.path}":
            every |= fields
    return every


MODEL = json.dumps({"artifact_path": "m", "flavors": {}, "run_id": "", "utc_time_created": "now"})
OTHERWISE: dict[str, dict[str, Any]] = {
    "webhooks": {
        "name": "renamed",
        "url": "https://example.org/x",
        "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}],
        "status": "ACTIVE",
    },
    "runs/log-model": {"model_json": MODEL},
    "logged-models/search": {"datasets": [{"dataset_name": "d"}]},
    "PATCH /api/2.0/mlflow/logged-models/{model_id}": {"status": "LOGGED_MODEL_READY"},
    "PATCH /api/2.0/mlflow/traces/{request_id}": {
        "timestamp_ms": 2_000_000_000_000,
        "status": "OK",
    },
}


def path_for(route: Route[Any], known: dict[str, str]) -> str:
    values = {
        "model_id": known["model"],
        "request_id": known["trace"],
        "trace_id": known["trace"],
        "assessment_id": known["assessment"],
        "webhook_id": known["hook"],
        "tag_key...": "k",
        "upload": known["upload"],
        "number": "1",
        "path...": known["folder"] + ("" if "/mpu/" in route.path else "/a.txt"),
    }
    return re.sub(r"\{([a-z_.]+)\}", lambda found: values[found[1]], route.path)


def routes(workspace: Workspace) -> list[Route[Any]]:
    """All routes, those that destroy last."""
    found = [r for r in mlflow_routes(workspace.stores, workspace.scope) if r.path not in PUBLIC]
    return sorted(
        found, key=lambda r: (r.method == "DELETE", "delete" in r.path, "rename" in r.path)
    )


def send(root: Root, route: Route[Any], known: dict[str, str]) -> Any:
    path, fields = path_for(route, known), fields_for(route, known)
    if route.method == "GET":
        plain = {name: value for name, value in fields.items() if isinstance(value, str | int)}
        if path.endswith("/artifacts"):
            plain["path"] = known["folder"]
        lists = {"experiment_ids": [known["experiment"]], "trace_ids": [known["trace"]]}
        return root.call("GET", path, **plain, run_ids=known["run"], **lists)
    if path.endswith("/upload-artifact"):
        return root.call("POST", path, b"mine", run_uuid=known["run"], path="b.txt")
    body = b"mine" if route.is_streamed else fields
    return root.call(route.method, path, body)


def kept(workspace: Workspace, project: str, run: str) -> list[Any]:
    """Everything that is kept of a project, and the points of a run of it."""
    stores = workspace.stores
    facts = [e for e in stores.ledger.since(0, 100_000) if e.project == project]
    return [*facts, *documents(workspace, project), stores.series.summaries(run)]


def documents(workspace: Workspace, project: str) -> Iterator[Any]:
    from trivet.core.catalog import Search

    for name in ("experiments", "runs", "logged-models", "registered-models", "model-versions"):
        for document in workspace.stores.catalog.search(Search(collection=name)).documents:
            if document.group.split("/")[0] == project:
                yield document


@PAIRS
def test_nothing_of_a_project_is_seen_or_changed_from_another(
    roots: dict[str, Root], workspace: Workspace, here: str, there: str
) -> None:
    known = furnish(roots[there])
    furnish(roots[here])  # so that lists here are not empty, and numbers are the same
    before = kept(workspace, there, known["run"])
    told: list[str] = []
    for route in routes(workspace):
        if route.path.endswith("search"):
            continue  # what is here is found here; the next test looks at what is there
        answer = send(roots[here], route, known)
        if answer.status >= 500 and answer.status != 501:
            told.append(f"{answer.status} {route.method} {route.path}: {answer.body!r}")
    assert told == []
    assert kept(workspace, there, known["run"]) == before


@PAIRS
def test_no_answer_tells_what_is_in_another_project(
    roots: dict[str, Root], workspace: Workspace, here: str, there: str
) -> None:
    known = furnish(roots[there])
    told: list[str] = []
    for route in routes(workspace):
        answer = send(roots[here], route, known)
        text = answer.body.decode("utf-8", "replace")
        if SECRET in text or "31337" in text:
            told.append(f"{route.method} {route.path}: {text[:200]}")
    assert told == []


NOT_ANSWERED = {
    "/experiments/create": "the name is taken",
    "/experiments/restore": "it is not deleted",
    "/registered-models/create": "the name is taken",
    "/log-parameter": "it has another value",
    "/presigned": "there are none",
    "/traces/get": "the spans are not here",
    "/get-trace-artifact": "the spans are not here",
    "/artifacts/files": "the model has no files",
    "/mpu/part": "it needs the key",
    "/mpu/complete": "no part was sent",
}


def test_these_requests_would_be_answered_by_the_project_itself(
    tracking: Client, workspace: Workspace
) -> None:
    refused: list[str] = []
    token = workspace.access.issue("everywhere", "owner", project="*")
    for number, route in enumerate(routes(workspace)):
        if route.path.startswith("/ajax-api"):
            continue
        workspace.access.projects.add(f"p{number}")
        root = Root(tracking, f"/p{number}", token)
        answer = send(root, route, furnish(root))
        if answer.status != 200 and not any(word in route.path for word in NOT_ANSWERED):
            refused.append(f"{answer.status} {route.method} {route.path}: {answer.body!r}")
    assert refused == []


def test_experiments_and_models_of_the_same_name_live_in_two_projects(
    roots: dict[str, Root],
) -> None:
    left, right = (furnish(root) for root in roots.values())
    assert left["run"] != right["run"]
    for root, known in zip(roots.values(), (left, right), strict=True):
        found = root.post(f"{V2}/runs/search", experiment_ids=[known["experiment"]])["runs"]
        assert [run["info"]["run_id"] for run in found] == [known["run"]]


def test_the_folder_s_own_project_is_reached_by_its_name_too(roots: dict[str, Root]) -> None:
    known = furnish(roots["left"])
    named = Root(roots["left"].client, "/left", roots["left"].token)
    assert named.call("GET", f"{V2}/runs/get", run_id=known["run"]).status == 200


def test_a_project_that_is_not_there_looks_like_one_without_a_role(
    roots: dict[str, Root], workspace: Workspace
) -> None:
    client, token = roots["left"].client, roots["left"].token
    unknown = client.get("/nowhere/api/2.0/mlflow/experiments/get?experiment_id=0", token=token)
    other = client.get("/right/api/2.0/mlflow/experiments/get?experiment_id=0", token=token)
    assert (unknown.status, unknown.body) == (other.status, other.body)
    assert unknown.data["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    for path in ("/right/health", "/nowhere/health", "/right/version", "/nowhere/version"):
        assert client.get(path, role=None).status == 200
    part = "api/2.0/mlflow-artifacts/mpu/part/1/1?key=x"
    parts = [client.call("PUT", f"/{p}/{part}", role=None, body=b"") for p in ("right", "nowhere")]
    assert parts[0].status == parts[1].status
    assert parts[0].body == parts[1].body


def test_a_project_that_is_added_is_there_at_once_and_so_is_a_role_in_it(
    api: Client, workspace: Workspace
) -> None:
    search = "/later/api/2.0/mlflow/experiments/search"
    workspace.access.users.add("anna")
    token = workspace.access.issue("laptop", user="anna", project="*")
    assert api.post(search, {"max_results": 5}, token=token).status == 404
    workspace.access.projects.add("later")
    assert api.post(search, {"max_results": 5}, token=token).status == 404
    workspace.access.users.grant("anna", "viewer", "later", None)
    assert api.post(search, {"max_results": 5}, token=token).status == 200
    workspace.access.users.grant("anna", None, "later", None)
    assert api.post(search, {"max_results": 5}, token=token).status == 404


def test_an_address_of_the_server_is_no_name_of_a_project(clients: dict[str, Client]) -> None:
    from trivet.access.projects import RESERVED

    first = {
        route.path.split("/")[1] for client in clients.values() for route in client.app.table.routes
    }
    assert first - {"{project}"} <= RESERVED


def test_access_is_nothing_that_a_project_s_readers_see(api: Client, workspace: Workspace) -> None:
    workspace.access.users.add("anna")
    workspace.access.users.set_password("anna", "correct horse battery staple")
    facts = [e for e in workspace.stores.ledger.since(0) if e.project == WORKSPACE]
    assert facts
    for entry in facts:
        assert api.get(f"/facts/{entry.id}", role="owner").status == 404
    kinds = {entry.kind for entry in facts}
    for kind in kinds:
        assert json.loads(api.get(f"/facts?kind={kind}", role="owner").body)["facts"] == []


@PAIRS
def test_no_model_is_registered_from_what_another_project_holds(
    roots: dict[str, Root], here: str, there: str
) -> None:
    known, root = furnish(roots[there]), roots[here]
    root.post(f"{V2}/registered-models/create", name="mine")
    for source in (known["source"], f"models:/{known['model']}", f"runs:/{known['run']}/a.txt"):
        for more in ({}, {"run_id": known["run"]}, {"model_id": known["model"]}):
            wish = {"name": "mine", "source": source, **more}
            answer = root.call("POST", f"{V2}/model-versions/create", wish)
            assert answer.status in {400, 404}, answer.body


@pytest.mark.parametrize("server", ["api", "tracking"])
def test_a_protected_alias_is_approved_by_the_approvers_of_its_own_project(
    server: str, clients: dict[str, Client], workspace: Workspace
) -> None:
    client, access = clients[server], workspace.access
    access.projects.add("right")
    ada = Root(client, "/right", access.issue("ada", "operator", project="right"))
    bob = Root(client, "/right", access.issue("bob", "approver", project="right"))
    elsewhere = Root(client, "", access.issue("eve", "approver", project="left"))
    furnish(Root(client, "/right", access.issue("maker", "admin", project="right")))
    Approvals(workspace.stores, Scope(project="right", actor="root")).protect("safe", 1)
    move = {"name": "known-model", "alias": "safe", "version": "1"}
    assert ada.call("POST", f"{V2}/registered-models/alias", move).status == 403
    (waiting,) = bob.call("GET", "approvals").data
    assert (waiting["by"], waiting["requested"]["label"]) == ("ada", "known-model:1")
    request, yes = f"approvals/{waiting['id']}", {"decision": "approve", "reason": "seen"}
    assert elsewhere.call("GET", "approvals").data == []
    assert elsewhere.call("POST", request, yes).status == 404
    assert elsewhere.call("POST", f"right/{request}", yes).status == 404
    assert ada.call("POST", request, yes).status == 403
    assert bob.post(request, **yes)["state"] == "approved"
    assert ada.call("POST", f"{V2}/registered-models/alias", move).status == 200
