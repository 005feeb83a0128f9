"""`trivet graph`: a flow as it is written, or what a run of it did, as a picture."""

import shutil
from argparse import Namespace
from pathlib import Path

from trivet.cli.choosing import flow_named, run_of
from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import to_json, width_of, write_page
from trivet.core.errors import Invalid
from trivet.pipelines.picture.boxes import draw_text
from trivet.pipelines.picture.model import Picture, picture_of_code, picture_of_run
from trivet.pipelines.picture.notations import write_dot, write_mermaid
from trivet.pipelines.picture.svg import draw_svg
from trivet.pipelines.spec import preview
from trivet.workspace.workspace import open as open_workspace

_FORMATS = ("text", "svg", "mermaid", "dot", "json")
_SUFFIXES = {
    ".svg": "svg",
    ".mmd": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".json": "json",
    ".txt": "text",
}


def _graph(options: Namespace) -> Answer:
    picture = _picture(options)
    form = options.format or _form_of(options.output)
    text = _written(picture, form)
    if not options.output:
        return Answer(picture, text.rstrip("\n"))
    write_page(options.output, text)
    return Answer(picture, f"{picture.title}\nwritten to {options.output}")


def _picture(options: Namespace) -> Picture:
    if options.run and options.flow:
        raise Invalid(
            "a flow and a run are named; expected one of them",
            code="bad-arguments",
            hint="`trivet graph module:flow` draws the code, `trivet graph --run RUN` the record.",
        )
    with open_workspace(options.project) as ws:
        if options.run:
            run = run_of(ws, options.run)
            return picture_of_run(run, ws.pipelines.steps(run.id), ws.pipelines.failures(run.id))
        flow = flow_named(ws, options.flow)
        return picture_of_code(preview(ws.pipelines.load_flow(flow)))


def _form_of(output: str | None) -> str:
    suffix = Path(output).suffix.lower() if output else ".txt"
    if suffix not in _SUFFIXES:
        raise Invalid(
            f"the file {output!r} does not say how to draw; expected one of {', '.join(_SUFFIXES)}",
            code="bad-arguments",
            hint="Browsers open and print .svg; or say --format.",
        )
    return _SUFFIXES[suffix]


def _written(picture: Picture, form: str) -> str:
    match form:
        case "svg":
            return draw_svg(picture)
        case "mermaid":
            return write_mermaid(picture)
        case "dot":
            return write_dot(picture)
        case "json":
            return to_json(picture)
        case _:
            return draw_text(picture, shutil.get_terminal_size().columns, width_of)


graph = Command(
    "Draw a flow as it is written, or what a run of it did.",
    "trivet graph --run last --output run.svg",
    _graph,
    (
        Argument(
            "flow",
            "`module:function`, or a function beside the project's flow (default: that one)",
            {"nargs": "?"},
        ),
        Argument("--run", "draw the record of this run (or `last`)", {"metavar": "RUN"}),
        Argument("--format", "how (default: by the file's name, else text)", {"choices": _FORMATS}),
        Argument("--output", "write it into this file", {"metavar": "FILE"}),
    ),
)
