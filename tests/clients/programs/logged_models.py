"""Logged models of the third generation: models that are things of their own beside runs."""

import json
from pathlib import Path

import mlflow
from judging import check, fresh, judge, refused, same
from mlflow.entities import LoggedModelParameter, LoggedModelStatus, Metric
from mlflow.tracking import MlflowClient

client = MlflowClient()
INVALID = "INVALID_PARAMETER_VALUE"
MISSING = "RESOURCE_DOES_NOT_EXIST"


def place() -> str:
    return client.create_experiment(fresh("models"))


def ready(experiment: str, name: str, **more: object) -> str:
    model = client.create_logged_model(experiment, name=name, **more).model_id
    client.finalize_logged_model(model, LoggedModelStatus.READY)
    return model


@check()
def a_model_begins_pending_and_becomes_ready() -> None:
    experiment = place()
    run = client.create_run(experiment).info.run_id
    made = client.create_logged_model(
        experiment,
        name="tree",
        source_run_id=run,
        tags={"t": "1"},
        params={"p": "2"},
        model_type="sklearn",
    )
    same(
        (made.status, made.name, made.experiment_id),
        (LoggedModelStatus.PENDING, "tree", experiment),
    )
    same((made.source_run_id, made.model_type, made.params), (run, "sklearn", {"p": "2"}))
    same(made.tags["t"], "1")
    assert made.model_id.startswith("m-"), made.model_id
    assert made.artifact_location.endswith(f"/models/{made.model_id}/artifacts"), (
        made.artifact_location
    )
    done = client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    same(done.status, LoggedModelStatus.READY)
    assert done.last_updated_timestamp >= made.creation_timestamp > 0
    found = client.get_logged_model(made.model_id)
    same(
        (found.status, found.params, found.model_uri),
        (LoggedModelStatus.READY, {"p": "2"}, f"models:/{made.model_id}"),
    )


@check()
def a_model_may_fail() -> None:
    made = client.create_logged_model(place(), name="m")
    done = client.finalize_logged_model(made.model_id, LoggedModelStatus.FAILED)
    same(
        (done.status, client.get_logged_model(made.model_id).status),
        (LoggedModelStatus.FAILED,) * 2,
    )


@check()
def an_unnamed_model_gets_a_name() -> None:
    assert client.create_logged_model(place()).name


@check()
def names_have_rules() -> None:
    experiment = place()
    for name in ("a/b", "a:b", "a.b", "a%b", 'a"b', "a'b"):
        with refused(INVALID):
            client.create_logged_model(experiment, name=name)
    same(client.create_logged_model(experiment, name="a b-c_d ✓").name, "a b-c_d ✓")


@check()
def tags_of_a_model_can_be_changed() -> None:
    model = ready(place(), "m", tags={"a": "1", "b": "2"})
    client.set_logged_model_tags(model, {"a": "3", "c": 4})
    client.delete_logged_model_tag(model, "b")
    tags = client.get_logged_model(model).tags
    same({key: tags.get(key) for key in "abc"}, {"a": "3", "b": None, "c": "4"})
    with refused(MISSING):
        client.delete_logged_model_tag(model, "b")


@check()
def params_of_a_model_can_be_added() -> None:
    experiment = place()
    params = {f"p{n}": str(n) for n in range(250)}
    model = client.create_logged_model(experiment, name="m", params=params)
    same(client.get_logged_model(model.model_id).params, params)
    client.log_model_params(model.model_id, {"late": "1"})
    same(client.get_logged_model(model.model_id).params["late"], "1")
    same(LoggedModelParameter("a", "b").key, "a")


@check()
def metrics_of_a_model_are_kept_with_their_dataset() -> None:
    experiment = place()
    run = client.create_run(experiment).info.run_id
    model = ready(experiment, "m", source_run_id=run)
    client.log_metric(run, "acc", 0.5, timestamp=1, step=1, model_id=model)
    client.log_metric(
        run, "acc", 0.9, timestamp=2, step=2, model_id=model, dataset_name="d", dataset_digest="x"
    )
    client.log_batch(run, [Metric("f1", 0.7, 3, 0, model_id=model), Metric("other", 0.1, 3, 0)])
    found = client.get_logged_model(model).metrics
    points = {
        (each.key, each.value, each.step, each.dataset_name, each.dataset_digest) for each in found
    }
    same(
        points, {("acc", 0.5, 1, None, None), ("acc", 0.9, 2, "d", "x"), ("f1", 0.7, 0, None, None)}
    )
    same({each.run_id for each in found}, {run})
    same(client.get_run(run).data.metrics, {"acc": 0.9, "f1": 0.7, "other": 0.1})


@check()
def a_run_names_its_models() -> None:
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    experiment = place()
    run = client.create_run(experiment).info.run_id
    one, two = ready(experiment, "one"), ready(experiment, "two")
    client.log_outputs(run, [LoggedModelOutput(one, 1), LoggedModelOutput(two, 5)])
    client.log_inputs(run, models=[LoggedModelInput(one)])
    found = client.get_run(run)
    same({(each.model_id, each.step) for each in found.outputs.model_outputs}, {(one, 1), (two, 5)})
    same([each.model_id for each in found.inputs.model_inputs], [one])


@check()
def a_deleted_model_is_gone() -> None:
    experiment = place()
    model = ready(experiment, "m")
    client.delete_logged_model(model)
    with refused(MISSING, model):
        client.get_logged_model(model)
    same(list(client.search_logged_models([experiment])), [])
    with refused(MISSING):
        client.delete_logged_model("m-" + "0" * 32)
    with refused(MISSING):
        client.get_logged_model("m-" + "0" * 32)
    with refused(MISSING):
        client.finalize_logged_model("m-" + "0" * 32, LoggedModelStatus.READY)


def zoo() -> tuple[str, dict[str, str]]:
    experiment = place()
    run = client.create_run(experiment).info.run_id
    names = {}
    for name, params, tags, accuracy in (
        ("alpha", {"depth": "1"}, {"team": "red"}, 0.5),
        ("beta", {"depth": "2"}, {"team": "blue"}, 0.9),
        ("gamma", {}, {}, None),
    ):
        model = ready(
            experiment, name, params=params, tags=tags, source_run_id=run, model_type="tree"
        )
        names[model] = name
        if accuracy is not None:
            client.log_metric(
                run, "acc", accuracy, model_id=model, dataset_name="d1", dataset_digest="x"
            )
            client.log_metric(run, "plain", 1 - accuracy, model_id=model)
    pending = client.create_logged_model(experiment, name="delta").model_id
    names[pending] = "delta"
    return experiment, names


@check()
def models_are_found_by_filters() -> None:
    experiment, names = zoo()
    ids = {name: model for model, name in names.items()}
    cases = {
        None: "abgd",
        "name = 'alpha'": "a",
        "attributes.name != 'alpha'": "bgd",
        "name LIKE '%ta'": "bd",
        "name ILIKE 'AL%'": "a",
        "name IN ('alpha', 'beta')": "ab",
        "name NOT IN ('alpha', 'beta')": "gd",
        "metrics.acc > 0.6": "b",
        "metrics.acc > 0.1 AND metrics.plain > 0.4": "a",
        "params.depth = '2'": "b",
        "params.depth LIKE '%'": "ab",
        "tags.team = 'red'": "a",
        "tags.team != 'red'": "b",
        "model_type = 'tree'": "abg",
        f"model_id = '{ids['beta']}'": "b",
        f"model_id IN ('{ids['beta']}', '{ids['delta']}')": "bd",
        "creation_timestamp > 0": "abgd",
        "last_updated_timestamp < 5": "",
    }
    wrong = {}
    for text, wanted in cases.items():
        try:
            found = client.search_logged_models([experiment], filter_string=text)
            letters = "".join(sorted(names[each.model_id][0] for each in found))
        except Exception as error:
            letters = repr(error)[:200]
        if letters != "".join(sorted(wanted)):
            wrong[text] = f"wanted {wanted!r}, found {letters!r}"
    same(wrong, {})


@check()
def models_are_found_by_datasets() -> None:
    experiment, names = zoo()

    def found(text: str | None, **dataset: str) -> set[str]:
        hits = client.search_logged_models([experiment], text, [dataset])
        return {names[each.model_id] for each in hits}

    same(found("metrics.acc > 0.6", dataset_name="d1", dataset_digest="x"), {"beta"})
    same(found("metrics.acc > 0.1", dataset_name="d1", dataset_digest="x"), {"alpha", "beta"})
    same(found("metrics.acc > 0.1", dataset_name="d1", dataset_digest="y"), set())
    same(found("metrics.plain > 0", dataset_name="d1", dataset_digest="x"), set())
    same(found(None, dataset_name="d1", dataset_digest="x"), {"alpha", "beta"})


@check()
def models_come_in_order_and_by_pages() -> None:
    experiment, names = zoo()

    def found(*order: dict[str, object]) -> list[str]:
        return [
            names[each.model_id][0]
            for each in client.search_logged_models([experiment], order_by=list(order))
        ]

    same("".join(found({"field_name": "name"})), "abdg")
    same("".join(found({"field_name": "name", "ascending": False})), "gdba")
    same("".join(found({"field_name": "metrics.acc", "ascending": False}))[:2], "ba")
    by_dataset = {
        "field_name": "metrics.acc",
        "ascending": True,
        "dataset_name": "d1",
        "dataset_digest": "x",
    }
    same("".join(found(by_dataset))[:2], "ab")
    same("".join(found()), "dgba")
    everything, token, sizes = [], None, []
    while True:
        page = client.search_logged_models([experiment], max_results=3, page_token=token)
        everything += [each.model_id for each in page]
        sizes.append(len(page))
        token = page.token
        if not token:
            break
    same((sizes, sorted(everything)), ([3, 1], sorted(names)))
    page = client.search_logged_models([experiment], max_results=4)
    same((len(page), bool(page.token)), (4, False))


@check()
def nonsense_is_refused() -> None:
    experiment = place()
    for text in (
        "nothing = 'a'",
        "name > 'a'",
        "status > 'READY'",
        "name",
    ):
        with refused(INVALID):
            client.search_logged_models([experiment], text)
    with refused(INVALID):
        client.search_logged_models([experiment], order_by=[{"field_name": "nothing"}])
    with refused(MISSING):
        client.create_logged_model("987654321", name="m")


@check()
def files_of_a_model_go_up_and_come_down() -> None:
    model = client.create_logged_model(place(), name="m")
    source = Path.cwd() / fresh("files")
    (source / "deep").mkdir(parents=True)
    (source / "MLmodel").write_text("flavors: {}\n")
    (source / "deep" / "weights.bin").write_bytes(bytes(range(256)))
    client.log_model_artifacts(model.model_id, str(source))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    found = client.list_logged_model_artifacts(model.model_id)
    same([(each.path, each.is_dir) for each in found], [("MLmodel", False), ("deep", True)])
    inside = client.list_logged_model_artifacts(model.model_id, "deep")
    same([each.path for each in inside], ["deep/weights.bin"])
    for place_of_it in (f"models:/{model.model_id}", model.artifact_location):
        target = Path.cwd() / fresh("down")
        down = Path(
            mlflow.artifacts.download_artifacts(artifact_uri=place_of_it, dst_path=str(target))
        )
        same((down / "deep" / "weights.bin").read_bytes(), bytes(range(256)))


@check()
def the_registry_tells_the_model_its_versions() -> None:
    experiment = place()
    model = ready(experiment, "m")
    name = fresh("registered")
    client.create_registered_model(name)
    version = client.create_model_version(name, f"models:/{model}", model_id=model)
    same(
        (version.version, version.status),
        ("1", "READY") if isinstance(version.version, str) else (1, "READY"),
    )
    noted = json.loads(client.get_logged_model(model).tags["mlflow.modelVersions"])
    same([(each["name"], str(each["version"])) for each in noted], [(name, "1")])


if __name__ == "__main__":
    judge()
