"""Where artifacts live, in the words of MLflow's clients: the one place that knows the four forms.

    mlflow-artifacts:/EXPERIMENT                            an experiment
    mlflow-artifacts:/EXPERIMENT/RUN/artifacts              a run
    mlflow-artifacts:/EXPERIMENT/models/MODEL/artifacts     a logged model
    mlflow-artifacts:/EXPERIMENT/traces/TRACE/artifacts     a trace

What a client sends is taken apart into an owner and a path of the artifacts, and never followed:
no host, no file and no other scheme is ever looked up.
"""

import re
from typing import Final, Literal

import msgspec

from trivet.core.errors import Invalid
from trivet.tracking.artifacts import owner_of
from trivet.tracking.paths import clean_path

Kind = Literal["experiment", "run", "model", "trace"]

SCHEME: Final = "mlflow-artifacts:"
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}")
_FOLDERS: Final[dict[str, Kind]] = {"models": "model", "traces": "trace"}
_ROOT: Final = "artifacts"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder of somebody's artifacts."""

    experiment: str = ""
    """Empty where the address does not say which one it is."""
    kind: Kind
    id: str
    path: str = ""
    """Below the owner's uppermost folder, which is the empty path."""

    @property
    def owner(self) -> str:
        """Whose artifacts they are, as the artifacts know it."""
        return owner_of(self.kind, self.id)


def location_of(kind: Kind, experiment: str, id: str = "") -> str:
    """Return the address under which clients put and get somebody's artifacts.

    Example:
        >>> location_of("run", "0", "8f2c")
        'mlflow-artifacts:/0/8f2c/artifacts'
        >>> location_of("model", "0", "m-1")
        'mlflow-artifacts:/0/models/m-1/artifacts'
        >>> location_of("experiment", "0")
        'mlflow-artifacts:/0'
    """
    if kind == "experiment":
        return f"{SCHEME}/{experiment}"
    folder = "" if kind == "run" else f"{kind}s/"
    return f"{SCHEME}/{experiment}/{folder}{id}/{_ROOT}"


def read_place(path: str) -> Place | None:
    """Take apart what follows `mlflow-artifacts:/`; None for what lies above every experiment.

    Example:
        >>> read_place("0/models/m-1/artifacts/MLmodel")
        Place(experiment='0', kind='model', id='m-1', path='MLmodel')
        >>> read_place("0/notes/a.txt")
        Place(experiment='0', kind='experiment', id='0', path='notes/a.txt')

    Raises:
        Invalid: It is no path (code `bad-path`), or an identifier in it is none.
    """
    plain = clean_path(path, is_folder=True)
    if not plain:
        return None
    experiment, *rest = plain.split("/")
    _check(experiment)
    if len(rest) >= 3 and rest[0] in _FOLDERS and rest[2] == _ROOT:
        return _place(experiment, _FOLDERS[rest[0]], rest[1], rest[3:])
    if len(rest) >= 2 and rest[1] == _ROOT:
        return _place(experiment, "run", rest[0], rest[2:])
    return _place(experiment, "experiment", experiment, rest)


def read_location(location: str) -> Place:
    """Take apart an address that a client sends as somebody's, such as a model's source.

    Raises:
        Invalid: It is none of the four forms; other schemes and hosts among them.
    """
    place = None
    if location.startswith(f"{SCHEME}/") and not location.startswith(f"{SCHEME}//"):
        place = read_place(location.removeprefix(f"{SCHEME}/"))
    if place is None or "?" in location:
        raise Invalid(
            "the location is none that this server gave out; expected "
            f"`{SCHEME}/<experiment>/<run>/{_ROOT}/<path>` or its like",
            code="bad-location",
            hint="Send the artifact location as the server answered it.",
        )
    return place


def _place(experiment: str, kind: Kind, id: str, names: list[str]) -> Place:
    _check(id)
    return Place(experiment=experiment, kind=kind, id=id, path="/".join(names))


def _check(identifier: str) -> None:
    if not _IDENTIFIER.fullmatch(identifier):
        raise Invalid(
            "Invalid path: it names no experiment, run, model or trace by an identifier",
            code="bad-path",
            hint="Send the artifact location as the server answered it.",
        )
