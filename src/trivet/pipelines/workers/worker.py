"""The worker's side of a step: the call is unpacked, the step is run, its value is packed.

A worker keeps the parts of a workspace open between calls. It answers only with the code that
the run computed the step's key from: what it has loaded is compared before a step is run.
"""

import contextlib
import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import cast

import msgspec

from trivet.core.errors import Conflict, Invalid
from trivet.pipelines.attempts import call_with_retries
from trivet.pipelines.context import Context, Definition, current, definition_of, entered
from trivet.pipelines.explaining.changes import changed_arguments, warnings_about_changes
from trivet.pipelines.explaining.reads import watch_reads
from trivet.pipelines.materialising.readers import reader_of
from trivet.pipelines.memory import MemoryUse
from trivet.pipelines.workers.crossing import describe
from trivet.pipelines.workers.exchange import (
    Answer,
    Call,
    Opener,
    Packer,
    Parts,
    Point,
    find,
)
from trivet.pipelines.workers.sameness import digest_of_parts, fingerprint_of, loaded_code, own_code

_decoder = msgspec.msgpack.Decoder(Call)
_checked: set[tuple[str, str]] = set()
_worked: list[bool] = []
"""Whether this process has run a step, which may have left something behind in a module."""


def answer(body: bytes, tell: Callable[[bytes], None]) -> bytes:
    """Make a step: the entry that is given to `Workers`.

    Args:
        body: An `exchange.Call`.
        tell: Takes what the step logs.

    Returns:
        An `exchange.Answer`; what the step raises is one, too.
    """
    call = _decoder.decode(body)
    parts = _open(call.opener, call.place)
    packer = Packer(parts.values, parts.blobs, lambda: parts.data)
    try:
        made = _make(call, parts, packer, tell)
    except Conflict as error:
        if error.code == "stale-worker":
            raise
        made = Answer(failure=describe(error, packer))
    except BaseException as error:  # noqa: BLE001  # a user's step: the run raises it again
        made = Answer(failure=describe(error, packer))
    return msgspec.msgpack.encode(made)


def _make(call: Call, parts: Parts, packer: Packer, tell: Callable[[bytes], None]) -> Answer:
    definition = _definition(call.function)
    other = _other_code(definition, call, parts)
    if other is not None and _worked:
        raise Conflict("a step before this one changed a module", code="stale-worker")
    if other is not None:
        return Answer(other_code=other)
    _worked.append(True)
    reader = reader_of(definition)
    arguments = {name: packer.unpack(packed, reader) for name, packed in call.arguments.items()}
    depends_on = (*arguments.values(), *definition.depends)
    memory = MemoryUse()
    inside = Context(run=call.run, flow=call.flow, step=call.step, caller=_Inside(tell))
    with entered(inside), watch_reads(Path(call.place)) as reads:
        value = _call(definition.function, arguments)
    place = f"what step {call.step!r} returned"
    return Answer(
        value=packer.pack_form(parts.values.save(value, place, reader)),
        contents=parts.values.contents(value, place, reader, of_result=True),
        memory_bytes=memory.grown_bytes(),
        noticed=reads.noticed(depends_on),
        warnings=_warnings_about_changes(call, parts, definition, arguments),
    )


def _warnings_about_changes(
    call: Call, parts: Parts, definition: Definition, arguments: Mapping[str, object]
) -> tuple[str, ...]:
    if definition.env:  # in other packages, the same value may have another digest
        return ()
    changed = changed_arguments(parts.values, definition, arguments, call.digests)
    return warnings_about_changes(changed, definition)


@cache
def _open(opener: str, place: str) -> Parts:
    return cast("Opener", find(opener))(place)


def _definition(name: str) -> Definition:
    found = find(name)
    definition = definition_of(found)
    if definition is None:
        raise Invalid(
            f"{name!r} is no step in the worker",
            code="no-step",
            hint="The file was edited while the run was under way; run again.",
        )
    return definition


def _other_code(definition: Definition, call: Call, parts: Parts) -> dict[str, str] | None:
    """Return the parts of this process's code when it is not the run's."""
    if not call.code:
        loaded = loaded_code(call.loaded, parts.values)
        is_same = loaded == {name: call.loaded[name] for name in loaded}
        return None if is_same else loaded
    if (call.function, call.code) in _checked:
        return None
    for name in call.modules:
        with contextlib.suppress(Exception):  # then the codes differ, and that is said
            importlib.import_module(name)
    own = own_code(fingerprint_of(definition, parts.values))
    if digest_of_parts(own) != call.code:
        return own
    _checked.add((call.function, call.code))
    return None


def _call(function: Callable[..., object], arguments: dict[str, object]) -> object:
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # some built-in functions have none
        positional = cast("tuple[object, ...]", arguments.pop("args", ()))
        return function(*positional, **arguments)
    bound = inspect.BoundArguments(signature, arguments)
    return function(*bound.args, **bound.kwargs)


class _Inside:
    """Answers, in a worker, what a step asks of its run."""

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        self._tell = tell

    def call(
        self, definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> object:
        """Run a step that is called inside this one: part of it, and not kept by itself."""
        if definition.kind == "effect":
            raise Invalid(
                f"effect {definition.name!r} is called inside step {current().step!r}; "
                "expected it in the flow",
                code="effect-in-step",
                hint="Call it from the flow: once the step is remembered, it would be left out.",
            )
        return call_with_retries(definition, args, kwargs, lambda _: None)

    def expect(self, definition: Definition, total: int) -> None:
        """Expect nothing: calls inside a step are part of it."""

    def width(self, definition: Definition) -> int:
        """Return 1: inside a step, steps are called one after another."""
        del definition
        return 1

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Send figures to the run."""
        self._tell(msgspec.msgpack.encode(Point({k: float(v) for k, v in metrics.items()}, step)))
