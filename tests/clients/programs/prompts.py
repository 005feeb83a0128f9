"""Prompts live among the registered models, and searches for models do not show them."""

from judging import check, fresh, judge, same
from mlflow.tracking import MlflowClient

client = MlflowClient()


@check()
def a_prompt_is_kept_in_versions() -> None:
    name = fresh("prompt")
    first = client.register_prompt(name, "Say {{word}}.", commit_message="one", tags={"a": "1"})
    second = client.register_prompt(name, "Shout {{word}}!")
    same((first.version, second.version), (1, 2))
    same(client.load_prompt(name, version=1).format(word="hello"), "Say hello.")
    client.set_prompt_alias(name, "live", 2)
    same(client.load_prompt(f"prompts:/{name}@live").template, "Shout {{word}}!")
    same(client.load_prompt(name, version=99, allow_missing=True), None)
    client.delete_prompt_alias(name, "live")


@check()
def prompts_are_hidden_from_searches_for_models() -> None:
    word = fresh("hidden")
    client.register_prompt(f"{word}-prompt", "x")
    client.create_registered_model(f"{word}-model")
    inside = f"name LIKE '{word}%'"
    same([each.name for each in client.search_registered_models(inside)], [f"{word}-model"])
    asked = client.search_registered_models(f"{inside} AND tags.`mlflow.prompt.is_prompt` = 'true'")
    same([each.name for each in asked], [f"{word}-prompt"])
    same(client.get_registered_model(f"{word}-model").name, f"{word}-model")


@check()
def versions_of_prompts_are_hidden_from_searches_for_versions() -> None:
    name = fresh("prompt")
    client.register_prompt(name, "x")
    same(list(client.search_model_versions(f"name = '{name}'")), [])


@check()
def prompts_are_found_as_prompts() -> None:
    word = fresh("found")
    for letter in "ab":
        client.register_prompt(f"{word}-{letter}", "x")
    client.create_registered_model(f"{word}-c")
    found = client.search_prompts(f"name LIKE '{word}%'")
    same(sorted(each.name for each in found), [f"{word}-a", f"{word}-b"])


if __name__ == "__main__":
    judge()
