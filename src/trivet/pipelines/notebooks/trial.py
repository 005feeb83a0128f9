"""The program that runs a notebook, or the flow made of it, and says what values it came to.

A process of its own: a user's code runs in it, in the notebook's folder. It reads a request from
the file that its first argument names, and writes the answer beside it. Between the steps of the
flow every value is stored and read back, as in a run that remembers: what only worked because two
steps shared an object comes out different.
"""

import hashlib
import importlib
import linecache
import os
import random
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from trivet.core.errors import TrivetError
from trivet.core.fingerprints.modules import label_of_module
from trivet.core.trees import Content
from trivet.pipelines.context import Context, Definition, entered
from trivet.pipelines.failures import describe_failure
from trivet.pipelines.materialisers import Materialiser, digest_files
from trivet.pipelines.materialising.values import Values
from trivet.pipelines.notebooks.sharing import shared_objects

TRIAL_MODULE = "trivet_trial_module"
"""The name under which the module that is tried is imported."""


class Look(msgspec.Struct, frozen=True):
    """A value as it was seen: its content, or its type where it has none that could be stored."""

    digest: str
    """Empty when the value cannot be stored."""
    type: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to run."""

    folder: str
    """The notebook's folder: where it runs, and where it imports from first."""
    places: tuple[str, ...] = ()
    """Further folders to import from."""
    materialisers: str = ""
    """`module:function` that returns further materialisers."""
    units: tuple[tuple[int, str], ...] = ()
    """The notebook: cell numbers and sources."""
    looks: dict[int, tuple[str, ...]] = {}
    """By unit: the names whose values are looked at behind it."""
    flow: str = ""
    """`module:function`; empty when the notebook is to be run."""
    arguments: dict[str, Any] = {}
    steps: dict[str, tuple[str, ...]] = {}
    """The names of each step's outputs."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Where it went wrong."""

    place: str
    """`cell 3`, `step clean`, or `the flow`."""
    error: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    looks: dict[str, dict[str, Look]]
    """By unit or step: name to value."""
    drawn: dict[int, tuple[str, ...]] = {}
    """Cells that drew random numbers, and from which library's generator."""
    same: dict[int, tuple[tuple[str, str], ...]] = {}
    """By unit: names that share an object."""
    failure: Failure | None = None


class Keeper:
    """Stores values as a run does, and reads them back."""

    def __init__(self, materialisers: Sequence[Materialiser]) -> None:
        self._values = Values(materialisers)

    def look(self, value: object) -> Look:
        """Describe a value."""
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        for place in ("builtins", "__main__", TRIAL_MODULE):
            kind = kind.removeprefix(f"{place}.")
        try:
            form = self._values.save(value, "a value")
            contents = {path: _without_place(_read(data)) for path, data in form.files.items()}
        except Exception:  # noqa: BLE001  # a library's own trouble: then it is no value to store
            return Look("", kind)
        return Look(digest_files({"format": form.format.encode(), **contents}), kind)

    def copy(self, value: object) -> object:
        """Return the value as it comes back from the store; itself when it cannot be stored."""
        try:
            return self._values.load(self._values.save(value, "a value"))
        except Exception:  # noqa: BLE001  # as above
            return value


def _read(content: Content) -> bytes:
    if isinstance(content, bytes):
        return content
    with content.open() as stream:
        return stream.read()


def _without_place(content: bytes) -> bytes:
    """Leave out where a class of the notebook is defined: in a cell here, in a module there."""
    for place in {label_of_module("__main__"), "__main__", TRIAL_MODULE}:
        content = content.replace(f'"{place}:'.encode(), b'"notebook:')
    return content


class Stage:
    """Answers the calls of steps: each gets copies and leaves copies.

    Args:
        request: What is run.
        keeper: Stores and restores.
    """

    def __init__(self, request: Request, keeper: Keeper) -> None:
        self._request = request
        self._keeper = keeper
        self.looks: dict[str, dict[str, Look]] = {}
        self.at = "the flow"

    def call(
        self, definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> object:
        """Call a step between copies."""
        copied = tuple(map(self._keeper.copy, args))
        self.at = f"step {definition.name}"
        value = definition.function(*copied, **kwargs)
        names = self._request.steps[definition.name]
        values = (value,) if len(names) == 1 else tuple(cast("tuple[object, ...]", value or ()))
        pairs = zip(names, values, strict=True)
        self.looks[definition.name] = {name: self._keeper.look(item) for name, item in pairs}
        self.at = "the flow"
        kept = tuple(map(self._keeper.copy, values))
        return kept[0] if len(names) == 1 else kept

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Metrics of a trial go nowhere."""

    def expect(self, definition: Definition, total: int) -> None:
        """Expect nothing: a trial shows no progress."""

    def width(self, definition: Definition) -> int:
        """Return 1: a trial runs one step after another."""
        del definition
        return 1


def run_notebook(request: Request, keeper: Keeper) -> Answer:
    """Run the units in one namespace, and look at names behind them."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    names = module.__dict__
    names["display"] = print
    looks: dict[str, dict[str, Look]] = {}
    drawn: dict[int, tuple[str, ...]] = {}
    same: dict[int, tuple[tuple[str, str], ...]] = {}
    for number, (cell, source) in enumerate(request.units):
        before = _random_states()
        file = f"<cell {cell}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        try:
            exec(compile(source, file, "exec", dont_inherit=True), names)  # noqa: S102  # the user's own notebook
        except BaseException as error:  # noqa: BLE001  # whatever the user's code raises
            failure = Failure(place=f"cell {cell}", error=_said(error, request))
            return Answer(looks=looks, drawn=drawn, failure=failure)
        after = _random_states()
        changed = {name for name in after if before.get(name, after[name]) != after[name]}
        drawn[cell] = tuple(sorted({*drawn.get(cell, ()), *changed}))
        seen = {n: names[n] for n in request.looks.get(number, ()) if n in names}
        looks[str(number)] = {name: keeper.look(value) for name, value in seen.items()}
        same[number] = tuple(sorted(shared_objects(seen)))
    return Answer(looks=looks, drawn=drawn, same=same)


def run_flow(request: Request, keeper: Keeper) -> Answer:
    """Call the flow, its steps on copies of their arguments."""
    stage = Stage(request, keeper)
    module, _, function = request.flow.partition(":")
    try:
        flow = cast("Callable[..., object]", getattr(importlib.import_module(module), function))
        with entered(Context(run="trial", flow=function, caller=stage)):
            flow(**request.arguments)
    except BaseException as error:  # noqa: BLE001  # whatever the user's code raises
        failure = Failure(place=stage.at, error=_said(error, request))
        return Answer(looks=stage.looks, failure=failure)
    return Answer(looks=stage.looks)


def main(file: str) -> None:
    """Do what the request in a file says, and write the answer beside it."""
    path = Path(file)
    request = msgspec.json.decode(path.read_bytes(), type=Request)
    os.chdir(request.folder)
    sys.path[:0] = [request.folder, *request.places]
    sys.dont_write_bytecode = True
    module, _, function = request.materialisers.partition(":")
    own = getattr(importlib.import_module(module), function)() if module else ()
    keeper = Keeper(tuple(own))
    answer = run_flow(request, keeper) if request.flow else run_notebook(request, keeper)
    path.with_suffix(".answer").write_bytes(msgspec.json.encode(answer))


def _said(error: BaseException, request: Request) -> str:
    if isinstance(error, TrivetError):
        return f"{type(error).__name__}: {error}"
    return describe_failure(error, None, Path(request.folder)).removeprefix("the flow: ")


def _random_states() -> dict[str, str]:
    """Digest the state of each library's own generator, of those that are loaded."""
    states = {"random": repr(random.getstate())}
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and "numpy.random" in sys.modules:
        kind, keys, *rest = numpy.random.get_state()
        states["numpy"] = repr((kind, keys.tobytes(), rest))
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = repr(torch.get_rng_state().numpy().tobytes())
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in states.items()}


if __name__ == "__main__":
    main(sys.argv[1])
