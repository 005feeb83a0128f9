"""`trivet why`: where a prediction came from, and why a step is run again."""

from argparse import Namespace
from collections.abc import Iterator

from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import fields, is_colourful
from trivet.cli.serving import describe_why
from trivet.core.errors import Invalid
from trivet.data.naming import is_identifier
from trivet.pipelines.explaining.why import Change, StepWhy
from trivet.workspace.workspace import open as open_workspace

_RED, _GREEN, _BLUE, _PLAIN = "\033[31m", "\033[32m", "\033[36m", "\033[0m"
_COLOURS = {"+": _GREEN, "-": _RED, "@": _BLUE}
_PACKAGE = "package "


def _why(options: Namespace) -> Answer:
    subject: str = options.subject
    with open_workspace(options.project) as ws:
        if "." in subject:  # no identifier of a prediction holds one
            step = ws.pipelines.why(subject)
            return Answer(step, describe_step(step, colours=is_colourful()))
        if not is_identifier(subject):
            raise Invalid(
                f"{subject!r} names no step and no prediction; expected FLOW.STEP or an identifier",
                code="bad-subject",
                hint="For step fit of flow train: `trivet why train.fit`.",
            )
        prediction = ws.serving.why(subject)
    return Answer(prediction, describe_why(prediction))


def describe_step(why: StepWhy, *, colours: bool = False) -> str:
    """Describe what changed for a step, with the difference of each source.

    Args:
        why: The answer.
        colours: Whether the lines of a difference are coloured.
    """
    made = "" if why.status == "run" else f", made by run {why.made_by}"
    lines = [
        fields(
            [
                ("step", f"{why.flow}.{why.step}"),
                ("last call", f"{why.status}{made}"),
                ("key", why.key),
                ("compared", _compared(why)),
            ]
        ),
        "",
        *_say_changes(why, colours=colours),
        "",
        *_say_watched(why),
    ]
    return "\n".join(lines)


def _compared(why: StepWhy) -> str:
    if why.between == "now":
        return f"run {why.before} with the code as it is now"
    if why.between == "calls" and why.before == why.after:
        return f"two calls in run {why.after}"
    if why.between == "calls":
        return f"run {why.before} with run {why.after}"
    return "nothing: it was called once"


def _say_changes(why: StepWhy, *, colours: bool) -> Iterator[str]:
    if why.changes:
        if why.between == "now":
            yield "the next run makes it again:"
        for change in why.changes:
            yield from _say_change(change, colours=colours)
    elif why.between is None:
        yield f"nothing has changed since its only call; made by run {why.made_by}"
    elif why.between == "now":
        yield "its code is another, but no part of it was recorded to say which"
    elif why.status == "remembered":
        yield f"nothing changed: remembered; key {why.key[:12]}…; made by run {why.made_by}"
    elif not why.is_repeatable:
        yield "nothing changed, but it is never remembered: it changes an argument in place"
    else:
        yield "nothing changed; its result had been removed, or `--again` asked for it"


def _say_change(change: Change, *, colours: bool) -> Iterator[str]:
    kind = "" if change.kind == change.name else f"{change.kind} "
    line = f"  {kind}{change.name}"
    if change.kind in {"argument", "package", "python", "version", "depends", "environment"}:
        line += f": {_or_absent(change.before)} -> {_or_absent(change.after)}"
    elif not change.note:
        line += " changed"
    yield f"{line}: {change.note}" if change.note else line
    for text in change.diff.splitlines():
        colour = _COLOURS.get(text[:1], "") if colours else ""
        yield f"    {colour}{text}{_PLAIN if colour else ''}".rstrip()


def _say_watched(why: StepWhy) -> Iterator[str]:
    code = [part for part in why.watched if not part.startswith(_PACKAGE) and part != "python"]
    packages = [part.removeprefix(_PACKAGE) for part in why.watched if part.startswith(_PACKAGE)]
    yield f"watched: {', '.join(code)}"
    yield f"packages: {', '.join(['python', *packages])}"
    if why.limits:
        yield "not covered by its key (remedy: depends= or version=):"
        yield from (f"  {limit}" for limit in why.limits)
    else:
        yield "nothing was noticed that its key does not cover"
    if why.note:
        yield f"note: {why.note}"


def _or_absent(text: str | None) -> str:
    return "absent" if text is None else text or "''"


why = Command(
    "Say what made a prediction, or why a step (FLOW.STEP) was or will be run again.",
    "trivet why main.fit",
    _why,
    (
        Argument(
            "subject",
            "a prediction's identifier, as it was answered: says which data, model and code made "
            "it; or FLOW.STEP, such as main.fit: says which code, package, option or argument "
            "changed, with its difference, since or before the step's last call",
        ),
    ),
)
