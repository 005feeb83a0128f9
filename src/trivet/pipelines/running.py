"""A run under way: each call of a step is looked up by content, and made when it is not known.

A step's key covers its reachable code and the contents of its arguments, so the order of calls,
crashes in between and branches of the flow do not matter: what is known is not made again. Its
value is stored before it is handed on, and what the flow gets is always the *stored* value: a run
that remembers sees exactly what the run that made it saw.
"""

import inspect
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Literal

import msgspec

from trivet.core.errors import Invalid, NotFound, TrivetError
from trivet.core.fingerprint import Fingerprint
from trivet.core.ids import sha256_hex
from trivet.pipelines.attempts import call_with_retries
from trivet.pipelines.context import Context, Definition, current, entered
from trivet.pipelines.environments import environment_in, environment_of, with_environment
from trivet.pipelines.facts import EffectBegun, StepDone
from trivet.pipelines.memo import CallRecord, Known, Memo
from trivet.pipelines.remote import RemoteCall, RemoteSteps
from trivet.pipelines.sameness import fingerprint_of
from trivet.pipelines.values import Form, Values
from trivet.tracking.facts import Run


class StepEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in a run, for whoever shows its progress."""

    kind: Literal["started", "done", "remembered", "retried", "failed"]
    run: str
    step: str
    seconds: float = 0.0
    """Since the call began."""
    error: str = ""


OnEvent = Callable[[StepEvent], None]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a step as it is looked up."""

    definition: Definition
    key: str
    code: Fingerprint
    arguments: dict[str, str]
    """Content digests by parameter."""


class Keys:
    """Computes the keys of calls; each function's code is looked at once per run."""

    def __init__(self, values: Values, folder: Path) -> None:
        self._values = values
        self._folder = folder
        self._codes: dict[int, tuple[object, Fingerprint]] = {}

    def ask(
        self, definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Ask:
        """Compute the key of a call.

        Raises:
            Invalid: An argument has no content that could be known, or does not fit the function.
        """
        arguments = {
            name: self._values.digest(value, f"argument {name!r} of step {definition.name!r}")
            for name, value in bind(definition, args, kwargs).items()
        }
        code = self.code(definition)
        parts = [code.digest, definition.name, *(f"{n}={d}" for n, d in arguments.items())]
        key = sha256_hex(*(part.encode() for part in parts))
        return Ask(definition=definition, key=key, code=code, arguments=arguments)

    def code(self, definition: Definition) -> Fingerprint:
        """Return the fingerprint of a step's reachable code, and of its environment."""
        function = definition.function
        if id(function) not in self._codes:
            found = fingerprint_of(definition, self._values)
            environment = environment_of(definition, self._folder)
            self._codes[id(function)] = (function, with_environment(found, environment))
        return self._codes[id(function)][1]


class Recalled(msgspec.Struct, frozen=True):
    """A value that was kept, and where it came from."""

    known: Known
    value: object


def recall(memo: Memo, values: Values, key: str) -> Recalled | None:
    """Return what was kept under a key.

    None when nothing was, when its bytes were removed, or when nothing here reads its format any
    more: then it is made again.

    Raises:
        Corrupt: The bytes are not what was kept.
    """
    known = memo.find(key)
    form = memo.load(known.output) if known else None
    if known is None or form is None:
        return None
    try:
        return Recalled(known, values.load(form))
    except NotFound:
        return None


class RunUnderWay:
    """Answers the calls of steps in one run. Safe between threads.

    Args:
        run: The run, begun.
        request: What the keys of effects begin with: equal when a request is tried again.
        memo: What is known.
        values: How values are kept.
        log: Appends points to the run's series.
        remote: Makes the steps that run elsewhere.
        on_event: Told of each step's progress.
    """

    def __init__(
        self,
        run: Run,
        request: str,
        *,
        memo: Memo,
        values: Values,
        log: Callable[[Mapping[str, float], int], None],
        remote: RemoteSteps,
        on_event: OnEvent | None = None,
    ) -> None:
        self._failure: tuple[BaseException | None, str] = (None, "")
        self._run = run
        self._request = request
        self._memo = memo
        self._values = values
        self._keys = Keys(values, remote.folder)
        self._remote = remote
        self._log = log
        self._on_event = on_event
        self._effects: Counter[str] = Counter()
        self._lock = threading.Lock()

    def call(
        self, definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> object:
        """Return the value of one call of a step or effect.

        Raises:
            Invalid: An argument or the value cannot be stored, or an effect is called inside a
                step, which would leave it out once it is remembered.
        """
        began = monotonic()
        ask = self._keys.ask(definition, args, kwargs)
        if definition.kind == "effect":
            ask = self._effect(ask)
        found = recall(self._memo, self._values, ask.key)
        if found is None:
            return self._make(ask, args, kwargs, began)
        self._record(ask, "remembered", known=found.known, began=began)
        return found.value

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Append one point to each series of the run."""
        self._log(metrics, step)

    def width(self, definition: Definition) -> int:
        """Return how many calls of a step can be under way at once; 1: one after another."""
        return self._remote.width(definition)

    def step_that_failed(self, error: BaseException) -> str | None:
        """Return the step an error came from, None when it came from the flow's own lines."""
        return self._failure[1] if self._failure[0] is error else None

    def _make(
        self,
        ask: Ask,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        began: float,
    ) -> object:
        name = ask.definition.name
        is_effect = ask.definition.kind == "effect"
        if is_effect:
            self._memo.begin_effect(
                EffectBegun(run=self._run.id, flow=self._run.started.name, effect=name, key=ask.key)
            )
        self._tell("started", name)
        inside = Context(
            run=self._run.id,
            flow=self._run.started.name,
            step=name,
            effect_key=ask.key if is_effect else None,
            caller=self,
        )
        try:
            with entered(inside):
                form = self._form(
                    ask, args, kwargs, lambda error: self._tell("retried", name, began, error)
                )
        except BaseException as error:
            self._note_failure(error, name, began)
            raise
        output = self._memo.keep(name, form)
        self._record(ask, "run", known=Known("", output), began=began)
        return self._values.load(form)

    def _form(
        self,
        ask: Ask,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        on_retry: Callable[[Exception], None],
    ) -> Form:
        definition = ask.definition
        if definition.where == "here":
            value = call_with_retries(definition, args, kwargs, on_retry)
            return self._values.save(value, f"what {definition.kind} {definition.name!r} returned")
        call = RemoteCall(
            definition=definition,
            key=ask.key,
            code=ask.code,
            arguments=bind(definition, args, kwargs),
            digests=ask.arguments,
        )
        return self._remote.make(call, current(), on_retry)

    def _effect(self, ask: Ask) -> Ask:
        """Give an effect its own key: the request, what it does, and the how-manieth time."""
        if current().step is not None:
            raise Invalid(
                f"effect {ask.definition.name!r} is called inside step {current().step!r}; "
                "expected it in the flow",
                code="effect-in-step",
                hint="Call it from the flow: once the step is remembered, it would be left out.",
            )
        with self._lock:
            self._effects[ask.key] += 1
            number = self._effects[ask.key]
        parts = ("effect", self._request, ask.definition.name, str(number))
        digests = [f"{name}={digest}" for name, digest in ask.arguments.items()]
        key = sha256_hex(*(part.encode() for part in (*parts, *digests)))
        return msgspec.structs.replace(ask, key=key)

    def _record(
        self,
        ask: Ask,
        status: Literal["run", "remembered"],
        *,
        known: Known,
        began: float,
    ) -> None:
        seconds = monotonic() - began
        done = StepDone(
            run=self._run.id,
            flow=self._run.started.name,
            step=ask.definition.name,
            key=ask.key,
            code=ask.code.digest,
            status=status,
            seconds=seconds,
            output=known.output,
            environment=environment_in(ask.code),
        )
        parents = (self._run.id, known.step) if known.step else (self._run.id,)
        self._memo.record(
            CallRecord(done=done, parents=parents, parts=ask.code.parts, arguments=ask.arguments)
        )
        self._tell("done" if status == "run" else "remembered", done.step, began)

    def _note_failure(self, error: BaseException, name: str, began: float) -> None:
        is_called_off = isinstance(error, TrivetError) and error.code == "cancelled"
        if self._failure[0] is not error and not is_called_off:  # the innermost is where it was
            self._failure = (error, name)
            error.add_note(f"in step {name!r} of run {self._run.id}")
        self._tell("failed", name, began, error)

    def _tell(
        self,
        kind: Literal["started", "done", "remembered", "retried", "failed"],
        step: str,
        began: float | None = None,
        error: BaseException | None = None,
    ) -> None:
        if self._on_event is not None:
            self._on_event(
                StepEvent(
                    kind=kind,
                    run=self._run.id,
                    step=step,
                    seconds=monotonic() - began if began is not None else 0.0,
                    error=f"{type(error).__name__}: {error}" if error else "",
                )
            )


def bind(
    definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> dict[str, object]:
    """Return a call's arguments by parameter, defaults included.

    Raises:
        Invalid: They do not fit the function's signature.
    """
    signature = _signature(definition.function)
    if signature is None:
        return {"args": args, **kwargs}
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise Invalid(
            f"step {definition.name!r} cannot be called so: {error}",
            code="bad-call",
            hint=f"Its signature is {definition.name}{signature}.",
        ) from error
    bound.apply_defaults()
    return bound.arguments


def _signature(function: Callable[..., object]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):  # some built-in functions have none
        return None
