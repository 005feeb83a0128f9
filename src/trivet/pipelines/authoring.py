"""The words a pipeline is written in: step, flow, map, effect, File, Data; `until` is in `looping`.

They leave functions what they are. Called outside a run, a step is its function; inside a run
(`ws.pipelines.run`, `trivet run`) each call of a step is looked up by the content of its code and
its arguments, and is run only when it is not known.
"""

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Annotated, Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from trivet.core.errors import Invalid
from trivet.data.naming import suggest
from trivet.pipelines.context import Definition, current, definition_of
from trivet.pipelines.inputs import DataMark, FileMark
from trivet.pipelines.workers.fanout import call_each

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

File = Annotated[str, FileMark()]
"""Annotates a flow's parameter that is a path: inside a run the file (or folder) is published as a
data set by its content, and the flow gets the path of exactly those bytes."""

Data = Annotated[Any, DataMark()]
"""Annotates a flow's parameter that is a data set, given by name (then its latest version), as
`Dataset`, or as a CSV or Parquet file. Inside a run the flow gets an `inputs.DataInput`: it speaks
Arrow (`polars.DataFrame(customers)`), and `customers["orders"]` is one of several tables.

A result of another flow is data, too: given `asset:features.table`, the flow gets that value in its
newest version; given `asset:features.table@3`, in the third.

Outside a run it gets whatever was passed: in a test, a frame."""

RESERVED = frozenset({"again", "asked_by", "on_event", "request"})
"""Names that no parameter of a flow may have: the run itself takes them."""

_OPTIONS = {
    "step": tuple(
        name for name in Definition.__struct_fields__ if name not in {"kind", "name", "function"}
    ),
    "effect": ("retries", "backoff_s", "timeout_s", "limits", "pickle"),
    "flow": ("pickle",),
}


@overload
def step(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def step(
    *,
    retries: int = 0,
    backoff_s: float = 0.05,
    timeout_s: float | None = None,
    version: str = "",
    depends: Iterable[object] = (),
    where: Literal["here", "pool"] = "here",
    cpus: int = 1,
    gpus: int = 0,
    memory_mib: int | None = None,
    env: str | None = None,
    limits: Mapping[str, int] = ...,
    pickle: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function to be a step: a piece of work whose result is kept by content.

    The result is kept under the content of the arguments and of all code the function can reach
    (see `core.fingerprints` for what that covers and what it cannot see). It must be something
    that can be stored, without pickle unless you consent to it: see `values`. What the step logs
    belongs to the run that made the result; a run that remembers it has no such series.

    Args:
        function: The function; its signature stays as it is.
        retries: How often it is tried again after an error.
        backoff_s: The pause before the first retry; it doubles from one to the next, with jitter.
        timeout_s: After so many seconds the step fails (code `step-timeout`). In a thread other
            than the main one, and inside native code, only once the call returns; a step in the
            pool is ended whatever it does.
        version: Any text; change it to have the step run again.
        depends: What it depends on without naming it: functions, classes, modules, values, or
            paths of files and folders, which count by their content, and relative ones from the
            project's folder.
        limits: Concurrency limits by name: `{"warehouse": 2}` lets at most two steps with this
            limit run at once, over all runs and processes of the project; others wait.
        where: `here`, in the process that runs the flow, or `pool`, in a warm process beside it:
            there `map` runs several at once, and a crash fails the step alone.
        cpus: How many processors it keeps busy; as many steps run at once as there are. In the
            pool only, like the four that follow.
        gpus: How many graphics processors it gets for itself; the others are hidden from it.
        memory_mib: It is ended (code `worker-memory`) when it takes more than so many MiB.
        env: A file of the project with the packages it needs (requirements with exact versions,
            or a `pylock.toml`): it runs in an environment of its own, made once by `uv`.
        pickle: Whether what it returns and takes may be pickled where nothing else fits, and
            unpickled again, which runs what is in the bytes. It shows in the lineage, and the
            standard gate refuses a model whose run holds such a value.
        **options: These, in the signature that type checkers see.

    Raises:
        Invalid: It is a coroutine or a generator, an option is out of range, or it is a step,
            an effect or a flow already.
    """
    return _declare("step", function, options)


@overload
def effect(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def effect(
    *,
    retries: int = 0,
    backoff_s: float = 0.05,
    timeout_s: float | None = None,
    limits: Mapping[str, int] = ...,
    pickle: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def effect(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function that acts on the world outside: it is performed in every run.

    Before it starts, the intention is recorded durably under a key; `current().effect_key` is
    that key, for whoever receives the effect to recognise a second attempt. When a run that was
    asked for once is tried again after a crash, an effect whose completion was recorded is not
    performed again; one that was begun and not recorded as done *is*, with the same key. So an
    effect happens at least once, and exactly once only if its receiver honours the key.

    Raises:
        Invalid: As `step`.
    """
    return _declare("effect", function, options)


@overload
def flow(function: F, /) -> F: ...


@overload
def flow(*, pickle: bool = False) -> Callable[[F], F]: ...


def flow(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function that calls steps to be a flow: what can be run, planned and triggered.

    Numbers in the mapping it returns become the run's metrics, all else its named outputs. It
    must do its work in steps: the flow's own lines are run each time.

    Args:
        function: The function; it stays what it is.
        **options: `pickle`: whether outputs that nothing else fits may be pickled, as for `step`.

    Raises:
        Invalid: It is a coroutine or a generator, declared already, or one of its parameters has
            a reserved name (`again`, `asked_by`, `on_event`, `request`).
    """
    if function is None:
        return functools.partial(flow, **options)
    _check_function("flow", function)
    _check_known("flow", function, options)
    taken = RESERVED & inspect.signature(function).parameters.keys()
    if taken:
        raise Invalid(
            f"flow {_name(function)!r} has a parameter {min(taken)!r}; the name is taken",
            code="reserved-name",
            hint="Give the parameter another name.",
        )
    definition = Definition(kind="flow", name=_name(function), function=function, **options)
    setattr(function, "__trivet__", definition)  # noqa: B010  # no attribute that types know
    return function


def map(
    function: Callable[Concatenate[T, P], R],
    items: Iterable[T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> list[R]:
    """Call a step once per item; each item's result is kept by itself.

    New items are run, known ones remembered. A plain function is treated as a step.

    Args:
        function: Takes an item and, behind it, what else is passed.
        items: The items, in the order of the results.
        args: Handed on with every item.
        kwargs: Handed on with every item.

    Calls of a step in the pool run side by side, as many as the machine has room for, and items
    are read as calls end; the first error cancels the other calls. Steps that run here are called
    one after another.
    """
    called = function if definition_of(function) else step(function)
    definition, caller = definition_of(called), current().caller
    if caller is not None and definition is not None and isinstance(items, Sized):
        caller.expect(definition, len(items))
    width = caller.width(definition) if caller is not None and definition is not None else 1
    if definition is None or (width == 1 and definition.where == "here"):
        return [called(item, *args, **kwargs) for item in items]
    return call_each(
        lambda item: called(item, *args, **kwargs), items, width=width, name=definition.name
    )


def _declare(
    kind: Literal["step", "effect"],
    function: Callable[..., object] | None,
    options: dict[str, Any],
) -> Callable[..., object]:
    if function is None:
        return functools.partial(_declare, kind, options=options)
    _check_function(kind, function)
    _check_known(kind, function, options)
    options = {
        **options,
        "depends": _depends_of(kind, function, options.get("depends", ())),
        "env": os.fspath(options.get("env") or ""),
    }
    definition = Definition(kind=kind, name=_name(function), function=function, **options)
    _check_place(definition)
    _check_options(definition)

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        caller = current().caller
        return (
            function(*args, **kwargs) if caller is None else caller.call(definition, args, kwargs)
        )

    call.__dict__["__trivet__"] = definition
    # What a step that calls this one depends on, too.
    call.__dict__["__depends__"] = (definition.version, *definition.depends)
    return call


def _depends_of(
    kind: str,
    function: Callable[..., object],
    named: Any,  # noqa: ANN401  # whatever a user wrote
) -> tuple[object, ...]:
    """Return what was named in `depends=`, several things: one alone would be taken apart."""
    if _is_several(named):
        return tuple(named)
    said = repr(named) if type(named) is not str else f"Path({named!r})"
    raise Invalid(
        f"{kind} {_name(function)!r} has depends={named!r}, a {type(named).__name__}; expected a "
        "list of what it depends on",
        code="bad-option",
        hint=f"Write depends=[{said}].",
    )


def _is_several(named: object) -> bool:
    return isinstance(named, Iterable) and not isinstance(named, str | bytes | Mapping | type)


def _check_place(definition: Definition) -> None:
    """Refuse options that say where a step runs and cannot be kept."""
    name, memory = definition.name, definition.memory_mib
    if definition.where not in {"here", "pool"}:
        raise Invalid(
            f"step {name!r} has where={definition.where!r}; expected 'here' or 'pool'",
            code="bad-option",
            hint="Write where='pool' to run it in a warm process beside the flow.",
        )
    wrong = [
        f"{option}={value!r}; expected {expected}"
        for option, value, expected, is_right in (
            ("cpus", definition.cpus, "a whole number of at least 1", _counts(definition.cpus, 1)),
            ("gpus", definition.gpus, "a whole number of at least 0", _counts(definition.gpus, 0)),
            ("memory_mib", memory, "None or MiB, at least 1", memory is None or _counts(memory, 1)),
        )
        if not is_right
    ]
    if wrong:
        raise Invalid(f"step {name!r} has {wrong[0]}", code="bad-option", hint="Correct it.")
    is_plain = (definition.cpus, definition.gpus, memory, definition.env) == (1, 0, None, "")
    if definition.where == "here" and not is_plain:
        raise Invalid(
            f"step {name!r} has cpus, gpus, memory_mib or env, and runs in the flow's own process; "
            "expected where='pool'",
            code="bad-option",
            hint="Write @step(where='pool', ...): only a process of its own can be given these.",
        )


def _counts(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _check_options(made: Definition) -> None:
    limit_s = made.timeout_s
    is_time = limit_s is None or (_is_number(limit_s) and limit_s > 0)
    is_pause = _is_number(made.backoff_s) and made.backoff_s >= 0
    if not (_counts(made.retries, 0) and is_pause and is_time):
        raise Invalid(
            f"{made.kind} {made.name!r} has retries={made.retries!r}, "
            f"backoff_s={made.backoff_s!r} and timeout_s={limit_s!r}; expected retries >= 0, "
            "backoff_s >= 0 and timeout_s > 0",
            code="bad-option",
            hint="Write numbers: retries is whole, the others are seconds.",
        )
    for name, at_once in made.limits.items():
        if not name or at_once < 1:
            raise Invalid(
                f"{made.kind} {made.name!r} has a limit {name!r} of {at_once}; expected a name and "
                "at least 1",
                code="bad-option",
                hint='For example limits={"warehouse": 2}.',
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_known(kind: str, function: Callable[..., object], options: Mapping[str, object]) -> None:
    """Refuse options that there are none of, before they are taken for something else."""
    known = _OPTIONS[kind]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise Invalid(
            f"{kind} {_name(function)!r} has an option {unknown[0]!r}, which there is not",
            code="bad-option",
            hint=suggest(unknown[0], known),
        )


def _check_function(kind: str, function: Callable[..., Any]) -> None:
    if not callable(function):
        raise Invalid(
            f"a {kind} is a {type(function).__name__}; expected a function",
            code="bad-step",
            hint=f"Write @{kind} above a function, or @{kind}(...) with its options by name.",
        )
    if definition_of(function):
        raise Invalid(
            f"{_name(function)!r} is declared twice",
            code="bad-step",
            hint="Write one of @step, @effect and @flow above a function.",
        )
    plain = inspect.unwrap(function)
    asynchronous = inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)
    if asynchronous or inspect.isgeneratorfunction(plain):
        raise Invalid(
            f"{kind} {_name(function)!r} is a coroutine or a generator; expected a plain function",
            code="bad-step",
            hint="Return a list or a frame; use threads inside the step if it must wait.",
        )


def _name(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
