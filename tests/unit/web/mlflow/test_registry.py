import json
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from trivet.core.clock import SystemClock
from trivet.core.facts import HeadMove, Scope, draft
from trivet.core.outbox import QUEUE, Order, Posted
from trivet.core.ports import Stores
from trivet.models.approvals import Approvals
from trivet.models.facts import LoggedVersion, NameChanged, VersionsDeleted
from trivet.models.names import head_of
from trivet.releases.facts import ReleasePlan, Variant
from trivet.tracking.webhooks.events import MODEL_EVENTS
from trivet.tracking.webhooks.facts import WebhookChange
from trivet.tracking.webhooks.service import Webhooks


def registered(wire: Any, name: str = "churn", **fields: Any) -> str:
    wire.post("registered-models/create", name=name, **fields)
    return name


def logged(wire: Any, name: str, path: str = "model", **fields: Any) -> str:
    run = wire.run()
    answer = wire.post(
        "model-versions/create", name=name, source=f"runs:/{run}/{path}", run_id=run, **fields
    )
    return answer["model_version"]["version"]


def version(wire: Any, name: str, number: str) -> Any:
    return wire.get("model-versions/get", name=name, version=number)["model_version"]


def names(wire: Any, filter: str = "", **query: Any) -> list[str]:  # noqa: A002  # the wire's own name
    answer = wire.get("registered-models/search", filter=filter, **query)
    return [model["name"] for model in answer["registered_models"]]


def numbers(wire: Any, filter: str = "", **query: Any) -> list[str]:  # noqa: A002  # the wire's own name
    answer = wire.get("model-versions/search", filter=filter, **query)
    return [f"{each['name']}:{each['version']}" for each in answer["model_versions"]]


# ------------------------------------------------------------------------- names


def test_a_name_is_taken_once(wire: Any, refused: Any) -> None:
    registered(wire, description="who leaves", tags=[{"key": "team", "value": "red"}])
    model = wire.get("registered-models/get", name="churn")["registered_model"]
    assert (model["description"], model["latest_versions"], model["aliases"]) == (
        "who leaves",
        [],
        [],
    )
    with pytest.raises(refused, match="already exists") as raised:
        registered(wire)
    assert (raised.value.status, raised.value.code) == (400, "RESOURCE_ALREADY_EXISTS")


@pytest.mark.parametrize("name", [" ", "a/b", "a:b", ".", "..", "x" * 257, "a\nb"])
def test_a_name_that_addresses_cannot_hold_is_refused(wire: Any, refused: Any, name: str) -> None:
    with pytest.raises(refused) as raised:
        registered(wire, name)
    assert (raised.value.status, raised.value.code) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("name", ["a@b", "100%", "50%40", "ünïcode ✓", "it's", "A.b-C_d"])
def test_any_other_name_has_versions_and_aliases_of_its_own(
    wire: Any, operator: Any, name: str
) -> None:
    registered(wire, "a")
    registered(wire, name)
    assert logged(wire, name) == "1"
    operator.post("registered-models/alias", name=name, alias="b", version="1")
    found = wire.get("registered-models/get", name=name)["registered_model"]
    assert found["aliases"] == [{"alias": "b", "version": "1"}]
    assert wire.get("registered-models/get", name="a")["registered_model"]["aliases"] == []
    assert sorted(names(wire)) == sorted(["a", name])


def test_a_new_name_takes_everything_along(wire: Any, operator: Any, refused: Any) -> None:
    registered(wire, "old")
    registered(wire, "taken")
    logged(wire, "old")
    logged(wire, "old")
    operator.post("registered-models/alias", name="old", alias="best", version="1")
    with pytest.raises(refused, match="already exists"):
        wire.post("registered-models/rename", name="old", new_name="taken")
    wire.post("registered-models/rename", name="old", new_name="new")
    with pytest.raises(refused, match="Registered Model with name=old not found"):
        wire.get("registered-models/get", name="old")
    assert numbers(wire, "name = 'new'") == ["new:2", "new:1"]
    assert version(wire, "new", "1")["aliases"] == ["best"]
    assert logged(wire, "new") == "3"
    registered(wire, "old")
    assert logged(wire, "old") == "1"


def test_a_deleted_name_is_free_again_and_stays_on_record(
    wire: Any, operator: Any, refused: Any, stores: Stores
) -> None:
    registered(wire)
    logged(wire, "churn")
    operator.post("registered-models/alias", name="churn", alias="best", version="1")
    operator.send("DELETE", "registered-models/delete", name="churn")
    assert names(wire) == []
    assert numbers(wire) == []
    with pytest.raises(refused, match="not found"):
        version(wire, "churn", "1")
    registered(wire)
    assert logged(wire, "churn") == "1"
    assert version(wire, "churn", "1")["aliases"] == []
    assert len(stores.ledger.find(LoggedVersion.KIND).entries) == 2
    assert len(stores.ledger.find(VersionsDeleted.KIND).entries) == 1
    assert len(stores.ledger.find(NameChanged.KIND).entries) == 1


def test_tags_and_descriptions_can_be_changed(wire: Any) -> None:
    registered(wire)
    number = logged(wire, "churn")
    for path, about in (("registered-models", {}), ("model-versions", {"version": number})):
        given = {"name": "churn", **about}
        wire.post(f"{path}/set-tag", key="a", value="1", **given)
        wire.post(f"{path}/set-tag", key="b", value="", **given)
        for _ in range(2):
            wire.send("DELETE", f"{path}/delete-tag", key="a", **given)
        wire.send("PATCH", f"{path}/update", description="better", **given)
    model = wire.get("registered-models/get", name="churn")["registered_model"]
    (inside,) = model["latest_versions"]
    for shown in (model, inside):
        assert shown["tags"] == [{"key": "b", "value": ""}]
        assert shown["description"] == "better"


def test_prompts_are_seen_by_those_who_ask(wire: Any, refused: Any) -> None:
    mark = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    registered(wire, "model")
    registered(wire, "prompt", tags=mark)
    made = wire.post("model-versions/create", name="prompt", source="prompt-template", tags=mark)
    logged(wire, "model")
    asked = "tags.`mlflow.prompt.is_prompt` = "
    assert (names(wire), names(wire, f"{asked}'true'"), names(wire, f"{asked}'false'")) == (
        ["model"],
        ["prompt"],
        ["model"],
    )
    assert numbers(wire) == ["model:1"]
    assert numbers(wire, f"{asked}'true'") == ["prompt:1"]
    with pytest.raises(refused, match="has no files"):
        wire.get("model-versions/get-download-uri", name="prompt", version="1")
    assert made["model_version"]["status"] == "READY"


# ---------------------------------------------------------------------- versions


def test_a_version_says_where_its_files_are(wire: Any) -> None:
    registered(wire)
    run = wire.run()
    place = wire.read(run)["info"]["artifact_uri"]
    for source in (f"runs:/{run}/model", f"{place}/model"):
        for said in ({"run_id": run}, {}):
            made = wire.post("model-versions/create", name="churn", source=source, **said)
            made = made["model_version"]
            assert (made["source"], made["run_id"]) == (source, run)
            about = {"name": "churn", "version": made["version"]}
            answer = wire.get("model-versions/get-download-uri", **about)
            assert answer["artifact_uri"] == f"{place}/model"


def test_a_logged_model_knows_its_versions(wire: Any) -> None:
    registered(wire, "one")
    registered(wire, "two")
    run = wire.run()
    answer = wire.post("logged-models", experiment_id="0", name="m", source_run_id=run)
    info = answer["model"]["info"]
    source = f"models:/{info['model_id']}"
    for name in ("one", "two"):
        about = {"name": name, "source": source, "model_id": info["model_id"]}
        made = wire.post("model-versions/create", **about)["model_version"]
        assert (made["run_id"], made["model_id"]) == (run, info["model_id"])
    uri = wire.get("model-versions/get-download-uri", name="one", version="1")["artifact_uri"]
    assert uri == info["artifact_uri"]
    tags = wire.get(f"logged-models/{info['model_id']}")["model"]["info"]["tags"]
    listed = json.loads({tag["key"]: tag["value"] for tag in tags}["mlflow.modelVersions"])
    assert listed == [{"name": "one", "version": 1}, {"name": "two", "version": 1}]


def test_a_copy_is_of_the_same_files(wire: Any, operator: Any, refused: Any) -> None:
    registered(wire, "from")
    registered(wire, "to")
    logged(wire, "from", "a")
    logged(wire, "from", "b")
    operator.post("registered-models/alias", name="from", alias="best", version="1")
    for source, number in (("from/1", "1"), ("from@best", "1"), ("from/latest", "2")):
        made = wire.post("model-versions/create", name="to", source=f"models:/{source}")
        made = made["model_version"]
        assert made["source"] == f"models:/from/{number}"
        assert made["run_id"] == version(wire, "from", number)["run_id"]
    for source, status in (("from/9", 404), ("nobody/1", 404), ("from@nothing", 400)):
        with pytest.raises(refused) as raised:
            wire.post("model-versions/create", name="to", source=f"models:/{source}")
        assert raised.value.status == status


def test_a_source_lies_inside_the_artifacts_of_whom_it_names(wire: Any, refused: Any) -> None:
    registered(wire)
    run, other = wire.run(), wire.run()
    mine, theirs = (wire.read(each)["info"]["artifact_uri"] for each in (run, other))
    model = wire.post("logged-models", experiment_id="0")["model"]["info"]["model_id"]
    for fields in (
        {"source": f"{theirs}/model", "run_id": run},
        {"source": f"{theirs}/model", "model_id": model},
        {"source": f"{mine}-2/model", "run_id": run},
        {"source": f"{mine}/../x", "run_id": run},
        {"source": f"{mine}/model", "run_id": "0" * 32},
        {"source": f"runs:/{other}/model", "run_id": run},
        {"source": "runs:/nobody/model"},
        {"source": f"models:/{model}", "model_id": "m-" + "0" * 32},
        {"source": "models:/m-" + "0" * 32},
        {"source": "s3://bucket/model", "run_id": run},
        {"source": "s3://bucket/model"},
        {"source": "/etc/passwd", "run_id": run},
    ):
        with pytest.raises(refused, match="Invalid model version source") as raised:
            wire.post("model-versions/create", name="churn", **fields)
        assert (raised.value.status, raised.value.code) == (400, "INVALID_PARAMETER_VALUE")
    assert numbers(wire) == []


def test_a_number_is_never_given_twice(wire: Any, operator: Any, refused: Any) -> None:
    registered(wire)
    assert [logged(wire, "churn") for _ in range(3)] == ["1", "2", "3"]
    operator.post("registered-models/alias", name="churn", alias="best", version="3")
    operator.send("DELETE", "model-versions/delete", name="churn", version="3")
    assert logged(wire, "churn") == "4"
    with pytest.raises(refused, match=r"Model Version \(name=churn, version=3\) not found"):
        version(wire, "churn", "3")
    assert wire.get("registered-models/get", name="churn")["registered_model"]["aliases"] == []


def test_versions_that_come_to_a_stage_at_once_archive_each_other(
    wire: Any, operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(wire)
    for _ in range(2):
        logged(wire, "churn")

    def move(number: str) -> None:
        about = {"name": "churn", "version": number, "stage": "Production"}
        operator.post("model-versions/transition-stage", archive_existing_versions=True, **about)

    batch = Scope.batch

    def meanwhile(scope: Scope, *about: Any, **more: Any) -> Any:
        monkeypatch.undo()
        move("1")
        return batch(scope, *about, **more)

    monkeypatch.setattr(Scope, "batch", meanwhile)
    move("2")
    stages = [version(wire, "churn", number)["current_stage"] for number in ("1", "2")]
    assert stages == ["Archived", "Production"]


def test_many_at_once_get_consecutive_numbers(wire: Any) -> None:
    registered(wire)
    got: list[str] = []

    def work() -> None:
        got.extend(logged(wire, "churn") for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, got)) == list(range(1, 21))


# --------------------------------------------------------------- aliases, stages


def test_an_alias_points_at_one_version(wire: Any, operator: Any, refused: Any) -> None:
    registered(wire)
    for _ in range(2):
        logged(wire, "churn")
    for number in ("1", "2"):
        operator.post("registered-models/alias", name="churn", alias="Best_1", version=number)
    found = wire.get("registered-models/alias", name="churn", alias="Best_1")
    assert found["model_version"]["version"] == "2"
    latest = wire.get("registered-models/alias", name="churn", alias="Latest")
    assert latest["model_version"]["version"] == "2"
    for _ in range(2):
        operator.send("DELETE", "registered-models/alias", name="churn", alias="Best_1")
    with pytest.raises(refused, match="alias Best_1 not found") as raised:
        wire.get("registered-models/alias", name="churn", alias="Best_1")
    assert (raised.value.status, raised.value.code) == (400, "INVALID_PARAMETER_VALUE")
    with pytest.raises(refused) as raised:
        operator.post("registered-models/alias", name="churn", alias="x", version="9")
    assert raised.value.status == 404


@pytest.mark.parametrize("alias", ["生产", "prüfung_2", "1"])
def test_an_alias_has_letters_of_any_language(wire: Any, operator: Any, alias: str) -> None:
    registered(wire)
    logged(wire, "churn")
    operator.post("registered-models/alias", name="churn", alias=alias, version="1")
    found = wire.get("registered-models/alias", name="churn", alias=alias)
    assert found["model_version"]["aliases"] == [alias]
    copied = {"name": "copy", "source": f"models:/churn@{alias}"}
    registered(wire, "copy")
    assert wire.post("model-versions/create", **copied)["model_version"]["status"] == "READY"


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "V22", "a b", "a.b", "a/b", "x" * 256])
def test_an_alias_that_means_something_else_is_refused(
    wire: Any, operator: Any, refused: Any, alias: str
) -> None:
    registered(wire)
    logged(wire, "churn")
    with pytest.raises(refused) as raised:
        operator.post("registered-models/alias", name="churn", alias=alias, version="1")
    assert raised.value.status == 400


def test_who_may_not_release_moves_no_alias(wire: Any, refused: Any) -> None:
    registered(wire)
    logged(wire, "churn")
    with pytest.raises(refused) as raised:
        wire.post("registered-models/alias", name="churn", alias="best", version="1")
    assert (raised.value.status, raised.value.code) == (403, "PERMISSION_DENIED")


def test_each_stage_has_its_latest_version(wire: Any, operator: Any, refused: Any) -> None:
    registered(wire)
    for _ in range(5):
        logged(wire, "churn")

    def move(number: str, stage: str, *, archive: bool = False) -> Any:
        about = {"name": "churn", "version": number, "stage": stage}
        return operator.post(
            "model-versions/transition-stage", archive_existing_versions=archive, **about
        )

    assert move("1", "production")["model_version"]["current_stage"] == "Production"
    move("2", "Staging")
    move("3", "PRODUCTION", archive=True)
    latest = wire.get("registered-models/get", name="churn")["registered_model"]["latest_versions"]
    assert {v["current_stage"]: v["version"] for v in latest} == {
        "None": "5",
        "Staging": "2",
        "Production": "3",
        "Archived": "1",
    }
    answer = wire.post("registered-models/get-latest-versions", name="churn", stages=["staging"])
    assert [v["version"] for v in answer["model_versions"]] == ["2"]
    for stage, archive in (("Shelved", False), ("Archived", True)):
        with pytest.raises(refused) as raised:
            move("4", stage, archive=archive)
        assert raised.value.status == 400


# ---------------------------------------------------------------------- searches


def test_versions_are_found_by_what_is_known_of_them(wire: Any) -> None:
    for name in ("churn", "fraud"):
        registered(wire, name)
    run = wire.run()
    wire.post("model-versions/create", name="churn", source=f"runs:/{run}/model")
    logged(wire, "churn", tags=[{"key": "a", "value": "1"}])
    logged(wire, "fraud")
    assert numbers(wire, f"run_id = '{run}'") == ["churn:1"]
    assert numbers(wire, f"run_id NOT IN ('{run}')") == ["fraud:1", "churn:2"]
    assert numbers(wire, "name IN ('churn') AND version_number >= 2") == ["churn:2"]
    assert numbers(wire, "version_number = '1' AND name = 'churn'") == ["churn:1"]
    assert numbers(wire, "tags.a = '1'") == ["churn:2"]
    assert numbers(wire, f"source_path = 'runs:/{run}/model'") == ["churn:1"]
    by = ["version_number DESC", "name ASC"]
    assert numbers(wire, order_by=by) == ["churn:2", "churn:1", "fraud:1"]


def test_names_come_by_pages(wire: Any) -> None:
    for name in ("b", "a", "d", "c"):
        registered(wire, name)
    first = wire.get("registered-models/search", max_results=3)
    token = first["next_page_token"]
    rest = wire.get("registered-models/search", max_results=3, page_token=token)
    shown = [m["name"] for page in (first, rest) for m in page["registered_models"]]
    assert shown == ["a", "b", "c", "d"]
    assert "next_page_token" not in rest
    assert names(wire, "name LIKE '%a%'") == ["a"]
    wire.send("PATCH", "registered-models/update", name="b", description="changed last")
    assert names(wire, order_by=["timestamp DESC"], max_results=4)[0] == "b"


# ---------------------------------------------------------------------- packages


def test_what_is_served_is_not_deleted(
    wire: Any, operator: Any, refused: Any, stores: Stores
) -> None:
    registered(wire)
    logged(wire, "churn")
    scope = Scope(project="flights", actor="ada")
    head = stores.ledger.head("flights", head_of("churn"))
    assert head is not None
    variant = Variant(
        name="champion", role="live", model=head.target, version=1, package="b3:x", share=1.0
    )
    plan = ReleasePlan(
        endpoint="front",
        generation=1,
        stage="full",
        variants=(variant,),
        salt="s",
        log_mode="audit",
        why="a test",
    )
    fact = draft(plan, parents=[head.target])
    moves = [HeadMove(name="release/front", to=fact.id)]
    stores.ledger.commit(scope.batch("release", [fact], heads=moves))
    for path, about in (("model-versions", {"version": "1"}), ("registered-models", {})):
        with pytest.raises(refused, match="served by the endpoint 'front'") as raised:
            operator.send("DELETE", f"{path}/delete", name="churn", **about)
        assert raised.value.status == 400
    assert version(wire, "churn", "1")


# --------------------------------------------------------------------- web hooks


class _Anywhere:
    """Lets every address be posted to; nothing is."""

    def check(self, url: str) -> None:
        del url

    def post(self, url: str, body: bytes, headers: Mapping[str, str], wait_s: float) -> Posted:
        raise NotImplementedError


def test_whoever_listens_is_told_in_the_commit_that_does_it(
    wire: Any, operator: Any, stores: Stores
) -> None:
    scope = Scope(project="flights", actor="ada")
    hooks = Webhooks(stores, scope, SystemClock(), _Anywhere())
    hooks.make(WebhookChange(name="all", url="https://example.com", events=tuple(MODEL_EVENTS)))
    mark = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    text = [*mark, {"key": "mlflow.prompt.text", "value": "Hello {{name}}!"}]
    registered(wire, "model")
    registered(wire, "prompt", tags=mark)
    logged(wire, "model")
    wire.post("model-versions/create", name="prompt", source="prompt-template", tags=text)
    for name in ("model", "prompt"):
        about = {"name": name, "version": "1"}
        wire.post("registered-models/set-tag", name=name, key="a", value="1")
        wire.send("DELETE", "registered-models/delete-tag", name=name, key="a")
        wire.post("model-versions/set-tag", key="a", value="1", **about)
        wire.send("DELETE", "model-versions/delete-tag", key="a", **about)
        operator.post("registered-models/alias", alias="best", **about)
        operator.send("DELETE", "registered-models/alias", name=name, alias="best")
    tasks = stores.journal.tasks(QUEUE, limit=100)
    orders = [msgspec.json.decode(task.body, type=Order) for task in tasks]
    told = {order.message.event: order.message.detail for order in orders}
    assert told.keys() == MODEL_EVENTS.keys()
    for event, example in MODEL_EVENTS.items():
        assert told[event].keys() == example.keys(), event
    assert told["prompt_version.created"]["template"] == "Hello {{name}}!"
    assert told["prompt_version.created"]["tags"] == {}
    assert told["model_version_alias.created"] == {
        "name": "model",
        "alias": "best",
        "version": "1",
    }


# --------------------------------------------------------------------- approvals


def test_a_protected_alias_or_stage_waits_for_an_approval(
    wire: Any, operator: Any, refused: Any, stores: Stores
) -> None:
    registered(wire)
    logged(wire, "churn")
    approvals = {
        actor: Approvals(stores, Scope(project="flights", actor=actor)) for actor in ("root", "bob")
    }
    approvals["root"].protect("best", 1)
    approvals["root"].protect("stage/Production", 1)
    about = {"name": "churn", "version": "1"}
    for path, fields in (
        ("registered-models/alias", {"alias": "best"}),
        ("model-versions/transition-stage", {"stage": "production"}),
    ):
        with pytest.raises(refused) as raised:
            operator.post(path, **about, **fields)
        assert (raised.value.status, raised.value.code) == (403, "PERMISSION_DENIED")
        request = approvals["bob"].requests()[0]
        assert request.id in raised.value.message
        assert request.by == "ada"
        approvals["bob"].approve(request.id, "seen")
        operator.post(path, **about, **fields)
    found = version(wire, "churn", "1")
    assert (found["current_stage"], found["aliases"]) == ("Production", ["best"])
