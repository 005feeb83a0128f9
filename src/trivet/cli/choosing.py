"""What a person types instead of a full name: `last`, an end of an identifier, a bare flow."""

import re
from argparse import Namespace
from contextlib import suppress

from trivet.cli.searching import quoted
from trivet.core.errors import Invalid, NotFound
from trivet.data.naming import is_identifier
from trivet.tracking.facts import Run
from trivet.tracking.found import FoundRun
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

_LOOKED_AT = 500
_SHORTEST = 4
_DIGITS = re.compile("[0-9a-f]{1,31}")


def open_chosen(options: Namespace) -> Workspace:
    """Open the folder's project, or the one of the folder that `--in` names."""
    return open_workspace(options.project, project=options.inside)


def flow_named(workspace: Workspace, word: str | None) -> str:
    """Return the flow that a word means, as `module:function`; none means the project's own.

    A name alone is a function beside the project's own flow, in the same module.

    Raises:
        Invalid: None is named, here or in the settings.
    """
    own = workspace.settings.flow
    if word and ":" not in word and word.isidentifier() and own:
        return f"{own.partition(':')[0]}:{word}"
    if not word and not own:
        raise Invalid(
            "no flow is named; expected `module:function`",
            code="no-flow",
            hint='Name it, or set flow = "pipeline:train" in trivet.toml.',
        )
    return word or own


def run_of(workspace: Workspace, word: str) -> Run:
    """Return the run of a flow that a word means: an identifier, `last`, or an end of only one.

    Raises:
        NotFound: There is none.
        Invalid: The word is none of these, or several runs of the last 500 begin or end so.
    """
    if word == "last":
        runs = workspace.tracking.runs(limit=1)
        if not runs:
            raise NotFound(
                "there is no run of a flow yet", code="no-run", hint="Make one: `trivet run`."
            )
        return runs[0]
    if is_identifier(word):
        return workspace.tracking.get(word)
    if len(word) < _SHORTEST or not _DIGITS.fullmatch(word):
        raise Invalid(
            f"{word!r} names no run; expected `last`, an identifier, or {_SHORTEST} or more of its "
            "digits",
            code="bad-run",
            hint="`trivet runs` lists them.",
        )
    runs = workspace.tracking.runs(limit=_LOOKED_AT)
    found = [run for run in runs if run.id.startswith(word) or run.id.endswith(word)]
    if len(found) > 1:
        raise Invalid(
            f"{len(found)} runs begin or end with {word!r}; expected one",
            code="ambiguous",
            hint="Type more of it: identifiers differ at their end.",
            detail={"runs": [run.id for run in found[:10]]},
        )
    if not found:
        raise NotFound(
            f"none of the last {_LOOKED_AT} runs of flows begins or ends with {word!r}",
            code="no-run",
            hint="`trivet runs` lists runs; of those that programs report, no steps are kept.",
        )
    return found[0]


def any_run_of(workspace: Workspace, word: str) -> str:
    """Return the identifier of the run of any kind that a word means.

    It means what it means to `run_of`, or the name of a run, or `experiment/name`: then the newest.

    Raises:
        NotFound: There is none.
        Invalid: Several runs begin or end so.
    """
    if is_identifier(word):
        return word
    search = workspace.tracking.search
    if word == "last":
        found = search(limit=1).runs
        if not found:
            raise NotFound(
                "there is no run yet",
                code="no-run",
                hint="Make one: `trivet run`, or report one: `ws.tracking.begin()`.",
            )
    elif len(word) >= _SHORTEST and _DIGITS.fullmatch(word):
        found = search(f"id LIKE '{word}%' OR id LIKE '%{word}'", limit=_LOOKED_AT).runs
        if len(found) > 1:
            raise Invalid(
                f"{len(found)} runs begin or end with {word!r}; expected one",
                code="ambiguous",
                hint="Type more of it: identifiers differ at their end.",
                detail={"runs": [run.id for run in found[:10]]},
            )
    else:
        found = ()
    found = found or _named(workspace, word)
    if not found:
        raise NotFound(
            f"no run is called {word!r}, and no identifier ends so",
            code="no-run",
            hint="`trivet runs` lists them.",
        )
    return found[0].id


def _named(workspace: Workspace, word: str) -> tuple[FoundRun, ...]:
    search = workspace.tracking.search
    found = search(f"name = {quoted(word)}", limit=1).runs
    parts = word.split("/")
    for count in range(1, len(parts)):  # experiment and name may have slashes of their own
        if found:
            break
        experiment, name = "/".join(parts[:count]), "/".join(parts[count:])
        with suppress(NotFound):
            found = search(f"name = {quoted(name)}", experiment=experiment, limit=1).runs
    return found
