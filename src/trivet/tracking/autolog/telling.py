"""What a library says about a run: names that can be recorded, no quarrel, and no harm."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from trivet.core.training import Reporter, harmless

_FORBIDDEN = re.compile(r"[^/\w.\- :]")
_MOST_KEY: Final = 250
_MOST_VALUE: Final = 6_000

Known = Callable[[str], Mapping[str, str]]
"""Given a run, the parameters that it has."""


class Told:
    """The part of a run that a library tells. Nothing that goes wrong in it reaches the library.

    Args:
        run: The run.
        title: Who tells, such as `Ridge` or `keras`.
        prefix: Stands before every name, so that calls in one run do not mix.
        known: Tells the parameters that the run has.
    """

    def __init__(self, run: Reporter, title: str, prefix: str, known: Known) -> None:
        self._run = run
        self._title = title
        self._prefix = prefix
        self._known = known

    @property
    def id(self) -> str:
        """The run."""
        return self._run.id

    @harmless
    def log(
        self, metrics: Mapping[str, object], /, *, step: int | None = None, **more: object
    ) -> None:
        """Log one value of each metric."""
        named = {self._name(key): value for key, value in {**metrics, **more}.items()}
        self._run.log(named, step=step)

    @harmless
    def set_parameters(self, parameters: Mapping[str, object], /, **more: object) -> None:
        """Record parameters. One that has another value by now is named by the call as well."""
        known = self._known(self.id)
        given = {self._name(key): _text(x) for key, x in {**parameters, **more}.items()}
        free = {key: text for key, text in given.items() if known.get(key, text) == text}
        taken = {f"{self._title}/{key}": text for key, text in given.items() if key not in free}
        free |= {key: text for key, text in taken.items() if known.get(key, text) == text}
        self._run.set_parameters(free)

    @harmless
    def set_tags(self, tags: Mapping[str, object], /, **more: object) -> None:
        """Record tags."""
        self._run.set_tags({self._name(k): _text(x) for k, x in {**tags, **more}.items()})

    @harmless
    def table(self, key: str, rows: object, *, step: int | None = None) -> None:
        """Keep a table."""
        self._run.table(self._name(key), rows, step=step or 0)

    def finish(self, status: Any = "succeeded") -> None:
        """End nothing: whoever opened the run ends it."""

    def _name(self, key: str) -> str:
        parts = _FORBIDDEN.sub("_", self._prefix + str(key)).split("/")
        return "/".join(part for part in parts if part not in {"", ".", ".."})[:_MOST_KEY] or "_"


def _text(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _MOST_VALUE else text[: _MOST_VALUE - 1] + "…"
