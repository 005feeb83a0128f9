"""Trivet keeps facts about data, models and code, and turns them into more facts.

The front door: twenty names, each loaded when it is first touched.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivet.core.errors import TrivetError
    from trivet.core.gates import Gate, check
    from trivet.data.facts import Dataset
    from trivet.models.facts import Model
    from trivet.monitoring.facts import Alert
    from trivet.pipelines.authoring import Data, File, effect, flow, map, step
    from trivet.pipelines.looping.until import until
    from trivet.releases.facts import Release
    from trivet.serving.facts import Endpoint
    from trivet.tracking.facts import Run
    from trivet.triggers.facts import Trigger
    from trivet.workspace.opening import open
    from trivet.workspace.workspace import Workspace

__version__ = "0.1.0"

__all__ = [
    "open", "Workspace",
    "step", "flow", "map", "effect", "until", "File", "Data",
    "check", "Gate",
    "Dataset", "Run", "Model", "Release",
    "Endpoint", "Alert", "Trigger",
    "TrivetError", "__version__",
]  # fmt: skip

_NAMES_OF = {
    "workspace.opening": "open",
    "workspace.workspace": "Workspace",
    "pipelines.authoring": "step flow map effect File Data",
    "pipelines.looping.until": "until",
    "core.gates": "check Gate",
    "data.facts": "Dataset",
    "tracking.facts": "Run",
    "models.facts": "Model",
    "releases.facts": "Release",
    "serving.facts": "Endpoint",
    "monitoring.facts": "Alert",
    "triggers.facts": "Trigger",
    "core.errors": "TrivetError",
}
_HOME_OF = {name: home for home, names in _NAMES_OF.items() for name in names.split()}

if not TYPE_CHECKING:  # a type checker would take this for any name at all

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module 'trivet' has no attribute {name!r}")
        value: object = getattr(import_module(f"trivet.{_HOME_OF[name]}"), name)
        globals()[name] = value  # the next look-up finds it without coming here
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
