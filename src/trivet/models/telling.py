"""What web hooks are told of the registry: tasks for the commit in which it happens."""

from collections.abc import Mapping
from typing import Any, Final

from trivet.core.facts import Scope, TaskNew
from trivet.core.ports import Stores
from trivet.models.facts import LoggedVersion, ModelVersion, NameRegistered, RegisteredName
from trivet.models.remarks import Deprecated
from trivet.models.searching import PROMPT_TAG
from trivet.tracking.webhooks.announcing import announce

_PROMPT_TEXT: Final = "mlflow.prompt.text"
_PROMPT_TAGS: Final = {PROMPT_TAG, _PROMPT_TEXT, "_mlflow_prompt_type"}


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Say whether these are the tags of a prompt."""
    return tags.get(PROMPT_TAG, "").lower() == "true"


class News:
    """Tells the web hooks of one project about its registry.

    Args:
        stores: Where web hooks are registered.
        scope: Whose project.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._project = scope.project

    def of_name(self, made: NameRegistered) -> tuple[TaskNew, ...]:
        """Return the tasks that tell of a new name."""
        detail = {"name": made.name, "tags": _shown(made.tags), "description": made.description}
        entity = "prompt" if is_prompt(made.tags) else "registered_model"
        return self._tell(f"{entity}.created", detail)

    def of_version(self, made: LoggedVersion | ModelVersion) -> tuple[TaskNew, ...]:
        """Return the tasks that tell of a new version."""
        detail: dict[str, Any] = {"name": made.name, "version": str(made.version)}
        if isinstance(made, ModelVersion):
            detail |= {"source": made.package, "run_id": made.run, "tags": {}, "description": None}
            return self._tell("model_version.created", detail)
        detail |= {"tags": _shown(made.tags), "description": made.description}
        if is_prompt(made.tags):
            template = made.tags.get(_PROMPT_TEXT)
            return self._tell("prompt_version.created", {**detail, "template": template})
        detail |= {"source": made.source, "run_id": made.run}
        return self._tell("model_version.created", detail)

    def of_tag(
        self, known: RegisteredName, key: str, value: str | None, number: int | None = None
    ) -> tuple[TaskNew, ...]:
        """Return the tasks that tell of a tag that was set, or with None taken away.

        Args:
            known: The name.
            key: The tag's key.
            value: Its value.
            number: The version that has the tag; None: the name itself.
        """
        entity = "prompt" if is_prompt(known.tags) else "model"
        detail: dict[str, Any] = {"name": known.name, "key": key}
        if number is not None:
            entity += "_version"
            detail["version"] = str(number)
        elif entity == "model":
            return ()  # there is no such event
        if value is None:
            return self._tell(f"{entity}_tag.deleted", detail)
        return self._tell(f"{entity}_tag.set", {**detail, "value": value})

    def of_alias(
        self, known: RegisteredName, alias: str, number: int | None
    ) -> tuple[TaskNew, ...]:
        """Return the tasks that tell where an alias points now, or with None that it is gone."""
        if not is_prompt(known.tags):
            return self.of_model_alias(known.name, alias, number)
        detail: dict[str, Any] = {"name": known.name, "alias": alias}
        if number is None:
            return self._tell("prompt_alias.deleted", detail)
        return self._tell("prompt_alias.created", {**detail, "version": str(number)})

    def of_model_alias(self, name: str, alias: str, number: int | None) -> tuple[TaskNew, ...]:
        """Return the same for what is known to be no prompt."""
        detail: dict[str, Any] = {"name": name, "alias": alias}
        if number is None:
            return self._tell("model_version_alias.deleted", detail)
        return self._tell("model_version_alias.created", {**detail, "version": str(number)})

    def of_deprecation(
        self, name: str, number: int | None, said: Deprecated
    ) -> tuple[TaskNew, ...]:
        """Return the tasks that tell that a version, or a model, is deprecated or no longer."""
        detail: dict[str, Any] = {"name": name, "reason": said.why, "instead": said.instead}
        entity = "registered_model"
        if number is not None:
            entity, detail["version"] = "model_version", str(number)
        return self._tell(f"{entity}.{'restored' if said.is_over else 'deprecated'}", detail)

    def _tell(self, event: str, detail: Mapping[str, Any]) -> tuple[TaskNew, ...]:
        return announce(self._stores, self._project, event, detail)


def _shown(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in _PROMPT_TAGS}
