"""Steps that run outside the calling process: the run's side.

A call is packed, handed to the `Workers`, and its answer unpacked. Values that are large go
through the blobs, in both directions. Whether a step runs here or in a worker changes neither its
key nor its value.
"""

import contextvars
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, cast

import msgspec

from trivet.core.errors import Invalid, TrivetError, Unsupported
from trivet.core.fingerprints.fingerprint import Fingerprint
from trivet.core.fingerprints.modules import origin_of_module
from trivet.core.ports import Blobs
from trivet.core.work import Needs, Work, Workers
from trivet.pipelines.attempts import call_with_retries, too_late
from trivet.pipelines.context import Context, Definition
from trivet.pipelines.explaining.reads import NOTHING, Noticed
from trivet.pipelines.materialising.readers import reader_of
from trivet.pipelines.materialising.values import Contents, Form, Values
from trivet.pipelines.workers.crossing import rebuild
from trivet.pipelines.workers.environments import environment_of
from trivet.pipelines.workers.exchange import (
    Answer,
    Call,
    PackedForm,
    PackedValue,
    Packer,
    Point,
    name_of,
)
from trivet.pipelines.workers.fanout import held
from trivet.pipelines.workers.sameness import (
    digest_of_parts,
    loaded_code,
    modules_in,
    own_code,
    parts_that_differ,
)

_ENTRY = "trivet.pipelines.workers.worker:answer"
_ALWAYS_WARM = ("numpy", "polars", "pandas", "pyarrow", "scipy", "sklearn", "lightgbm", "torch")
_NEVER_WARM = {"grpc", "jax", "jaxlib", "ray", "tensorflow"}
"""Libraries that cannot be used in a fork of a process that has imported them."""
_KEPT_PACKED = 256

_decoder = msgspec.msgpack.Decoder(Answer)
_points = msgspec.msgpack.Decoder(Point)


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """Where steps may run besides the calling process."""

    workers: Workers
    opener: str
    """`module:function`, by which a worker opens its `exchange.Parts` of `place`."""
    place: str
    """Which workspace: its folder."""


class RemoteCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a step that is not known yet."""

    definition: Definition
    key: str
    code: Fingerprint
    arguments: Mapping[str, object]
    """The arguments by parameter, defaults included."""
    digests: Mapping[str, str]
    """Their contents' digests, by parameter."""


class Made(NamedTuple):
    """A step's value as it was made, and what was noticed meanwhile."""

    form: Form
    contents: Contents
    """By what it is known as an argument of another step."""
    memory_bytes: int | None = None
    """The peak of its process beyond what that began with."""
    noticed: Noticed = NOTHING
    """The files that it read."""
    warnings: tuple[str, ...] = ()
    """What else its key does not cover."""
    changed: tuple[str, ...] = ()
    """Arguments that it changed in place."""
    is_repeatable: bool = True
    """Whether a run that remembers it sees all that it did."""


class RemoteSteps:
    """Makes the steps of one run that are to run elsewhere. Safe between threads.

    Args:
        elsewhere: Where that is; None when there is nothing but this process.
        values: How values are kept.
        blobs: Where large ones are.
        folder: The project's folder.
        on_line: Receives what steps print, in a copy of the caller's context; it is printed here
            when None.
    """

    def __init__(
        self,
        elsewhere: Elsewhere | None,
        values: Values,
        blobs: Blobs,
        folder: Path,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self._packer = Packer(values, blobs)
        self._values = values
        self._blobs = blobs
        self.folder = folder
        self._on_line = on_line or _print
        self._packed: dict[str, PackedValue] = {}
        self._modules: tuple[str, ...] = ()

    def afresh(self) -> "RemoteSteps":
        """Return the same for another run."""
        return RemoteSteps(self._elsewhere, self._values, self._blobs, self.folder, self._on_line)

    def width(self, definition: Definition) -> int:
        """Return how many calls of a step can be under way at once; 1 for a step that runs here."""
        if definition.where == "here" or self._elsewhere is None:
            return 1
        return self._elsewhere.workers.width(self._needs(definition))

    def make(
        self, call: RemoteCall, inside: Context, on_retry: Callable[[Exception], None]
    ) -> Made:
        """Run a step elsewhere, again after an error as its options say; return its value.

        Raises:
            Unsupported: There is nowhere else.
            Invalid: The step, or an argument, cannot be handed to another process (the message
                says why), or a worker has other code than this process.
            Unavailable: The worker died (`worker-died`), took too much (`worker-memory`) or too
                long (`step-timeout`).
            BaseException: What the step raised.
        """
        if self._elsewhere is None:
            raise Unsupported(
                f"step {call.definition.name!r} has where='pool', and this service has no workers",
                code="no-workers",
                hint="Run it in a workspace: trivet.open(folder).pipelines.run(...).",
            )
        work = self._work(self._elsewhere, call, inside)

        def attempt() -> Made:
            return self._attempt(work, call, inside)

        # The time limit is the worker's to keep: it counts from when the work is begun.
        again = msgspec.structs.replace(call.definition, function=attempt, timeout_s=None)
        return cast("Made", call_with_retries(again, (), {}, on_retry))

    def _attempt(self, work: Work, call: RemoteCall, inside: Context) -> Made:
        name, limit_s = call.definition.name, call.definition.timeout_s
        try:
            answer = _decoder.decode(self._submit(work, inside))
        except TrivetError as error:
            if error.code == "work-timeout":
                raise too_late(limit_s or 0.0, name) from error
            raise
        if answer.failure is not None:
            raise rebuild(answer.failure, self._packer)
        if answer.value is None:
            theirs = answer.other_code or {}
            ours = own_code(call.code)
            if call.definition.env:
                ours = loaded_code(theirs, self._values)
            raise _other_code(name, parts_that_differ(ours, theirs))
        return Made(
            form=self._packer.unpack_form(answer.value),
            contents=answer.contents,
            memory_bytes=answer.memory_bytes,
            noticed=answer.noticed,
            warnings=answer.warnings,
        )

    def _submit(self, work: Work, inside: Context) -> bytes:
        assert self._elsewhere is not None  # noqa: S101  # `make` has looked
        around = contextvars.copy_context()

        def on_word(word: bytes) -> None:
            point = _points.decode(word)
            around.run(inside.log, point.metrics, step=point.step)

        ticket = self._elsewhere.workers.submit(
            work, on_line=lambda line: around.run(self._on_line, line), on_word=on_word
        )
        with held(ticket):
            return ticket.result()

    def _work(self, elsewhere: Elsewhere, call: RemoteCall, inside: Context) -> Work:
        definition = call.definition
        body = Call(
            function=name_of(definition.function, f"step {definition.name!r}"),
            arguments={
                name: self._pack(name, value, call) for name, value in call.arguments.items()
            },
            digests=dict(call.digests),
            code="" if definition.env else digest_of_parts(own_code(call.code)),
            loaded=loaded_code(own_code(call.code), self._values) if definition.env else {},
            modules=[] if definition.env else modules_in(call.code),
            opener=elsewhere.opener,
            place=elsewhere.place,
            run=inside.run,
            flow=inside.flow,
            step=definition.name,
        )
        return Work(
            entry=_ENTRY,
            body=msgspec.msgpack.encode(body),
            folder=str(Path.cwd()),
            key=f"{inside.run}:{call.key}",
            paths=_paths(has_environment=bool(definition.env)),
            warm=self._warm(elsewhere.opener),
            needs=self._needs(definition),
        )

    def _pack(self, name: str, value: object, call: RemoteCall) -> PackedValue:
        """Pack an argument; what went through the store once is not written a second time."""
        digest = call.digests.get(name, "")
        known = self._packed.get(digest)
        if known is not None:
            return known
        place = f"argument {name!r} of step {call.definition.name!r}"
        packed = self._packer.pack(value, place, reader_of(call.definition))
        if digest and any(isinstance(leaf, PackedForm) for leaf in packed.leaves):
            if len(self._packed) >= _KEPT_PACKED:
                self._packed.clear()
            self._packed[digest] = packed
        return packed

    def _warm(self, opener: str) -> tuple[str, ...]:
        """Return what workers are to have loaded; found out once per run."""
        if not self._modules:
            self._modules = _modules_to_warm(opener)
        return self._modules

    def _needs(self, definition: Definition) -> Needs:
        environment = environment_of(definition, self.folder)
        return Needs(
            cpus=definition.cpus,
            gpus=definition.gpus,
            memory_mib=definition.memory_mib,
            timeout_s=definition.timeout_s,
            environment=environment.path if environment else "",
            environment_digest=environment.digest if environment else "",
        )


def _paths(*, has_environment: bool) -> tuple[str, ...]:
    """Return where a worker looks for modules: all of ours, or but the user's own folders."""
    ours = [str(Path(path).absolute()) for path in sys.path]
    if not has_environment:
        return tuple(dict.fromkeys(ours))
    packages = {"site-packages", "dist-packages"}
    library = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return tuple(
        path
        for path in dict.fromkeys(ours)
        if packages.isdisjoint(Path(path).parts)
        and not path.startswith(library)
        and not path.endswith(".zip")  # the interpreter's own library
        and Path(path) != _SOURCE
    )


_SOURCE = Path(__file__).resolve().parents[2]
"""Where Trivet itself is imported from: an environment has it from elsewhere."""


def _modules_to_warm(opener: str) -> tuple[str, ...]:
    """Return what workers are to have loaded: what the user's modules use of installed packages."""
    used: set[str] = {name for name in _ALWAYS_WARM if name in sys.modules}
    for name, module in list(sys.modules.items()):
        if "." in name or origin_of_module(name) != "project":
            continue
        for value in list(vars(module).values()):
            is_module = isinstance(value, ModuleType)
            place = value.__name__ if is_module else getattr(value, "__module__", None)
            if isinstance(place, str) and place in sys.modules:
                used.add(place)
    warm = {name for name in used if origin_of_module(name) == "package"}
    warm = {name for name in warm if name.partition(".")[0] not in _NEVER_WARM}
    own = (_ENTRY.partition(":")[0], opener.partition(":")[0])
    return (*own, *sorted(warm))


def _other_code(name: str, differing: list[str]) -> Invalid:
    return Invalid(
        f"step {name!r} would not do the same in a worker: {', '.join(differing[:5])} "
        f"{'is' if len(differing) == 1 else 'are'} not the same there as in this process",
        code="other-code",
        hint="A worker imports the modules afresh. What this program changed after it imported "
        "them must reach the step as an argument; when a file was edited since, run again.",
        detail={"parts": differing},
    )


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # what a step prints is printed
