"""What filters over registered names and versions may speak of, and what they hide by default."""

from typing import Final

from trivet.core.catalog import Compare, Condition, Either, Every, Has
from trivet.core.filtering import Entity, Grammar, Kind, parse_filter

PROMPT_TAG: Final = "mlflow.prompt.is_prompt"
"""By this tag clients keep prompts among the registered models."""
_PROMPT: Final = f"tags.{PROMPT_TAG}"
_NAME_FIELDS: Final[dict[str, Kind]] = {
    "name": "text",
    "creation_timestamp": "number",
    "last_updated_timestamp": "number",
}
_VERSION_FIELDS: Final[dict[str, Kind]] = {
    "name": "text",
    "version_number": "number",
    "run_id": "text",
    "model_id": "text",
    "source_path": "text",
    "user_id": "text",
    "current_stage": "text",
    "creation_timestamp": "number",
    "last_updated_timestamp": "number",
}
_OWN = ("attributes", "attribute", "attr")


def name_grammar() -> Grammar:
    """Return the grammar of searches for registered names."""
    return _grammar(_NAME_FIELDS, {"name"})


def version_grammar() -> Grammar:
    """Return the grammar of searches for versions."""
    return _grammar(_VERSION_FIELDS, {"name", "run_id"})


def registry_filter(text: str, grammar: Grammar) -> Condition:
    """Turn a filter into a condition; prompts are left out unless it asks for them.

    Raises:
        Invalid: It does not follow the grammar.
    """
    found = parse_filter(text, grammar)
    return found if _asks_for_prompts(found) else Every((found, is_no_prompt()))


def is_no_prompt() -> Condition:
    """Return the condition that something is a model."""
    return Either((Has(_PROMPT, negated=True), Compare(_PROMPT, "!=", "true")))


def _grammar(fields: dict[str, Kind], sets: set[str]) -> Grammar:
    own, tags = Entity(prefix="", fields=fields), Entity(prefix="tags.")
    return Grammar(
        entities={**dict.fromkeys(_OWN, own), **dict.fromkeys(("tags", "tag"), tags)},
        bare=own,
        aliases={"timestamp": "last_updated_timestamp"},
        sets=sets,
        quoted={"version_number"},
        refine=_without_prompts,
    )


def _without_prompts(condition: Condition) -> Condition:
    """Models have no such tag at all, so "is no prompt" must not ask for one."""
    if isinstance(condition, Compare) and condition.name == _PROMPT:
        wanted = str(condition.value).lower()
        if (condition.operator, wanted) in {("=", "false"), ("!=", "true")}:
            return is_no_prompt()
    return condition


def _asks_for_prompts(condition: Condition) -> bool:
    if isinstance(condition, Every | Either):
        return any(map(_asks_for_prompts, condition.parts))
    if not isinstance(condition, Compare) or condition.name != _PROMPT:
        return False
    asked = condition.operator, str(condition.value).lower()
    return asked in {("=", "true"), ("!=", "false")}
