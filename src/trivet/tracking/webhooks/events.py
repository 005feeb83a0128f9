"""What web hooks can be told of: `entity.action`, and an example of what is said then."""

from typing import Any, Final

_MODEL: Final = {"name": "example_model"}
_PROMPT: Final = {"name": "example_prompt"}
_VERSION: Final = {"version": "1"}
_KEY: Final = {"key": "example_key"}
_VALUE: Final = {"value": "example_value"}
_ALIAS: Final = {"alias": "example_alias"}
_TAGS: Final[dict[str, Any]] = {"tags": {"example_key": "example_value"}}
_RUN: Final = {
    "run_id": "01a202c522ce7327898a8d81238b691e",
    "run_name": "calm-oak-7",
    "experiment_id": "1",
    "status": "RUNNING",
}
_EXPERIMENT: Final = {"experiment_id": "1", "name": "example"}
_DEPRECATED: Final = {
    "name": "example",
    "reason": "The feed is gone",
    "instead": "",
}

MODEL_EVENTS: Final[dict[str, dict[str, Any]]] = {
    "registered_model.created": _MODEL | _TAGS | {"description": "An example registered model"},
    "model_version.created": {
        **(_MODEL | _VERSION | _TAGS),
        "source": "models:/123",
        "run_id": "abcd1234abcd5678",
        "description": "An example model version",
    },
    "model_version_tag.set": _MODEL | _VERSION | _KEY | _VALUE,
    "model_version_tag.deleted": _MODEL | _VERSION | _KEY,
    "model_version_alias.created": _MODEL | _VERSION | _ALIAS,
    "model_version_alias.deleted": _MODEL | _ALIAS,
    "prompt.created": _PROMPT | _TAGS | {"description": "An example prompt"},
    "prompt_version.created": {
        **(_PROMPT | _VERSION | _TAGS),
        "template": "Hello {{name}}!",
        "description": "An example prompt version",
    },
    "prompt_tag.set": _PROMPT | _KEY | _VALUE,
    "prompt_tag.deleted": _PROMPT | _KEY,
    "prompt_version_tag.set": _PROMPT | _VERSION | _KEY | _VALUE,
    "prompt_version_tag.deleted": _PROMPT | _VERSION | _KEY,
    "prompt_alias.created": _PROMPT | _VERSION | _ALIAS,
    "prompt_alias.deleted": _PROMPT | _ALIAS,
}
"""Those that MLflow's clients know, with the examples that MLflow's server sends."""
OWN_EVENTS: Final[dict[str, dict[str, Any]]] = {
    "experiment.created": _EXPERIMENT,
    "experiment.updated": _EXPERIMENT,
    "experiment.deleted": _EXPERIMENT,
    "experiment.restored": _EXPERIMENT,
    "run.created": _RUN,
    "run.finished": _RUN | {"status": "FINISHED"},
    "run.deleted": _RUN | {"status": "FINISHED"},
    "run.restored": _RUN | {"status": "FINISHED"},
    "registered_model.deprecated": _DEPRECATED,
    "registered_model.restored": _DEPRECATED,
    "model_version.deprecated": _DEPRECATED | _VERSION,
    "model_version.restored": _DEPRECATED | _VERSION,
}
"""Those of experiments, runs and deprecation, which MLflow's clients do not know."""
EVENTS: Final = MODEL_EVENTS | OWN_EVENTS
