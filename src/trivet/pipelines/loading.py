"""Finding a flow by its name, `module:function`, in the project's folder."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.fingerprints.modules import label_of_module, real_path
from trivet.data.naming import suggest
from trivet.pipelines.context import Definition, definition_of


def load_flow(name: str, folder: Path) -> Definition:
    """Import a module of the project and return one of its flows.

    The folder goes to the front of `sys.path` and stays there: a flow may import its helpers late.

    Args:
        name: `module:function`, the module as Python imports it; `train.py:train` works too.
        folder: The project's folder.

    Raises:
        Invalid: The name has another form, or names something that is no flow.
        NotFound: There is no such module, or no such function in it.
        Conflict: Another module of this name, from another place, is loaded already.
    """
    path, _, function = name.partition(":")
    module = path.removesuffix(".py").replace("/", ".")
    if not module or not function or not all(part.isidentifier() for part in module.split(".")):
        raise Invalid(
            f"{name!r} names no flow; expected module:function",
            code="bad-flow",
            hint="For a function train in pipeline.py, write pipeline:train.",
        )
    loaded = _import(module, folder)
    found = definition_of(getattr(loaded, function, None))
    flows = [key for key, value in vars(loaded).items() if _is_flow(value)]
    if not hasattr(loaded, function):
        raise NotFound(
            f"module {module!r} has no function {function!r}",
            code="no-flow",
            hint=suggest(function, flows),
        )
    if found is None or found.kind != "flow":
        raise Invalid(
            f"{name!r} is no flow",
            code="bad-flow",
            hint=f"Write @flow above it. {suggest(function, flows)}"
            if flows
            else "Write @flow above it.",
        )
    return found


def flow_of(flow: Callable[..., object] | str, folder: Path) -> Definition:
    """Return the definition of a flow, given itself or its name.

    Raises:
        Invalid: It is no flow.
        NotFound: No flow has this name.
    """
    if isinstance(flow, str):
        return load_flow(flow, folder)
    found = definition_of(flow)
    if found is None or found.kind != "flow":
        raise Invalid(
            f"{getattr(flow, '__name__', type(flow).__name__)!r} is no flow",
            code="bad-flow",
            hint="Write @flow above the function.",
        )
    return found


def name_of(flow: Definition) -> str:
    """Return `module:function`, under which the flow is found again."""
    module = str(getattr(flow.function, "__module__", "__main__"))
    return f"{label_of_module(module)}:{getattr(flow.function, '__qualname__', flow.name)}"


def _import(module: str, folder: Path) -> object:
    place = real_path(str(folder))
    if place not in sys.path:
        sys.path.insert(0, place)
    importlib.invalidate_caches()
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise  # the module is there; something that it imports is not
        raise NotFound(
            f"there is no module {module!r} in {folder.name!r}",
            code="no-module",
            hint=f"Its file would be {module.replace('.', '/')}.py in the project's folder.",
        ) from error
    except SyntaxError as error:
        raise Invalid(
            f"module {module!r} is no valid Python: {error}",
            code="bad-module",
            hint="Correct the line that the message names.",
        ) from error
    file = getattr(loaded, "__file__", None)
    own = (folder / module.replace(".", "/")).with_suffix(".py")
    if own.is_file() and file is not None and real_path(file) != real_path(str(own)):
        raise Conflict(
            f"module {module!r} is loaded already, from another place than this project",
            code="module-taken",
            hint="Rename the file, or run one project per process.",
        )
    return loaded


def _is_flow(value: object) -> bool:
    found = definition_of(value)
    return found is not None and found.kind == "flow"
