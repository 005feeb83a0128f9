"""A run under way: each call of a step is looked up by content, and made when it is not known.

A step's key covers its reachable code and the contents of its arguments, so the order of calls,
crashes in between and branches of the flow do not matter: what is known is not made again. Its
value is recorded before it is handed on, and what the flow gets is always the *recorded* value: a
run that remembers sees exactly what the run that made it saw.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Literal

import msgspec

from trivet.core.errors import Conflict, Invalid, TrivetError
from trivet.core.facts import TaskMove
from trivet.core.ids import sha256_hex
from trivet.pipelines.attempts import call_with_retries
from trivet.pipelines.context import Context, Definition, current, entered
from trivet.pipelines.explaining.changes import (
    OldValues,
    changed_arguments,
    holds,
    warnings_about_changes,
)
from trivet.pipelines.explaining.reads import watch_reads
from trivet.pipelines.explaining.reads_of_runs import RunReads
from trivet.pipelines.facts import EffectBegun, StepDone, StepFailed
from trivet.pipelines.failures import add_note, words_of
from trivet.pipelines.keys import Ask, Keys, Recalled, bind, recall
from trivet.pipelines.limits import Limits
from trivet.pipelines.logs.masking import without_secrets
from trivet.pipelines.materialising.readers import reader_of
from trivet.pipelines.materialising.values import Values
from trivet.pipelines.memo import Gathered, Kept, Known, Memo, is_made_elsewhere
from trivet.pipelines.memory import MemoryUse
from trivet.pipelines.workers.environments import environment_in
from trivet.pipelines.workers.remote import Made, RemoteCall, RemoteSteps
from trivet.tracking.facts import Run

_GATHERED = 200
_GATHERED_S = 0.2
_ERROR_CHARACTERS = 2000


class StepEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in a run, for whoever shows its progress."""

    kind: Literal["started", "done", "remembered", "retried", "failed", "warned", "map", "line"]
    """`warned`: something that the step's key does not cover, in `text`; told once a run. `map`: as
    many calls as `total` says will follow. `line`: it wrote the line `text`."""
    run: str
    step: str
    """Empty for what is the flow's own: a line that it wrote, a file that it read."""
    seconds: float = 0.0
    """Since the call began; of one that was remembered, how long making it took."""
    error: str = ""
    text: str = ""
    total: int = 0
    memory_bytes: int | None = None
    """Of one that was made: its peak of memory beyond what the process began with."""


OnEvent = Callable[[StepEvent], None]


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """By what right a run writes: its hold on its task, and the name of what was asked for."""

    request: str
    """What the keys of effects begin with: equal when a request is tried again."""
    hold: TaskMove | None = None
    """Goes with every commit: whoever lost the task writes nothing more. None: nobody can take
    it."""


class Means(msgspec.Struct, frozen=True):
    """What runs of a project work with: what is known, values, limits, workers."""

    memo: Memo
    values: Values
    limits: Limits
    remote: RemoteSteps


class RunUnderWay:
    """Answers the calls of steps in one run. Safe between threads.

    Args:
        run: The run, begun.
        right: By what right it writes.
        means: What it works with.
        log: Appends points to the run's series.
        on_event: Told of each step's progress.
        again: Names of steps that are made although they are known.
    """

    def __init__(
        self,
        run: Run,
        right: Right,
        *,
        means: Means,
        log: Callable[[Mapping[str, float], int], None],
        on_event: OnEvent | None = None,
        again: Collection[str] = (),
    ) -> None:
        self._failure: tuple[BaseException | None, str] = (None, "")
        self._run = run
        self._right = right
        self._memo = means.memo
        self._values = means.values
        self._limits = means.limits
        self._keys = Keys(means.values, means.remote.folder)
        self._remote = means.remote.afresh()
        self._reads = RunReads(means.remote.folder)
        self._log = log
        self._on_event = on_event
        self._again = frozenset(again)
        self._effects: Counter[str] = Counter()
        self._warned: set[str] = set()
        self._makers: dict[str, str] = {}
        self._old = OldValues()
        self._gathered: list[Gathered] = []
        self._gathered_since = 0.0
        self._lock = threading.Lock()

    def call(
        self, definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> object:
        """Return the value of one call of a step or effect.

        Raises:
            Invalid: An argument or the value cannot be stored, or an effect is called inside a
                step, which would leave it out once it is remembered.
            Conflict: The run is somebody else's by now (code `fenced`), or an effect was done for
                this request and what it returned is lost (`effect-done`).
        """
        began = monotonic()
        ask = self._keys.ask(definition, args, kwargs)
        self._old.refuse(ask.bound, "argument", definition)
        if definition.kind == "effect":
            ask = self._effect(ask)
        self._warn(definition.name, (limit.text for limit in ask.code.limits))
        self._reads.call(definition, ask.depends_on)
        known = self._memo.find(ask.key)
        if definition.name not in self._again:
            found = recall(self._memo, self._values, known, definition)
            if found is not None:
                return self._remember(ask, found, began)
            if known is not None and definition.kind == "effect":
                raise _done_and_unreadable(definition.name)
        return self._make(ask, args, kwargs, began, known)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Append one point to each series of the run."""
        self._log(metrics, step)

    def expect(self, definition: Definition, total: int) -> None:
        """Hear that so many calls of a step will follow."""
        if self._on_event is not None:
            name = definition.name
            self._on_event(StepEvent(kind="map", run=self._run.id, step=name, total=total))

    def width(self, definition: Definition) -> int:
        """Return how many calls of a step can be under way at once; 1: one after another."""
        return self._remote.width(definition)

    @contextmanager
    def own_lines(self, given: Mapping[str, object]) -> Generator[None]:
        """Run the flow's own lines in a `with` block; tell of the files that only they know.

        Args:
            given: The flow's arguments.
        """
        with self._reads.watch_flow():
            yield
        self.warn(self._reads.of_flow(given.values()))

    def warn(self, texts: Iterable[str]) -> None:
        """Tell of what concerns the whole run, each once."""
        self._warn("", texts)

    def refuse_old(self, flow: Definition, results: Mapping[str, object]) -> None:
        """Refuse results of the flow of which a step has changed one in place and returned it.

        Raises:
            Invalid: There is such a value (code `old-value`).
        """
        self._old.refuse(results, "result", flow)

    def settle(self) -> None:
        """Record what was gathered. Call it before the run's end is recorded.

        Raises:
            Conflict: The run is somebody else's by now (code `fenced`).
        """
        gathered = self._take_gathered()
        if gathered:
            self._memo.record_others(gathered, self._right.hold)

    def step_that_failed(self, error: BaseException) -> str | None:
        """Return the step an error came from, None when it came from the flow's own lines."""
        return self._failure[1] if self._failure[0] is error else None

    # ------------------------------------------------------------ remembering

    def _remember(self, ask: Ask, found: Recalled, began: float) -> object:
        known = found.known.done
        # What it read when it was made may have changed since: say so again.
        self._warn(ask.definition.name, known.warnings)
        done = msgspec.structs.replace(
            self._done(ask, "remembered", Kept(known.output, None), began),
            content=known.content,
            items=known.items,
            saved_s=known.seconds,
            warnings=known.warnings,
            changed=known.changed,
        )
        self._old.add(ask.bound, known.changed, ask.definition.name)
        self._gather(done, (self._run.id, found.known.step))
        if known.content:
            self._makers[known.content] = found.known.step
        self._tell("remembered", done.step, seconds=known.seconds)
        return found.value

    def _gather(self, fact: StepDone | StepFailed, parents: Sequence[str]) -> None:
        """Put a fact aside that can be lost: it is recorded with its neighbours."""
        with self._lock:
            if not self._gathered:
                self._gathered_since = monotonic()
            self._gathered.append((fact, parents))
            is_due = (
                len(self._gathered) >= _GATHERED or monotonic() - self._gathered_since > _GATHERED_S
            )
        if is_due:
            self.settle()

    def _take_gathered(self) -> list[Gathered]:
        with self._lock:
            gathered, self._gathered = self._gathered, []
        return gathered

    # ----------------------------------------------------------------- making

    def _make(
        self,
        ask: Ask,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        began: float,
        known: Known | None,
    ) -> object:
        definition = ask.definition
        name = definition.name
        if definition.kind == "effect":
            self._begin_effect(ask)
        self._tell("started", name)
        inside = Context(
            run=self._run.id,
            flow=self._run.started.name,
            step=name,
            effect_key=ask.key if definition.kind == "effect" else None,
            caller=self,
        )
        try:
            slots = self._limits.within(definition.limits, lambda text: self._warn(name, (text,)))
            with entered(inside), slots:
                made = self._made(
                    ask, args, kwargs, lambda error: self._tell("retried", name, began, error)
                )
        except BaseException as error:
            self._note_failure(error, ask, began)
            raise
        read = self._reads.warnings(definition, ask.code.parts, ask.depends_on, made.noticed)
        warnings = (*read, *made.warnings)
        self._warn(name, warnings)
        kept = self._memo.keep(name, made.form)
        done = msgspec.structs.replace(
            self._done(ask, "run", kept, began),
            known_by=ask.key if made.is_repeatable else None,
            content=made.contents.digest,
            items=made.contents.items,
            memory_bytes=made.memory_bytes,
            warnings=warnings,
            changed=made.changed if made.is_repeatable else (),
        )
        try:
            self._record(ask, done, known)
        except Conflict as conflict:
            other = self._made_elsewhere(conflict, ask)
            return self._remember(ask, other, began)
        self._old.add(ask.bound, done.changed, name)
        self._tell("done", name, began, memory_bytes=done.memory_bytes)
        return self._values.load(made.form, reader_of(definition))

    def _made(
        self,
        ask: Ask,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        on_retry: Callable[[Exception], None],
    ) -> Made:
        """Run the function, here or elsewhere; return its value, stored or ready to be."""
        definition = ask.definition
        if definition.where == "pool":
            call = RemoteCall(
                definition=definition,
                key=ask.key,
                code=ask.code,
                arguments=bind(definition, args, kwargs),
                digests=ask.arguments,
            )
            return self._remote.make(call, current(), on_retry)
        memory = MemoryUse()
        with watch_reads(self._remote.folder) as reads:
            value = call_with_retries(definition, args, kwargs, on_retry)
        changed = changed_arguments(self._values, definition, ask.bound, ask.arguments)
        lost = tuple(name for name in changed if not holds(value, ask.bound[name]))
        place = f"what {definition.kind} {definition.name!r} returned"
        reader = reader_of(definition)
        return Made(
            form=self._values.save(value, place, reader),
            contents=self._values.contents(value, place, reader, of_result=True),
            memory_bytes=memory.grown_bytes(),
            noticed=reads.noticed(ask.depends_on),
            warnings=warnings_about_changes(lost, definition),
            changed=changed,
            is_repeatable=not lost or definition.kind == "effect",
        )

    def _record(self, ask: Ask, done: StepDone, known: Known | None) -> None:
        sources = (self._makers.get(digest) for digest in ask.arguments.values())
        parents = dict.fromkeys([self._run.id, *(step for step in sources if step)])
        before = self._take_gathered()
        try:
            self._makers[done.content] = self._memo.record_made(
                done,
                parents=tuple(parents),
                parts=ask.code.parts,
                lost=known.step if known else None,
                before=before,
                hold=self._right.hold,
            )
        except Conflict:
            with self._lock:
                self._gathered[:0] = before
            raise

    def _made_elsewhere(self, conflict: Conflict, ask: Ask) -> Recalled:
        """Return the result that another process has recorded first; ours is dropped."""
        if not is_made_elsewhere(conflict):
            raise conflict
        known = self._memo.find(ask.key)
        found = recall(self._memo, self._values, known, ask.definition)
        if found is None:
            raise conflict
        return found

    def _begin_effect(self, ask: Ask) -> None:
        self.settle()
        name = ask.definition.name
        if self._right.request != self._run.id and self._memo.was_begun(ask.key):
            before = f"effect {name!r} was begun before and is not known to be done"
            self._warn(name, [f"{before}: it is done again, under the same effect_key"])
        begun = EffectBegun(
            run=self._run.id,
            flow=self._run.started.name,
            effect=name,
            key=ask.key,
        )
        self._memo.begin_effect(begun, self._right.hold)

    def _effect(self, ask: Ask) -> Ask:
        """Give an effect its own key: the request, what it does, and the how-manieth time."""
        if current().step is not None:
            raise Invalid(
                f"effect {ask.definition.name!r} is called inside step {current().step!r}; "
                "expected it in the flow",
                code="effect-in-step",
                hint="Call it from the flow: once the step is remembered, it would be left out.",
            )
        made_of = ask.definition.function
        whose = (str(getattr(made_of, name, "")) for name in ("__module__", "__qualname__"))
        digests = (f"{name}={digest}" for name, digest in ask.arguments.items())
        act = sha256_hex(*(part.encode() for part in (*whose, ask.definition.name, *digests)))
        with self._lock:
            self._effects[act] += 1
            number = self._effects[act]
        parts = ("effect", self._right.request, act, str(number))
        key = sha256_hex(*(part.encode() for part in parts))
        return msgspec.structs.replace(ask, key=key)

    def _done(
        self,
        ask: Ask,
        status: Literal["run", "remembered"],
        kept: Kept,
        began: float,
    ) -> StepDone:
        flow, step = self._run.started.name, ask.definition.name
        return StepDone(
            run=self._run.id,
            flow=flow,
            step=step,
            place=f"{flow}.{step}",
            key=ask.key,
            code=ask.code.digest,
            status=status,
            seconds=monotonic() - began,
            environment=environment_in(ask.code),
            output=kept.output,
            files=kept.files,
            arguments=ask.arguments,
            takes=ask.takes,
            shown=ask.shown,
        )

    def _warn(self, step: str, texts: Iterable[str]) -> None:
        """Tell of what a key does not cover, each once a run."""
        for text in texts:
            with self._lock:
                is_new = text not in self._warned
                self._warned.add(text)
            if is_new and self._on_event is not None:
                self._on_event(StepEvent(kind="warned", run=self._run.id, step=step, text=text))

    def _note_failure(self, error: BaseException, ask: Ask, began: float) -> None:
        name = ask.definition.name
        is_called_off = isinstance(error, TrivetError) and error.code == "cancelled"
        if self._failure[0] is not error and not is_called_off:  # the innermost is where it was
            self._failure = (error, name)
            add_note(error, f"in step {name!r} of run {self._run.id}")
            failed = StepFailed(
                run=self._run.id,
                flow=self._run.started.name,
                step=name,
                place=f"{self._run.started.name}.{name}",
                key=ask.key,
                seconds=monotonic() - began,
                error=without_secrets(words_of(error))[:_ERROR_CHARACTERS],
                arguments=ask.arguments,
                takes=ask.takes,
                shown=ask.shown,
            )
            with suppress(TrivetError):  # the user's error is the one to raise
                self._gather(failed, (self._run.id,))
        self._tell("failed", name, began, error)

    def _tell(
        self,
        kind: Literal["started", "done", "remembered", "retried", "failed"],
        step: str,
        began: float | None = None,
        error: BaseException | None = None,
        *,
        seconds: float = 0.0,
        memory_bytes: int | None = None,
    ) -> None:
        if self._on_event is not None:
            self._on_event(
                StepEvent(
                    kind=kind,
                    run=self._run.id,
                    step=step,
                    seconds=monotonic() - began if began is not None else seconds,
                    error=without_secrets(words_of(error)) if error else "",
                    memory_bytes=memory_bytes,
                )
            )


def _done_and_unreadable(name: str) -> Conflict:
    return Conflict(
        f"effect {name!r} was done for this request, and what it returned cannot be read any more",
        code="effect-done",
        hint=f"It is not done twice unasked: name it (`--again {name}`) to have it done once more.",
    )
