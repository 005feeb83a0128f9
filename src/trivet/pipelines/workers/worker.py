"""The worker's side of a step: the call is unpacked, the step is run, its value is packed.

A worker keeps the parts of a workspace open between calls. It answers only with the code that
the run computed the step's key from: what it has loaded is compared before a step is run.
"""

import contextlib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Generator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple, Never, cast

import msgspec

from trivet.core.errors import Conflict, Invalid
from trivet.core.fingerprints.stillness import Stillness
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
from trivet.pipelines.workers.sameness import digest_of_parts, loaded_code, own_code, watched_code

_decoder = msgspec.msgpack.Decoder(Call)
_checked: dict[tuple[str, str], "_Checked"] = {}
"""The code of functions that were called, by name and by what the run knows of it."""
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
        definition = _definition(call.function)
        other = _other_code(definition, call, parts)
        made = _make(definition, call, parts, tell) if other is None else Answer(other_code=other)
    except BaseException as error:  # noqa: BLE001  # a user's step: the run raises it again
        made = Answer(failure=describe(error, packer))
    if made.other_code is not None and _worked:  # no step can say so: it is raised out here
        raise Conflict("a step before this one changed a module", code="stale-worker")
    return msgspec.msgpack.encode(made)


def _make(
    definition: Definition, call: Call, parts: Parts, tell: Callable[[bytes], None]
) -> Answer:
    _worked.append(True)
    packer = Packer(parts.values, parts.blobs, lambda: parts.data)
    reader = reader_of(definition)
    arguments = {name: packer.unpack(packed, reader) for name, packed in call.arguments.items()}
    depends_on = (*arguments.values(), *definition.depends)
    memory = MemoryUse()
    inside = Context(run=call.run, flow=call.flow, step=call.step, caller=_Inside(tell))
    with entered(inside), watch_reads(Path(call.place)) as reads, _forks_end_here():
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


class _Checked(NamedTuple):
    """Code that was found to be the run's."""

    digest: str
    """Of the parts that are the user's own."""
    stillness: Stillness
    """Says whether a step has changed since what the digest covers."""


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
    """Return the parts of this process's code when it is not, or no longer, the run's."""
    key = (call.function, call.code or digest_of_parts(call.loaded))
    known = _checked.get(key)
    if known is not None and known.stillness.lasts():
        return None
    for name in call.modules:
        with contextlib.suppress(Exception):  # then the codes differ, and that is said
            importlib.import_module(name)
    code, stillness = watched_code(definition, parts.values, Path(call.place))
    own = own_code(code)
    digest = digest_of_parts(own)
    if call.code:
        is_same, theirs = digest == call.code, own
    else:
        theirs = loaded_code(call.loaded, parts.values)
        is_same = theirs == {name: call.loaded[name] for name in theirs}
        is_same = is_same and (known is None or digest == known.digest)
    if not is_same:
        return theirs
    _checked[key] = _Checked(digest, stillness)
    return None


@contextlib.contextmanager
def _forks_end_here() -> Generator[None]:
    """End, on leaving, whatever was forked inside: no other process answers for this one.

    Nor does one write to the stores that it has open.
    """
    own = os.getpid()
    try:
        yield
    except BaseException as error:
        if os.getpid() != own:
            _end_fork(error)
        raise
    if os.getpid() != own:
        _end_fork(None)


def _end_fork(error: BaseException | None) -> Never:
    code = 0 if error is None else 1
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        code = error.code or 0
    elif error is not None:
        traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError, AttributeError):
            stream.flush()
    os._exit(code & 0xFF)


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
