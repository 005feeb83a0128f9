"""Which libraries and machines there are: handed to the room by whoever wires the workspace."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from trivet.core.errors import Invalid, Unsupported
from trivet.core.training import Autologger, Meter, Reporter
from trivet.tracking.autolog.session import Autolog


class Libraries(msgspec.Struct, frozen=True, kw_only=True):
    """What adapters bring: everything is opened when it is used."""

    autologgers: Callable[[], Sequence[Autologger]] = tuple
    callbacks: Mapping[str, Callable[[Reporter], Any]] = {}
    """By library, what makes the object that the library calls."""
    meters: Callable[[], Sequence[Meter]] = tuple

    def chosen(self, names: Sequence[str] | None) -> Sequence[Autologger]:
        """Return the libraries of these names; all for None.

        Raises:
            Invalid: One is not known.
        """
        known = {each.library: each for each in self.autologgers()}
        unknown = [name for name in names or () if name not in known]
        if unknown:
            raise Invalid(
                f"libraries has {unknown[0]!r}; expected some of {sorted(known)}",
                code="unknown-library",
                hint="Other libraries report through run.callback(...).",
            )
        return [known[name] for name in names] if names is not None else list(known.values())

    def callback(self, library: str, run: Reporter) -> Any:
        """Make what a library calls.

        Raises:
            Invalid: It is not known.
            Unsupported: It is not installed.
        """
        make = self.callbacks.get(library)
        if make is None:
            raise Invalid(
                f"library is {library!r}; expected one of {sorted(self.callbacks)}",
                code="unknown-library",
            )
        try:
            return make(run)
        except ImportError as error:
            raise Unsupported(
                f"{library} is not installed here: {error}",
                code="not-installed",
                hint=f"Install it where the program runs: pip install {library}.",
            ) from error


_lock = threading.Lock()
_active: list[Autolog] = []


def only(autolog: Autolog) -> Autolog:
    """Start one; another of this process that is under way stops. Two would tell everything twice.

    It goes on until it is stopped, whether anybody holds it or not.
    """
    with _lock:
        while _active:
            _active.pop().stop()
        _active.append(autolog)
        return autolog.start()
