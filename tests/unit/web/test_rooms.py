from datetime import UTC, datetime
from typing import Any

import pytest

from trivet.core.clock import SystemClock
from trivet.core.facts import HeadMove, draft
from trivet.data.facts import DataCommit
from trivet.models.facts import GateVerdict, Input, ModelVersion, Signature
from trivet.models.model_versions import NewVersion
from trivet.monitoring.facts import Alert, WindowClosed
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import Opening, ReportedRuns
from trivet.workspace.registering import registry_doors
from trivet.workspace.workspace import Workspace

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def register(workspace: Workspace, version: int, *, passed: bool = True) -> str:
    package = f"b3:{version:064x}"
    verdict = draft(
        GateVerdict(model="left", gate="g", subject=package, passed=passed, findings=())
    )
    signature = Signature(
        inputs=(Input(name="x", type="number"),), task="binary", target="y", classes=("0", "1")
    )
    model = ModelVersion(
        name="left",
        version=version,
        package=package,
        size_bytes=1,
        flavour="lightgbm",
        signature=signature,
        run=verdict.id,
        verdict=verdict.id,
    )
    item = draft(model, parents=[verdict.id])
    head = HeadMove(name="model/left", to=item.id)
    workspace.stores.ledger.commit(workspace.scope.batch("register", [verdict, item], heads=[head]))
    return item.id


def publish(workspace: Workspace) -> str:
    item = draft(DataCommit(dataset="customers", source="a file"))
    head = HeadMove(name="data/customers", to=item.id)
    workspace.stores.ledger.commit(workspace.scope.batch("publish", [item], heads=[head]))
    return item.id


def test_an_empty_workspace_answers_with_empty_lists(api: Any) -> None:
    for path in ("/data", "/runs", "/models", "/releases", "/alerts", "/triggers", "/heads"):
        answer = api.get(path)
        assert (answer.status, answer.data) == (200, []), path


def test_what_is_not_there_is_not_found(api: Any) -> None:
    for path in (
        "/data/nope",
        f"/runs/{'0' * 32}",
        "/models/nope",
        "/releases/nope",
        "/monitoring/nope",
        "/triggers/nope",
        f"/facts/{'0' * 32}",
        f"/lineage/{'0' * 32}",
        "/cards/nope:1",
        "/origins/nope",
        f"/predictions/{'0' * 12}7{'0' * 19}",
    ):
        answer = api.get(path)
        assert answer.status == 404, path
        assert answer.data["error"], path


def test_data_and_models_are_listed_with_their_versions(api: Any, workspace: Workspace) -> None:
    commit = publish(workspace)
    register(workspace, 1)
    second = register(workspace, 2)
    assert [item["id"] for item in api.get("/data").data] == [commit]
    assert [item["id"] for item in api.get("/data/customers").data] == [commit]
    assert [item["id"] for item in api.get("/models").data] == [second]
    versions = api.get("/models/left").data
    assert [item["version"]["version"] for item in versions] == [2, 1]


def test_the_card_and_the_origins_of_a_version_are_read(api: Any, workspace: Workspace) -> None:
    stores, scope = workspace.stores, workspace.scope
    experiments = Experiments(stores, scope, SystemClock())
    runs = ReportedRuns(stores, scope, experiments, Metrics(stores))
    run = runs.open(Opening(name="train", location="mlflow-artifacts:/0/{run}/artifacts"))
    names, versions = registry_doors(stores, scope)
    names.make("letters")
    versions.make("letters", NewVersion(source=f"runs:/{run.id}/model"))
    card = api.get("/cards/letters:1").data
    assert card["label"] == "letters:1"
    assert any(section["gaps"] for section in card["sections"])
    origins = api.get("/origins/letters:1?direction=up").data
    assert [node["label"] for node in origins["nodes"]] == ["letters:1", "train"]
    assert api.get("/origins/letters:1?direction=left").status == 400


def test_a_rollout_is_moved_in_the_name_of_whoever_asks(api: Any, workspace: Workspace) -> None:
    register(workspace, 1)
    register(workspace, 2)
    for body, stage in (
        ({"action": "release", "model": "left:1", "why": "first"}, "full"),
        ({"action": "shadow", "model": "left:2", "why": "try"}, "shadow"),
        ({"action": "canary", "share": 0.2, "why": "some"}, "canary"),
        ({"action": "promote", "why": "all"}, "full"),
        ({"action": "rollback", "why": "no"}, "full"),
    ):
        answer = api.post("/releases/left", body, role="operator")
        assert answer.status == 200, answer.body
        assert answer.data["plan"]["stage"] == stage
    history = api.get("/releases/left?limit=2").data
    assert [item["plan"]["generation"] for item in history] == [5, 4]
    assert {api.get(f"/facts/{item['id']}").data["actor"] for item in history} == {"operator"}
    assert [item["plan"]["generation"] for item in api.get("/releases").data] == [5]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"no json", 400, "bad-body"),
        ({"action": "release", "why": "x"}, 400, "bad-body"),  # which model?
        ({"action": "explode", "why": "x"}, 400, "bad-body"),
        ({"action": "promote"}, 400, "bad-body"),  # why?
        ({"action": "promote", "why": "x", "typo": 1}, 400, "bad-body"),
        ({"action": "promote", "why": "x"}, 404, "no-release"),
        ({"action": "release", "model": "left:9", "why": "x"}, 404, "no-model"),
        ({"action": "release", "model": "left:3", "why": "x"}, 422, "no-verdict"),
    ],
)
def test_a_release_that_cannot_be_is_refused_with_its_status(
    api: Any, workspace: Workspace, body: Any, status: int, code: str
) -> None:
    register(workspace, 3, passed=False)
    answer = api.post("/releases/left", body)
    assert (answer.status, answer.data["code"]) == (status, code)
    assert workspace.releases.history("left") == ()


def test_a_move_at_the_wrong_stage_is_a_conflict(api: Any, workspace: Workspace) -> None:
    register(workspace, 1)
    api.post("/releases/left", {"action": "release", "model": "left", "why": "first"})
    answer = api.post("/releases/left", {"action": "promote", "why": "x"})
    assert (answer.status, answer.data["code"]) == (409, "other-stage")


def test_a_request_with_a_key_is_answered_once_however_often_it_is_sent(
    api: Any, workspace: Workspace
) -> None:
    workspace.triggers.when("retrain", "hand", do="pipeline:train")
    key = {"idempotency-key": "4f2a"}
    first = api.post("/triggers/retrain", {"reason": "new prices"}, role="developer", headers=key)
    again = api.post("/triggers/retrain", {"reason": "new prices"}, role="developer", headers=key)
    assert first.status == again.status == 200
    assert first.data == again.data
    assert len(workspace.stores.journal.tasks("runs")) == 1
    other = api.post("/triggers/retrain", {"reason": "else"}, role="developer", headers=key)
    assert (other.status, other.data["code"]) == (400, "key-reused")
    # Somebody else's key of the same name is another one.
    assert api.post("/triggers/retrain", {"reason": "x"}, role="admin", headers=key).status == 200
    assert len(workspace.stores.journal.tasks("runs")) == 2
    for bad in ("x" * 256, "a\tb"):
        headers = {"idempotency-key": bad}
        refused = api.post("/triggers/retrain", {"reason": "x"}, headers=headers)
        assert (refused.status, refused.data["code"]) == (400, "bad-key")


def test_an_event_wakes_and_what_is_there_decides(api: Any, workspace: Workspace) -> None:
    workspace.triggers.when("retrain", "hand", do="pipeline:train")
    woken = api.post("/triggers/retrain/wake", b"whatever the sender says", role="developer")
    assert (woken.status, woken.data["trigger"]) == (200, "retrain")
    assert workspace.stores.journal.tasks("runs") == ()
    assert api.post("/triggers/nope/wake", b"", role="developer").status == 404
    assert api.post("/triggers/retrain/wake", b"", role="viewer").status == 403


def test_a_trigger_explains_itself(api: Any, workspace: Workspace) -> None:
    workspace.triggers.when("daily", "cron", do="pipeline:train", watch="@daily")
    told = api.get("/triggers/daily/explain", role="viewer").data
    assert told["would_fire"] is False
    assert told["reason"].startswith("nothing new: next due")
    assert told["next"]
    assert api.get("/triggers/daily").data == []


def test_a_trigger_is_fired_by_hand_and_lists_its_decisions(api: Any, workspace: Workspace) -> None:
    workspace.triggers.when("retrain", "hand", do="pipeline:train")
    fired = api.post("/triggers/retrain", {"reason": "new prices"}, role="developer")
    assert (fired.status, fired.data["outcome"]) == (200, "fired")
    (decision,) = api.get("/triggers/retrain").data
    assert decision["reason"] == "by hand: new prices"
    assert [item["rule"]["name"] for item in api.get("/triggers").data] == ["retrain"]
    assert len(workspace.stores.journal.tasks("runs")) == 1


def test_windows_and_alerts_are_listed(api: Any, workspace: Workspace) -> None:
    register(workspace, 1)
    api.post("/releases/left", {"action": "release", "model": "left", "why": "first"})
    release = api.get("/releases").data[0]["id"]
    common = {"endpoint": "left", "release": release, "model": release}
    window = WindowClosed(start=NOON, end=NOON, predictions=5, labelled=4, **common)
    alert = Alert(
        fingerprint="f",
        kind="quality",
        event_time=NOON,
        since=None,
        metric="excess-brier",
        value=0.2,
        low=0.1,
        high=0.3,
        baseline=0.0,
        tolerance=0.0,
        summary="worse",
        causes=(),
        action="retrain",
        **common,
    )
    facts = [draft(window), draft(alert)]
    workspace.stores.ledger.commit(workspace.scope.batch("watch", facts))
    assert [item["predictions"] for item in api.get("/monitoring/left").data] == [5]
    (found,) = api.get("/alerts?endpoint=left").data
    assert (found["id"], found["alert"]["summary"]) == (facts[1].id, "worse")
    assert api.get("/alerts?endpoint=other").data == []


def test_an_issued_token_works_at_once_and_its_digest_alone_is_on_record(
    api: Any, workspace: Workspace
) -> None:
    answer = api.post("/tokens", {"name": "shop", "role": "viewer", "days": 1})
    secret = answer.data["token"]
    assert api.get("/models", token=secret).status == 200
    assert api.post("/tokens", {"name": "x", "role": "viewer"}, token=secret).status == 403
    everything = api.get("/facts?kind=access.token").body
    assert secret.encode() not in everything
    again = api.post("/tokens", {"name": "shop", "role": "viewer"})
    assert (again.status, again.data["code"]) == (409, "token-exists")


def test_facts_are_found_by_kind_field_and_parent(api: Any, workspace: Workspace) -> None:
    first, second = register(workspace, 1), register(workspace, 2)
    page = api.get("/facts?kind=model&name=left").data
    assert [fact["id"] for fact in page["facts"]] == [second, first]
    assert page["facts"][0]["payload"]["version"] == 2
    assert api.get("/facts?kind=model&name=other").data["facts"] == []
    verdict = api.get(f"/facts/{first}").data["parents"][0]
    children = api.get(f"/facts?parent={verdict}").data["facts"]
    assert [fact["id"] for fact in children] == [first]


def test_facts_come_in_pages_without_gaps_or_doubles(api: Any, workspace: Workspace) -> None:
    made = [register(workspace, n) for n in range(1, 8)]
    found: list[str] = []
    after = ""
    while True:
        page = api.get(f"/facts?kind=model&limit=3{after}").data
        found += [fact["id"] for fact in page["facts"]]
        if page["after"] is None:
            break
        after = f"&after={page['after']}"
    assert found == made[::-1]


def test_lineage_walks_both_ways(api: Any, workspace: Workspace) -> None:
    model = register(workspace, 1)
    up = api.get(f"/lineage/{model}").data
    assert [fact["kind"] for fact in up["facts"]] == ["model", "gate.verdict"]
    down = api.get(f"/lineage/{up['facts'][1]['id']}?direction=down").data
    assert [fact["kind"] for fact in down["facts"]][:2] == ["gate.verdict", "model"]
    assert down["complete"] is True
    assert api.get(f"/lineage/{model}?direction=sideways").status == 400


def test_a_fact_of_another_project_is_like_one_that_does_not_exist(
    api: Any, workspace: Workspace
) -> None:
    from trivet.core.facts import Scope

    item = draft(DataCommit(dataset="secret", source="elsewhere"))
    workspace.stores.ledger.commit(Scope(project="other", actor="eve").batch("publish", [item]))
    assert api.get(f"/facts/{item.id}").status == 404
    assert api.get(f"/lineage/{item.id}").status == 404
    assert item.id not in api.get("/facts").body.decode()


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=1&limit=2",
        "after=-1&kind=model",
        "name=left",  # a field needs its kind
        "kind=model&name=left&package=x",  # one field at most
    ],
)
def test_a_query_that_makes_no_sense_is_a_400(api: Any, query: str) -> None:
    assert api.get(f"/facts?{query}").status == 400


def test_a_forgotten_payload_is_shown_as_forgotten(api: Any, workspace: Workspace) -> None:
    commit = publish(workspace)
    from trivet.core.facts import Batch

    workspace.stores.ledger.commit(
        Batch(project="left", actor="ada", reason="erased", forget=(commit,))
    )
    shown = api.get(f"/facts/{commit}").data
    assert shown["payload"] is None
    assert shown["digest"]
