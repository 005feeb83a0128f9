"""From training to the registry and back: `models:/` addresses of every form."""

from pathlib import Path

import mlflow
from judging import check, fresh, generation, judge, refused, same
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sklearn.dummy import DummyClassifier

client = MlflowClient()


def logged(answer: int, **more: object) -> tuple[str, str]:
    """Log a model that always answers the same; its address and its run."""
    model = DummyClassifier(strategy="constant", constant=answer).fit([[0]] * 3, [0, 1, 2])
    keyword = "name" if generation() > 2 else "artifact_path"
    mlflow.set_experiment(fresh("registry"))
    with mlflow.start_run() as run:
        # Named here, so that the client does not start another Python to find them out.
        needs = ["scikit-learn"]
        info = mlflow.sklearn.log_model(model, **{keyword: "model"}, pip_requirements=needs, **more)
    return info.model_uri, run.info.run_id


def answer_of(place: str) -> int:
    return int(mlflow.pyfunc.load_model(place).predict([[0]])[0])


@check()
def a_logged_model_is_registered() -> None:
    name = fresh("model")
    place, run = logged(1)
    first = mlflow.register_model(place, name, tags={"a": "1"})
    same((str(first.version), first.name, first.status), ("1", name, "READY"))
    same(client.get_model_version(name, "1").tags, {"a": "1"})
    second = mlflow.register_model(f"runs:/{logged(2)[1]}/model", name)
    same(str(second.version), "2")
    same([answer_of(f"models:/{name}/{n}") for n in (1, 2)], [1, 2])
    same(client.get_model_version(name, "1").run_id, run)


@check()
def a_model_is_registered_while_it_is_logged() -> None:
    name = fresh("model")
    logged(1, registered_model_name=name)
    logged(2, registered_model_name=name)
    same([answer_of(f"models:/{name}/{n}") for n in (1, 2)], [1, 2])
    same(answer_of(f"models:/{name}/latest"), 2)


@check()
def addresses_of_every_form_lead_to_the_model() -> None:
    name = fresh("model")
    for answer in (0, 1, 2):
        logged(answer, registered_model_name=name)
    client.set_registered_model_alias(name, "champion", "2")
    client.transition_model_version_stage(name, "1", "Production")
    places = {"1": 0, "@champion": 1, "Production": 0, "latest": 2}
    for way, answer in places.items():
        address = f"models:/{name}{way}" if way.startswith("@") else f"models:/{name}/{way}"
        same((address, answer_of(address)), (address, answer))
    client.set_registered_model_alias(name, "champion", "3")
    same(answer_of(f"models:/{name}@champion"), 2)
    same(
        mlflow.models.get_model_info(f"models:/{name}@champion").flavors.keys() >= {"sklearn"}, True
    )


@check()
def addresses_that_lead_nowhere_are_refused() -> None:
    name = fresh("model")
    logged(1, registered_model_name=name)
    for way in (
        f"models:/{name}/7",
        f"models:/{name}@nobody",
        f"models:/{name}/Staging",
        f"models:/{fresh('x')}/1",
    ):
        try:
            mlflow.pyfunc.load_model(way)
        except MlflowException as error:
            refusals = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
            # For a stage the server answers an empty list, and the client says the rest.
            refusals |= {"INTERNAL_ERROR"} if way.endswith("/Staging") else set()
            assert error.error_code in refusals, (way, error.error_code)
        else:
            raise AssertionError(f"{way} led somewhere")


@check()
def files_of_a_version_are_listed_and_come_down() -> None:
    name = fresh("model")
    logged(1, registered_model_name=name)
    names = {
        each.path.split("/")[-1] for each in mlflow.artifacts.list_artifacts(f"models:/{name}/1")
    }
    assert {"MLmodel", "requirements.txt"} <= names, names
    down = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/1", dst_path=fresh("down")))
    assert "sklearn" in (down / "MLmodel").read_text()


@check()
def a_copied_version_answers_as_its_source() -> None:
    name, other = fresh("model"), fresh("copy")
    logged(2, registered_model_name=name)
    client.copy_model_version(f"models:/{name}/1", other)
    client.copy_model_version(f"models:/{name}/1", other)
    same([answer_of(f"models:/{other}/{n}") for n in (1, 2)], [2, 2])


@check()
def a_renamed_model_answers_as_before() -> None:
    name, new = fresh("model"), fresh("new")
    logged(2, registered_model_name=name)
    client.rename_registered_model(name, new)
    same(answer_of(f"models:/{new}/1"), 2)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        mlflow.pyfunc.load_model(f"models:/{name}/1")


@check(since=3)
def a_logged_model_knows_where_it_is_registered() -> None:
    import json

    name = fresh("model")
    place, _ = logged(1)
    mlflow.register_model(place, name)
    model = mlflow.get_logged_model(place.removeprefix("models:/"))
    noted = json.loads(model.tags["mlflow.modelVersions"])
    same({(each["name"], str(each["version"])) for each in noted}, {(name, "1")})
    same(answer_of(place), 1)


@check()
def an_environment_is_known_for_a_version() -> None:
    name = fresh("model")
    logged(1, registered_model_name=name)
    needs = Path(mlflow.pyfunc.get_model_dependencies(f"models:/{name}/1"))
    assert "scikit-learn" in needs.read_text()


if __name__ == "__main__":
    judge()
