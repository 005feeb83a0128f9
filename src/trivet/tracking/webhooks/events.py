"""What web hooks can be told of: `entity.action`, and an example of what is said then."""

from typing import Any, Final

_TAG: Final = {"name": "example", "key": "stage", "value": "checked"}
_UNTAG: Final = {"name": "example", "key": "stage"}
_VERSION: Final = {"version": "1"}
_ALIAS: Final = {"name": "example", "alias": "champion"}
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
_MADE: Final[dict[str, Any]] = {"name": "example", "tags": {}, "description": "An example"}

MODEL_EVENTS: Final[dict[str, dict[str, Any]]] = {
    "registered_model.created": _MADE,
    "model_version.created": {
        **_MADE,
        **_VERSION,
        "source": "models:/m-01a202c522ce7327898a8d81238b691e",
        "run_id": _RUN["run_id"],
    },
    "model_version_tag.set": _TAG | _VERSION,
    "model_version_tag.deleted": _UNTAG | _VERSION,
    "model_version_alias.created": _ALIAS | _VERSION,
    "model_version_alias.deleted": _ALIAS,
    "prompt.created": _MADE,
    "prompt_version.created": {**_MADE, **_VERSION, "template": "Hello {{name}}!"},
    "prompt_tag.set": _TAG,
    "prompt_tag.deleted": _UNTAG,
    "prompt_version_tag.set": _TAG | _VERSION,
    "prompt_version_tag.deleted": _UNTAG | _VERSION,
    "prompt_alias.created": _ALIAS | _VERSION,
    "prompt_alias.deleted": _ALIAS,
}
"""Those that MLflow's clients know, with what is said in their words."""
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
