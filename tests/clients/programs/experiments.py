"""Experiments by the low-level client: names, tags, ends and beginnings, and what is refused."""

from judging import check, fresh, judge, refused, same
from mlflow.entities import ExperimentTag, ViewType
from mlflow.tracking import MlflowClient

client = MlflowClient()


@check()
def an_experiment_keeps_its_tags() -> None:
    made = client.create_experiment(fresh("tags"), tags={"a": "1", "long": "x" * 5000})
    client.set_experiment_tag(made, "a", "2")
    client.set_experiment_tag(made, "b", "")
    tags = client.get_experiment(made).tags
    same({key: tags[key] for key in ("a", "b", "long")}, {"a": "2", "b": "", "long": "x" * 5000})


@check(since=3)
def a_tag_of_an_experiment_can_be_deleted() -> None:
    made = client.create_experiment(fresh("untagged"), tags={"a": "1", "b": "2"})
    client.delete_experiment_tag(made, "a")
    assert "a" not in client.get_experiment(made).tags
    with refused("RESOURCE_DOES_NOT_EXIST", "No tag with name: a"):
        client.delete_experiment_tag(made, "a")


@check()
def a_name_is_taken_once() -> None:
    name = fresh("once")
    made = client.create_experiment(name)
    with refused("RESOURCE_ALREADY_EXISTS", "already exists", name):
        client.create_experiment(name)
    client.delete_experiment(made)
    with refused("RESOURCE_ALREADY_EXISTS", name):
        client.create_experiment(name)


@check()
def a_name_may_hold_any_letters() -> None:
    for word in (
        "ünïcode ✓",
        "a/b",
        'quote\'d "twice"',
        "with %percent% & _",
        " spaced ",
        "日本語",
    ):
        name = word + fresh("")
        made = client.create_experiment(name)
        same(client.get_experiment_by_name(name).experiment_id, made)
        same(client.get_experiment(made).name, name)


@check()
def a_name_has_limits() -> None:
    client.create_experiment(fresh("x" * 450))
    with refused("INVALID_PARAMETER_VALUE", "exceeds the maximum length"):
        client.create_experiment("x" * 501)
    with refused("INVALID_PARAMETER_VALUE", "name"):
        client.create_experiment("")


@check()
def an_experiment_can_be_renamed() -> None:
    old, new = fresh("old"), fresh("new")
    made = client.create_experiment(old)
    client.rename_experiment(made, new)
    same(client.get_experiment(made).name, new)
    same(client.get_experiment_by_name(old), None)
    same(client.create_experiment(old) != made, True)
    with refused("RESOURCE_ALREADY_EXISTS|BAD_REQUEST"):
        client.rename_experiment(made, old)


@check()
def an_experiment_that_is_missing_is_said_to_be() -> None:
    same(client.get_experiment_by_name(fresh("never")), None)
    for call in (client.get_experiment, client.delete_experiment, client.restore_experiment):
        with refused("RESOURCE_DOES_NOT_EXIST", "No Experiment with id=987654321 exists"):
            call("987654321")
    with refused("RESOURCE_DOES_NOT_EXIST", "No Experiment with id=987654321 exists"):
        client.rename_experiment("987654321", fresh("x"))
    with refused("RESOURCE_DOES_NOT_EXIST", "No Experiment with id=987654321 exists"):
        client.create_run("987654321")


@check()
def a_deleted_experiment_is_still_there() -> None:
    name = fresh("deleted")
    made = client.create_experiment(name)
    run = client.create_run(made).info.run_id
    before = client.get_experiment(made).last_update_time
    client.delete_experiment(made)
    found = client.get_experiment(made)
    same((found.lifecycle_stage, found.name), ("deleted", name))
    assert found.last_update_time >= before
    same(client.get_experiment_by_name(name).lifecycle_stage, "deleted")
    same(client.get_run(run).info.lifecycle_stage, "deleted")
    with refused("INVALID_PARAMETER_VALUE", "must be in the 'active' state"):
        client.create_run(made)
    with refused("INVALID_PARAMETER_VALUE", "active"):
        client.set_experiment_tag(made, "a", "1")
    client.restore_experiment(made)
    same(client.get_experiment(made).lifecycle_stage, "active")
    same(client.get_run(run).info.lifecycle_stage, "active")


@check()
def stages_choose_what_is_found() -> None:
    word = fresh("stages")
    kept, gone = (client.create_experiment(f"{word}-{each}") for each in ("kept", "gone"))
    client.delete_experiment(gone)
    wanted = {
        ViewType.ACTIVE_ONLY: {kept},
        ViewType.DELETED_ONLY: {gone},
        ViewType.ALL: {kept, gone},
    }
    for view, ids in wanted.items():
        found = client.search_experiments(view, filter_string=f"name LIKE '{word}%'")
        same({each.experiment_id for each in found}, ids)


@check()
def filters_choose_what_is_found() -> None:
    word = fresh("Filters")
    one = client.create_experiment(f"{word}-one", tags={"team": "red", "only.one": "1"})
    two = client.create_experiment(f"{word}-two", tags={"team": "blue"})
    inside = f"name LIKE '{word}%'"

    def found(condition: str) -> set[str]:
        text = f"{inside} AND {condition}"
        return {each.experiment_id for each in client.search_experiments(filter_string=text)}

    same(found("tags.team = 'red'"), {one})
    same(found("tags.team != 'red'"), {two})
    same(found("tag.`only.one` = '1'"), {one})
    same(found("tags.\"only.one\" LIKE '%'"), {one})
    same(found("tags.team ILIKE 'R%'"), {one})
    same(found("tags.team LIKE 'R%'"), set())
    same(found(f"name = '{word}-two'"), {two})
    same(found(f"name != '{word}-two'"), {one})
    same(found(f"attribute.name ILIKE '{word.lower()}-T%'"), {two})
    same(found(f"name LIKE '{word.lower()}%'"), set())
    same(found("creation_time > 0 and last_update_time > 0"), {one, two})
    same(found("creation_time < 1"), set())


@check(since=3)
def ids_and_absent_tags_choose_what_is_found() -> None:
    word = fresh("absent")
    one = client.create_experiment(f"{word}-one", tags={"team": "red"})
    two = client.create_experiment(f"{word}-two")

    def found(condition: str) -> set[str]:
        text = f"name LIKE '{word}%' AND {condition}"
        return {each.experiment_id for each in client.search_experiments(filter_string=text)}

    same(found("tags.team IS NULL"), {two})
    same(found("tags.team IS NOT NULL"), {one})
    same(found(f"experiment_id = '{one}'"), {one})
    same(found(f"experiment_id != '{one}'"), {two})
    same(found(f"experiment_id IN ('{one}', '{two}')"), {one, two})
    same(found(f"experiment_id NOT IN ('{one}')"), {two})


@check()
def filters_that_make_no_sense_are_refused() -> None:
    for text in (
        "nme = 'a'",
        "name > 'a'",
        "name = 5",
        "metrics.a > 1",
        "name",
    ):
        with refused("INVALID_PARAMETER_VALUE"):
            client.search_experiments(filter_string=text)


@check()
def orders_and_pages_are_exact() -> None:
    word = fresh("pages")
    ids = [client.create_experiment(f"{word}-{number}") for number in range(5)]
    inside = f"name LIKE '{word}%'"

    def pages(size: int, order: list[str] | None) -> list[list[str]]:
        found, token = [], None
        while True:
            page = client.search_experiments(
                max_results=size, filter_string=inside, order_by=order, page_token=token
            )
            found.append([each.experiment_id for each in page])
            token = page.token
            if not token:
                return found

    same(pages(2, ["name ASC"]), [ids[:2], ids[2:4], ids[4:]])
    same(pages(5, ["name DESC"]), [ids[::-1]])
    same(pages(4, ["experiment_id"]), [ids[:4], ids[4:]])
    same(pages(1, ["creation_time", "name"]), [[each] for each in ids])
    same(sum(pages(3, None), []), ids[::-1])
    same(sum(pages(3, ["last_update_time DESC"]), []), ids[::-1])


@check()
def pages_that_make_no_sense_are_refused() -> None:
    for size in (0, -1, 50_001):
        with refused("INVALID_PARAMETER_VALUE", "max_results"):
            client.search_experiments(max_results=size)
    with refused("INVALID_PARAMETER_VALUE", "page token"):
        client.search_experiments(page_token="not a token")
    with refused("INVALID_PARAMETER_VALUE"):
        client.search_experiments(order_by=["nonsense"])


@check()
def limits_of_tags_are_kept() -> None:
    made = client.create_experiment(fresh("limits"))
    client.set_experiment_tag(made, "k" * 250, "v")
    with refused("INVALID_PARAMETER_VALUE", "exceeds the maximum length"):
        client.set_experiment_tag(made, "k" * 251, "v")
    with refused("INVALID_PARAMETER_VALUE"):
        client.set_experiment_tag(made, "a/../b", "v")
    made = client.create_experiment(fresh("limits"), tags={"a" * 250: "v" * 20_000})
    same(client.get_experiment(made).tags["a" * 250], "v" * 20_000)
    same(ExperimentTag("a", "b").key, "a")


@check()
def places_elsewhere_are_refused() -> None:
    for place in (
        "runs:/abc/x",
        "http://host/x",
        "https://host/x",
        "http://host/x#fragment",
        "http://host/x?a=b",
        "mlflow-artifacts:/x#a",
    ):
        with refused("INVALID_PARAMETER_VALUE"):
            client.create_experiment(fresh("place"), artifact_location=place)


if __name__ == "__main__":
    judge()
