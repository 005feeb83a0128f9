"""What a person types instead of an identifier: `last`, or its beginning or end."""

from trivet.core.errors import Invalid, NotFound
from trivet.tracking.facts import Run
from trivet.workspace.workspace import Workspace

_LOOKED_AT = 500
_SHORTEST = 4


def run_of(workspace: Workspace, word: str) -> Run:
    """Return the run that a word means: an identifier, `last`, or an end of one, if it is the only.

    Raises:
        NotFound: There is none.
        Invalid: Several runs of the last 500 begin or end so.
    """
    if word == "last":
        runs = workspace.tracking.runs(limit=1)
        if not runs:
            raise NotFound("there is no run yet", code="no-run", hint="Make one: `trivet run`.")
        return runs[0]
    if len(word) < _SHORTEST or len(word) >= 32:
        return workspace.tracking.get(word)
    runs = workspace.tracking.runs(limit=_LOOKED_AT)
    found = [run for run in runs if run.id.startswith(word) or run.id.endswith(word)]
    if len(found) > 1:
        raise Invalid(
            f"{len(found)} runs begin or end with {word!r}; expected one",
            code="ambiguous",
            hint="Type more of it: identifiers differ at their end.",
            detail={"runs": [run.id for run in found[:10]]},
        )
    return found[0] if found else workspace.tracking.get(word)
