from typing import Any

import pytest


def test_the_default_experiment_is_there_from_the_beginning(wire: Any) -> None:
    found = wire.get("experiments/get", experiment_id="0")["experiment"]
    assert (found["experiment_id"], found["name"]) == ("0", "Default")
    assert found["lifecycle_stage"] == "active"
    assert found["artifact_location"] == "mlflow-artifacts:/0"
    listed = wire.post("experiments/search", max_results=10)["experiments"]
    assert [item["name"] for item in listed] == ["Default"]


def test_experiments_are_numbered_and_found_by_number_and_name(wire: Any) -> None:
    tags = [{"key": "team", "value": "air"}]
    first = wire.post("experiments/create", name="flights", tags=tags)["experiment_id"]
    second = wire.experiment("Späte Flüge / 延误")
    assert (first, second) == ("1", "2")
    found = wire.get("experiments/get", experiment_id=first)["experiment"]
    assert (found["name"], found["tags"]) == ("flights", tags)
    assert found["creation_time"] > 1_600_000_000_000
    named = wire.get("experiments/get-by-name", experiment_name="Späte Flüge / 延误")
    assert named["experiment"]["experiment_id"] == second


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("experiments/get", {"experiment_id": "77"}),
        ("experiments/get-by-name", {"experiment_name": "nobody"}),
    ],
)
def test_what_does_not_exist_is_not_found(wire: Any, refused: Any, path: str, query: Any) -> None:
    with pytest.raises(refused) as caught:
        wire.get(path, **query)
    assert (caught.value.status, caught.value.code) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_name_is_given_once_even_when_its_experiment_is_deleted(wire: Any, refused: Any) -> None:
    number = wire.experiment("flights")
    for _ in range(2):
        with pytest.raises(refused, match="already exists") as caught:
            wire.experiment("flights")
        assert (caught.value.status, caught.value.code) == (400, "RESOURCE_ALREADY_EXISTS")
        if (
            wire.get("experiments/get", experiment_id=number)["experiment"]["lifecycle_stage"]
            == "active"
        ):
            wire.post("experiments/delete", experiment_id=number)


@pytest.mark.parametrize("name", ["", "x" * 501, None, 5])
def test_a_name_that_is_none_is_refused(wire: Any, refused: Any, name: Any) -> None:
    with pytest.raises(refused) as caught:
        wire.post("experiments/create", name=name)
    assert (caught.value.status, caught.value.code) == (400, "INVALID_PARAMETER_VALUE")


def test_deleting_an_experiment_puts_its_runs_away_and_restoring_brings_them_back(
    wire: Any, refused: Any
) -> None:
    number = wire.experiment()
    run = wire.run(number)
    wire.post("experiments/delete", experiment_id=number)
    assert wire.read(run)["info"]["lifecycle_stage"] == "deleted"
    listed = wire.post("experiments/search", view_type="DELETED_ONLY")["experiments"]
    assert [item["experiment_id"] for item in listed] == [number]
    with pytest.raises(refused, match="must be in the 'active' state"):
        wire.run(number)
    with pytest.raises(refused, match="must be in the 'active' state"):
        wire.post("experiments/update", experiment_id=number, new_name="other")
    wire.post("experiments/restore", experiment_id=number)
    assert wire.read(run)["info"]["lifecycle_stage"] == "active"


def test_a_renamed_experiment_frees_its_name(wire: Any) -> None:
    number = wire.experiment("before")
    wire.post("experiments/update", experiment_id=number, new_name="after")
    found = wire.get("experiments/get-by-name", experiment_name="after")["experiment"]
    assert found["experiment_id"] == number
    assert wire.experiment("before") != number


def test_tags_of_an_experiment_are_set_over_and_taken_away(wire: Any, refused: Any) -> None:
    number = wire.experiment()
    for value in ("one", "two"):
        wire.post("experiments/set-experiment-tag", experiment_id=number, key="k", value=value)
    tags = wire.get("experiments/get", experiment_id=number)["experiment"]["tags"]
    assert tags == [{"key": "k", "value": "two"}]
    wire.post("experiments/delete-experiment-tag", experiment_id=number, key="k")
    with pytest.raises(refused, match="No tag with name: k") as caught:
        wire.post("experiments/delete-experiment-tag", experiment_id=number, key="k")
    assert caught.value.status == 404


def test_experiments_are_searched_by_name_time_and_tag(wire: Any) -> None:
    for name in ("Alpha", "beta", "gamma"):
        number = wire.experiment(name)
        wire.post("experiments/set-experiment-tag", experiment_id=number, key="k", value=name[:1])

    def found(text: str, **fields: Any) -> list[str]:
        answer = wire.post("experiments/search", filter=text, **fields)
        return [item["name"] for item in answer["experiments"]]

    assert found("name = 'beta'") == ["beta"]
    assert found("name ILIKE 'ALPHA'") == ["Alpha"]
    assert found("name LIKE 'alpha'") == []
    assert found("tags.k != 'b'", order_by=["name"]) == ["Alpha", "gamma"]
    assert found("tags.k IS NULL") == ["Default"]
    assert found("experiment_id IN ('1', '3')", order_by=["name DESC"]) == ["gamma", "Alpha"]
    assert found("creation_time > 0 AND name LIKE '%a'", order_by=["name ASC"]) == [
        "Alpha",
        "beta",
        "gamma",
    ]


def test_pages_of_experiments_end_without_a_token(wire: Any, refused: Any) -> None:
    for number in range(4):
        wire.experiment(f"e{number}")
    names: list[str] = []
    token = None
    for _ in range(5):
        page = wire.post("experiments/search", max_results=1, order_by=["name"], page_token=token)
        names += [item["name"] for item in page["experiments"]]
        token = page.get("next_page_token")
    assert names == ["Default", "e0", "e1", "e2", "e3"]
    assert token is None
    for wrong in ("nonsense", "bm9uc2Vuc2U="):
        with pytest.raises(refused, match="Invalid page token"):
            wire.post("experiments/search", page_token=wrong)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", "mlflow-artifacts:/1"),
        ("file:///home/ada/mlruns/1", "mlflow-artifacts:/1"),
        ("./mlruns/1", "mlflow-artifacts:/1"),
        ("s3://bucket/some/where", "s3://bucket/some/where"),
    ],
)
def test_a_folder_of_a_client_is_no_place_to_keep_artifacts(
    wire: Any, given: str, kept: str
) -> None:
    number = wire.post("experiments/create", name="e", artifact_location=given)["experiment_id"]
    found = wire.get("experiments/get", experiment_id=number)["experiment"]
    assert found["artifact_location"] == kept
    assert wire.read(wire.run(number))["info"]["artifact_uri"].startswith(f"{kept}/")


@pytest.mark.parametrize(
    "given",
    [
        "runs:/abc",
        "s3://bucket/../x",
        "s3://bucket/x?y=1",
        "s3://bucket/x#y",
        "file:///a/../b",
        "http://host/x",
        "HTTPS://host/x",
    ],
)
def test_a_location_that_leads_elsewhere_is_refused(wire: Any, refused: Any, given: str) -> None:
    with pytest.raises(refused, match="artifact_location") as caught:
        wire.post("experiments/create", name="e", artifact_location=given)
    assert caught.value.status == 400
