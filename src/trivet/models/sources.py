"""Where a logged version says that its files are: taken apart, checked, and never followed.

A source that a client sends becomes an address that other clients open. So it must lie inside the
artifacts of the run or logged model that it came from, and must say so without tricks.
"""

import re
from typing import Final

import msgspec

from trivet.core.errors import Invalid
from trivet.tracking.paths import clean_path

_MOST: Final = 5_000
_RUN = re.compile(r"runs:/([^/]+)/(.+)")
_LOGGED = re.compile(r"models:/(m-[0-9a-f]{32})/?")
_VERSION = re.compile(r"models:/([^/@]+)/([1-9][0-9]{0,9}|latest)")
_ALIASED = re.compile(r"models:/([^/]+)@([\w\-]+)")
_CONTROL = re.compile(r"%(?:25)*(?:[01][0-9a-f]|7f)", re.IGNORECASE)
_OWNER = re.compile(r"/(m-[0-9a-f]{32}|[0-9a-f]{32})(?=/|$)")


class OfRun(msgspec.Struct, frozen=True):
    """`runs:/<run>/<path>`."""

    run: str
    path: str


class OfLoggedModel(msgspec.Struct, frozen=True):
    """`models:/m-…`."""

    model: str


class OfVersion(msgspec.Struct, frozen=True):
    """`models:/<name>/<number>` or `models:/<name>@<alias>`; the number 0 is the latest."""

    name: str
    number: int = 0
    alias: str = ""


class Address(msgspec.Struct, frozen=True):
    """An address of storage, and the runs and logged models that its path names."""

    text: str
    owners: tuple[str, ...]


Source = OfRun | OfLoggedModel | OfVersion | Address


def parse_source(source: str) -> Source:
    """Take a source apart.

    Raises:
        Invalid: It is empty, too long, or of no form that can lie inside anybody's artifacts: a
            path of a machine, or with `..`, a fragment, a query or a control character.
    """
    if not 0 < len(source) <= _MOST or not source.isprintable() or set("\\#?") & set(source):
        raise bad_source(source, "it is empty or too long, or has a character it may not have")
    scheme, colon, rest = source.partition(":")
    if not colon or not rest.startswith("/") or scheme.lower() == "file" or len(scheme) < 2:
        raise bad_source(
            source,
            "To use a local path as a model version source is not possible: paths of a machine "
            "mean nothing on another one",
        )
    _check_path(source, rest)
    if scheme == "runs":
        found = _RUN.fullmatch(source)
        if found is None:
            raise bad_source(source, "expected runs:/<run>/<path>")
        return OfRun(found[1], found[2])
    if scheme == "models":
        return _of_model(source)
    return Address(source, tuple(dict.fromkeys(_OWNER.findall(rest))))


def is_elsewhere(source: Source, text: str) -> bool:
    """Say whether a source may be kept by others: an address, but of no web server, or a run."""
    if isinstance(source, OfRun):
        return True
    scheme = text.partition(":")[0].lower()
    return isinstance(source, Address) and scheme not in {"http", "https"}


def is_inside(address: str, root: str) -> bool:
    """Say whether an address that was taken apart is that of a root, or lies below it."""
    plain = root.rstrip("/")
    return bool(plain) and (address.rstrip("/") == plain or address.startswith(f"{plain}/"))


def bad_source(source: str, why: str) -> Invalid:
    """Say that a source is none."""
    return Invalid(
        f"Invalid model version source: '{source[:200]}': {why}",
        code="bad-source",
        hint="Send runs:/<run>/<path>, models:/<logged model>, or an address inside the artifacts "
        "of the run or logged model, with its run_id or model_id.",
    )


def _of_model(source: str) -> Source:
    if found := _LOGGED.fullmatch(source):
        return OfLoggedModel(found[1])
    if found := _ALIASED.fullmatch(source):
        return OfVersion(found[1], alias=found[2])
    if found := _VERSION.fullmatch(source):
        return OfVersion(found[1], 0 if found[2] == "latest" else int(found[2]))
    raise bad_source(
        source, "expected models:/<logged model>, models:/<name>/<number> or models:/<name>@<alias>"
    )


def _check_path(source: str, rest: str) -> None:
    """Refuse what is another path than it seems, also when it was encoded again and again."""
    must = (
        "If supplying a source as an http, https, ftp, object store or mlflow-artifacts address, "
        "an absolute path must be provided without '..' and control characters"
    )
    if _CONTROL.search(source):
        raise bad_source(source, must)
    try:
        clean_path(rest.lstrip("/"), is_folder=True)
    except Invalid as error:
        raise bad_source(source, f"{must}. {error.message}") from error
