"""What training libraries and machines tell about a run: the ports between them and `tracking`.

An adapter of a library gets a `Reporter` and tells it what happens; one of a machine is a `Meter`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, Protocol

import msgspec

_log = logging.getLogger("trivet.tracking")
_Given = ParamSpec("_Given")


def harmless(told: Callable[_Given, None]) -> Callable[_Given, None]:
    """Let nothing that goes wrong in telling reach a training; say it once per process.

    For whatever a library calls in the middle of its work.
    """
    said: list[str] = []

    @wraps(told)
    def tell(*args: _Given.args, **kwargs: _Given.kwargs) -> None:
        try:
            told(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # a training goes on whatever happens here
            if not said:
                said.append(repr(error))
                _log.warning("%s: could not be recorded: %r", told.__qualname__, error)

    return tell


class Reporter(Protocol):
    """A run that somebody reports to while it goes."""

    @property
    def id(self) -> str:
        """The run."""
        ...

    def log(
        self, metrics: Mapping[str, object], /, *, step: int | None = None, **more: object
    ) -> None:
        """Log one value of each metric; one step more than in the last call when None."""
        ...

    def set_parameters(self, parameters: Mapping[str, object], /, **more: object) -> None:
        """Record parameters, as text."""
        ...

    def set_tags(self, tags: Mapping[str, object], /, **more: object) -> None:
        """Record tags, as text."""
        ...

    def table(self, key: str, rows: object, *, step: int | None = None) -> object:
        """Keep a table: columns by name, or a sequence of rows that are mappings."""
        ...

    def finish(self, status: Any = "succeeded") -> None:
        """End the run, or this program's part in it. A second call does nothing."""
        ...


class Call(msgspec.Struct, kw_only=True):
    """One call of a library's function under watch; whoever watches may change the arguments."""

    owner: Any
    """The object whose method it is; None for a function."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    is_inner: bool = False
    """Whether it takes place within a watched call of the same library, which said the rest."""

    def argument(self, position: int, name: str) -> Any:
        """Return an argument however it was passed, None when it was not."""
        if len(self.args) > position:
            return self.args[position]
        return self.kwargs.get(name)

    def add(self, position: int, name: str, item: object) -> None:
        """Add an item to an argument that is a list, however it was passed, if it was at all."""
        items = [*(self.argument(position, name) or ()), item]
        if len(self.args) > position:
            self.args = (*self.args[:position], items, *self.args[position + 1 :])
        else:
            self.kwargs[name] = items


Finished = Callable[[Any], None]
"""Given what the call returned, tells the rest of it."""
Observe = Callable[[Reporter, Call], Finished | None]
"""Tells what is known before a call. Whatever it raises is logged, and never reaches the caller."""


class Watch(Protocol):
    """Puts observers around a library's functions, and takes them away again."""

    def function(
        self, place: str, observe: Observe, *, also: Sequence[str] = (), inner: str = ""
    ) -> None:
        """Watch a function.

        Args:
            place: Where it is defined: `module:name`.
            observe: Tells about a call.
            also: Other modules that hold it under the same name.
            inner: The first part of a module's name: calls within a watched method of an object
                from there are observed as well. All other calls within calls are left alone.
        """
        ...

    def methods(
        self, root: type, names: Sequence[str], observe: Observe, is_told: Callable[[Any], bool]
    ) -> None:
        """Watch methods of a class and of all classes below it, those to come as well.

        Args:
            root: The uppermost class.
            names: The methods; where a class defines one as a plain function, it is watched.
            observe: Tells about a call.
            is_told: Says of an object whether its calls are worth telling.
        """
        ...


class Autologger(Protocol):
    """One training library: what is watched so that its runs need no word of their own."""

    library: str
    """The module whose import brings the library in."""

    def attach(self, watch: Watch) -> None:
        """Watch the library, which is loaded."""
        ...


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """A graphics processor."""

    name: str
    memory_bytes: int


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a run takes place on, as far as anybody can tell."""

    system: str = ""
    cpu: str = ""
    """The model's name."""
    processors: int = 0
    """Those that the machine has, and not those that the process may use."""
    processor_limit: float | None = None
    """How many of them the container may use, when it is limited."""
    memory_bytes: int = 0
    memory_limit_bytes: int | None = None
    gpus: tuple[Gpu, ...] = ()


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter read."""

    figures: dict[str, float] = {}
    """By name, the unit within: `cpu_percent`, `memory_bytes`."""
    joules: dict[str, float] = {}
    """Energy since the meter's last reading, by what used it: `cpu`, `gpu`."""


class Meter(Protocol):
    """Reads what a machine does. Rates are those since its last reading; the first has none.

    Whatever cannot be read is left out, silently: no run fails for want of a sensor.
    """

    def describe(self) -> Machine:
        """Say what is there; fields of which this meter knows nothing keep their defaults."""
        ...

    def read(self) -> Reading:
        """Read everything once."""
        ...
