"""Where the files of a registered version are, once its run or logged model is here."""

import re
from collections.abc import Callable
from typing import Final

from trivet.core.errors import NotFound
from trivet.core.moving import HeldVersion
from trivet.models.importing import Origin
from trivet.tracking.importing.cleaning import is_bucket, model_id, run_id
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.runs import ReportedRuns

_RUN: Final = re.compile(r"runs:/([^/]+)/(.+)")
_MODEL: Final = re.compile(r"models:/(m-[^/@]+)/?")
_IN_MODEL: Final = re.compile(r"/models/(m-[^/]+)/artifacts(/.*)?$")
_IN_RUN: Final = re.compile(r"/([0-9a-zA-Z_-]{1,64})/artifacts(/.*)?$")


def origin_of_version(version: HeldVersion, runs: ReportedRuns, models: LoggedModels) -> Origin:
    """Return where a version's files are; an empty address when nobody knows.

    Its source is compared with what was imported, and never opened.

    Args:
        version: The version, as it is there.
        runs: Those of here.
        models: Logged models of here.
    """
    run = run_id(version.run) if version.run else None
    for source in filter(None, (version.source, version.location)):
        found = _named(source, run, runs, models) or _below(source, run, runs, models)
        if found is not None:
            return found
    source = version.location or version.source
    location = source if is_bucket(source) else ""
    return Origin(location, run if run and _location(runs.get, run) else None)


def _named(source: str, run: str | None, runs: ReportedRuns, models: LoggedModels) -> Origin | None:
    if found := _RUN.fullmatch(source):
        own = run_id(found[1])
        location = _location(runs.get, own)
        return Origin(f"{location.rstrip('/')}/{found[2]}", own) if location else None
    if found := _MODEL.fullmatch(source):
        return _of_model(model_id(found[1]), "", run, models)
    return None


def _below(source: str, run: str | None, runs: ReportedRuns, models: LoggedModels) -> Origin | None:
    """Return the origin of an address that lies in the artifacts of what was imported.

    Wherever a store keeps them, it keeps them in a folder that is named for the run or the model.
    """
    if found := _IN_MODEL.search(source):
        return _of_model(model_id(found[1]), found[2] or "", run, models)
    if found := _IN_RUN.search(source):
        own = run_id(found[1])
        location = _location(runs.get, own)
        return Origin(f"{location.rstrip('/')}{found[2] or ''}", own) if location else None
    return None


def _of_model(model: str, rest: str, run: str | None, models: LoggedModels) -> Origin | None:
    try:
        known = models.get(model, allow_deleted=True)
    except NotFound:
        return None
    return Origin(f"{known.location.rstrip('/')}{rest}", run or known.run, model)


def _location(get: Callable[[str], object], id: str) -> str:
    try:
        return str(getattr(get(id), "location", ""))
    except NotFound:
        return ""
