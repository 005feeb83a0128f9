"""The registry by the low-level client: models, versions, aliases, stages, tags, searches."""

import mlflow
from judging import check, fresh, generation, judge, refused, same
from mlflow.tracking import MlflowClient

client = MlflowClient()
INVALID = "INVALID_PARAMETER_VALUE"
MISSING = "RESOURCE_DOES_NOT_EXIST"
TAKEN = "RESOURCE_ALREADY_EXISTS"


def source() -> dict[str, str]:
    """A run with a folder of files in it, as what a version is made from."""
    run = client.create_run("0").info
    client.log_text(run.run_id, "flavors: {}\n", "model/MLmodel")
    return {"source": f"{run.artifact_uri}/model", "run_id": run.run_id}


def model(versions: int = 0, **more: object) -> str:
    name = fresh("model")
    client.create_registered_model(name, **more)
    for _ in range(versions):
        client.create_model_version(name, **source())
    return name


def number(version: object) -> str:
    return str(version.version)


@check()
def a_model_is_made_once() -> None:
    name = fresh("once")
    made = client.create_registered_model(name, tags={"a": "1"}, description="what")
    same(
        (made.name, made.description, made.tags, list(made.latest_versions)),
        (name, "what", {"a": "1"}, []),
    )
    found = client.get_registered_model(name)
    same((found.name, found.description, found.tags, found.aliases), (name, "what", {"a": "1"}, {}))
    assert found.creation_timestamp > 0
    with refused(TAKEN, "already exists", name):
        client.create_registered_model(name)


@check()
def names_have_rules() -> None:
    for name in ("", "a/b", "a:b", "..", "."):
        with refused(INVALID):
            client.create_registered_model(name)
    for word in ("with space", "ünïcode ✓", "a.b-c_d", "100%", "quote'd"):
        name = word + fresh("")
        client.create_registered_model(name)
        same(client.get_registered_model(name).name, name)
    with refused(INVALID):
        client.get_registered_model("")


@check()
def a_missing_model_is_named() -> None:
    name = fresh("never")
    wanted = f"Registered Model with name={name} not found"
    for call in (
        lambda: client.get_registered_model(name),
        lambda: client.update_registered_model(name, "d"),
        lambda: client.delete_registered_model(name),
        lambda: client.rename_registered_model(name, fresh("x")),
        lambda: client.set_registered_model_tag(name, "a", "1"),
        lambda: client.create_model_version(name, **source()),
        lambda: client.get_latest_versions(name),
    ):
        with refused(MISSING, wanted):
            call()


@check()
def a_model_can_be_described_and_renamed() -> None:
    old, new = model(2), fresh("new")
    client.update_registered_model(old, "first")
    same(client.get_registered_model(old).description, "first")
    client.set_registered_model_alias(old, "champion", "2")
    client.rename_registered_model(old, new)
    same(client.get_registered_model(new).name, new)
    with refused(MISSING):
        client.get_registered_model(old)
    same(number(client.get_model_version(new, "1")), "1")
    same(number(client.get_model_version_by_alias(new, "champion")), "2")
    same(client.get_registered_model(new).description, "first")
    other = model()
    with refused(TAKEN, "already exists"):
        client.rename_registered_model(other, new)
    same(client.create_registered_model(old).name, old)


@check()
def a_deleted_model_is_gone_with_all_it_had() -> None:
    name = model(2, tags={"a": "1"})
    client.set_registered_model_alias(name, "champion", "1")
    client.delete_registered_model(name)
    with refused(MISSING):
        client.get_registered_model(name)
    with refused(MISSING):
        client.get_model_version(name, "1")
    same(list(client.search_model_versions(f"name = '{name}'")), [])
    client.create_registered_model(name)
    found = client.get_registered_model(name)
    same((found.tags, found.aliases), ({}, {}))
    same(number(client.create_model_version(name, **source())), "1")


@check()
def tags_of_a_model_can_be_changed() -> None:
    name = model()
    client.set_registered_model_tag(name, "a", "1")
    client.set_registered_model_tag(name, "a", "2")
    client.set_registered_model_tag(name, "long", "x" * 10_000)
    same(client.get_registered_model(name).tags, {"a": "2", "long": "x" * 10_000})
    client.delete_registered_model_tag(name, "a")
    client.delete_registered_model_tag(name, "a")
    same(list(client.get_registered_model(name).tags), ["long"])
    with refused(INVALID):
        client.set_registered_model_tag(name, "k" * 251, "1")


@check()
def versions_are_counted() -> None:
    name = model()
    before = client.get_registered_model(name).last_updated_timestamp
    sent = source()
    first = client.create_model_version(name, **sent, tags={"a": "1"}, description="what")
    same(
        (number(first), first.name, first.status, first.current_stage), ("1", name, "READY", "None")
    )
    same(
        (first.source, first.run_id, first.description, first.tags),
        (*sent.values(), "what", {"a": "1"}),
    )
    same([number(client.create_model_version(name, **source())) for _ in range(2)], ["2", "3"])
    client.delete_model_version(name, "3")
    same(number(client.create_model_version(name, **source())), "4")
    assert client.get_registered_model(name).last_updated_timestamp >= before
    found = client.get_model_version(name, "1")
    same((found.source, found.run_id, found.tags), (*sent.values(), {"a": "1"}))
    same(client.get_model_version_download_uri(name, "1"), sent["source"])


@check()
def versions_made_at_once_are_all_different() -> None:
    from concurrent.futures import ThreadPoolExecutor

    name = model()
    sent = source()
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: number(client.create_model_version(name, **sent)), range(8)))
    same(sorted(made, key=int), [str(n) for n in range(1, 9)])


@check()
def a_missing_version_is_named() -> None:
    name = model(1)
    wanted = f"Model Version (name={name}, version=7) not found"
    for call in (
        lambda: client.get_model_version(name, "7"),
        lambda: client.update_model_version(name, "7", "d"),
        lambda: client.delete_model_version(name, "7"),
        lambda: client.set_model_version_tag(name, "7", "a", "1"),
        lambda: client.set_registered_model_alias(name, "champion", "7"),
        lambda: client.get_model_version_download_uri(name, "7"),
    ):
        with refused(MISSING, wanted):
            call()
    with refused(INVALID):
        client.get_model_version(name, "seven")


@check()
def a_version_can_be_described_tagged_and_deleted() -> None:
    name = model(2)
    client.update_model_version(name, "1", "new")
    client.set_model_version_tag(name, "1", "a", "1")
    client.set_model_version_tag(name, "1", "b", "2")
    client.delete_model_version_tag(name, "1", "a")
    client.delete_model_version_tag(name, "1", "a")
    found = client.get_model_version(name, "1")
    same((found.description, found.tags), ("new", {"b": "2"}))
    client.set_registered_model_alias(name, "champion", "1")
    client.delete_model_version(name, "1")
    with refused(MISSING):
        client.get_model_version(name, "1")
    same(client.get_registered_model(name).aliases, {})
    same([number(each) for each in client.search_model_versions(f"name = '{name}'")], ["2"])


@check()
def an_alias_points_at_one_version() -> None:
    name = model(3)
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_alias(name, "champion", "2")
    client.set_registered_model_alias(name, "Challenger_1-x", "2")
    same(number(client.get_model_version_by_alias(name, "champion")), "2")
    found = {
        alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()
    }
    same(found, {"champion": "2", "Challenger_1-x": "2"})
    same(sorted(client.get_model_version(name, "2").aliases), ["Challenger_1-x", "champion"])
    same(list(client.get_model_version(name, "1").aliases), [])
    client.delete_registered_model_alias(name, "champion")
    client.delete_registered_model_alias(name, "champion")
    with refused(INVALID, "champion", "not found"):
        client.get_model_version_by_alias(name, "champion")
    same(number(client.get_model_version_by_alias(name, "latest")), "3")


@check()
def aliases_have_rules() -> None:
    name = model(1)
    for alias in ("", "latest", "LATEST", "v1", "V12", "a b", "a/b", "a" * 256, "a.b"):
        with refused(INVALID):
            client.set_registered_model_alias(name, alias, "1")
    client.set_registered_model_alias(name, "a" * 255, "1")
    client.set_registered_model_alias(name, "v1a", "1")
    with refused(INVALID):
        client.get_model_version_by_alias(name, "latest!")


@check()
def stages_move_versions() -> None:
    name = model(3)
    moved = client.transition_model_version_stage(name, "1", "staging")
    same((moved.current_stage, number(moved)), ("Staging", "1"))
    client.transition_model_version_stage(name, "2", "Staging")
    client.transition_model_version_stage(name, "3", "PRODUCTION")

    def stages() -> list[str]:
        return [client.get_model_version(name, str(n)).current_stage for n in (1, 2, 3)]

    same(stages(), ["Staging", "Staging", "Production"])
    latest = {each.current_stage: number(each) for each in client.get_latest_versions(name)}
    same(latest, {"Staging": "2", "Production": "3"})
    same([number(each) for each in client.get_latest_versions(name, ["Staging"])], ["2"])
    same(
        [number(each) for each in client.get_latest_versions(name, ["staging", "Archived"])], ["2"]
    )
    held = {
        each.current_stage: number(each)
        for each in client.get_registered_model(name).latest_versions
    }
    same(held, {"Staging": "2", "Production": "3"})
    client.transition_model_version_stage(name, "3", "Staging", archive_existing_versions=True)
    same(stages(), ["Archived", "Archived", "Staging"])
    client.transition_model_version_stage(name, "1", "None")
    same(stages(), ["None", "Archived", "Staging"])


@check()
def stages_have_rules() -> None:
    name = model(1)
    with refused(INVALID, "stage"):
        client.transition_model_version_stage(name, "1", "Nowhere")
    with refused(INVALID):
        client.get_latest_versions(name, ["Nowhere"])
    with refused(MISSING):
        client.transition_model_version_stage(name, "9", "Staging")


@check()
def models_are_found() -> None:
    word = fresh("Search")
    names = [f"{word}-{letter}" for letter in "abcde"]
    for name in names:
        client.create_registered_model(name, tags={"team": "red"} if name[-1] in "ab" else None)
    cases = {
        f"name = '{names[0]}'": "a",
        f"name LIKE '{word}%'": "abcde",
        f"name LIKE '{word.lower()}%'": "",
        f"name ILIKE '{word.lower()}%'": "abcde",
        f"name != '{names[0]}' AND name LIKE '{word}%'": "bcde",
        f"name LIKE '{word}%' AND tags.team = 'red'": "ab",
        f"name LIKE '{word}%' AND tags.`team` LIKE 'r%'": "ab",
        f"name LIKE '{word}%' AND tag.team != 'red'": "",
    }
    for text, wanted in cases.items():
        found = client.search_registered_models(text)
        same((text, "".join(sorted(each.name[-1] for each in found))), (text, wanted))
    inside = f"name LIKE '{word}%'"
    found, token, sizes = [], None, []
    while True:
        page = client.search_registered_models(
            inside, max_results=2, page_token=token, order_by=["name DESC"]
        )
        found += [each.name for each in page]
        sizes.append(len(page))
        token = page.token
        if not token:
            break
    same((found, sizes), (names[::-1], [2, 2, 1]))
    same([each.name for each in client.search_registered_models(inside)], names)
    by_time = client.search_registered_models(inside, order_by=["last_updated_timestamp", "name"])
    same([each.name for each in by_time], names)


@check()
def versions_are_found() -> None:
    name = model(3)
    sent = source()
    client.create_model_version(name, **sent, tags={"team": "red"})
    cases = {
        f"name = '{name}'": "1234",
        f"name = '{name}' AND version_number > 2": "34",
        f"name = '{name}' AND version_number = 1": "1",
        f"name = '{name}' AND run_id = '{sent['run_id']}'": "4",
        f"run_id = '{sent['run_id']}'": "4",
        f"run_id IN ('{sent['run_id']}')": "4",
        f"source_path = '{sent['source']}'": "4",
        f"name = '{name}' AND tags.team = 'red'": "4",
        f"name = '{name}' AND tags.team = 'blue'": "",
        f"name LIKE '{name[:-1]}%'": "1234",
    }
    for text, wanted in cases.items():
        found = client.search_model_versions(text)
        same((text, "".join(sorted(number(each) for each in found))), (text, wanted))
    inside = f"name = '{name}'"
    pages, token = [], None
    while True:
        page = client.search_model_versions(
            inside, 2, order_by=["version_number ASC"], page_token=token
        )
        pages.append("".join(number(each) for each in page))
        token = page.token
        if not token:
            break
    same(pages, ["12", "34"])
    same("".join(number(each) for each in client.search_model_versions(inside)), "4321")


@check()
def searches_that_make_no_sense_are_refused() -> None:
    for text in ("nme = 'a'", "name > 'a'", "name = 1", "name"):
        with refused(INVALID):
            client.search_registered_models(text)
        with refused(INVALID):
            client.search_model_versions(text)
    for text in ("version_number = 'a'", "stage = 'a'"):
        with refused(INVALID):
            client.search_model_versions(text)
    for call in (client.search_registered_models, client.search_model_versions):
        with refused(INVALID):
            call(order_by=["nothing"])
        with refused(INVALID):
            call(page_token="no token")
        with refused(INVALID):
            call(max_results=1_000_000)
    with refused(INVALID, "max_results"):
        client.search_model_versions(max_results=-1)


@check()
def sources_elsewhere_are_refused() -> None:
    name = model()
    run = client.create_run("0").info
    places = (
        "/etc/passwd",
        "file:///etc",
        f"{run.artifact_uri}/../..",
        "../x",
        "http://host/x",
        "hdfs://host/x",
    )
    for place in places:
        with refused(INVALID):
            client.create_model_version(name, place, run_id=run.run_id)
    other = client.create_run("0").info
    with refused(INVALID, "must identify the resource that contains the source"):
        client.create_model_version(name, f"{other.artifact_uri}/model", run_id=run.run_id)
    if generation() > 2:
        with refused(INVALID):
            client.create_model_version(name, "models:/m-" + "0" * 32)


@check()
def the_fluent_searches_find_the_same() -> None:
    name = model(2)
    (found,) = mlflow.search_registered_models(filter_string=f"name = '{name}'")
    same(found.name, name)
    versions = mlflow.search_model_versions(filter_string=f"name = '{name}'")
    same(sorted(number(each) for each in versions), ["1", "2"])


@check()
def a_version_is_copied_to_another_model() -> None:
    name, other = model(1), fresh("copy")
    copied = client.copy_model_version(f"models:/{name}/1", other)
    same((copied.name, number(copied)), (other, "1"))
    place = client.get_model_version_download_uri(other, "1")
    same(place, client.get_model_version_download_uri(name, "1"))
    same(number(client.copy_model_version(f"models:/{name}/1", other)), "2")


if __name__ == "__main__":
    judge()
