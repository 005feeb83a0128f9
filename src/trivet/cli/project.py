"""`trivet init`: make a project."""

from argparse import Namespace
from pathlib import Path

from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import table
from trivet.core.errors import Invalid
from trivet.workspace.project import begin_project, make_project


def _init(options: Namespace) -> Answer:
    if options.data is None and options.target is None and options.template is None:
        return _begin(options)
    if options.data is None or options.target is None:
        raise Invalid(
            "a table needs both --data and --target; one of them is missing",
            code="bad-arguments",
            hint="Leave out both, and --template, for a project of plain steps.",
        )
    made = make_project(
        options.name,
        options.template or "tabular",
        Path(options.data).resolve(),
        options.target,
        Path(options.project).resolve(),
    )
    lines = [f"made {made.folder}: {made.task} of {options.target}", ""]
    rows = [(column.name, column.read_as, column.use) for column in made.columns]
    lines += [table(("column", "read as", "use"), rows), ""]
    lines += [f"  {name}" for name in made.files]
    lines += ["", "next", f"  cd {made.name}", "  trivet run"]
    return Answer(made, "\n".join(lines))


def _begin(options: Namespace) -> Answer:
    made = begin_project(options.name, Path(options.project).resolve())
    lines = [f"made {made.folder}", "", *(f"  {name}" for name in made.files)]
    if ".gitignore" not in made.files:
        lines.append("  put .trivet/ into .gitignore, unless it stands there")
    lines += ["", "next", *([] if options.name == "." else [f"  cd {made.name}"]), "  trivet run"]
    return Answer(made, "\n".join(lines))


init = Command(
    "Make a project: of plain steps, or from a template and your own table.",
    "trivet init churn --template tabular --data customers.csv --target churned",
    _init,
    (
        Argument("name", "the project's name, and its folder; `.` is this folder"),
        Argument("--template", "of a project with a table (default: tabular)"),
        Argument("--data", "a CSV or Parquet file", {"metavar": "FILE"}),
        Argument("--target", "the column to predict", {"metavar": "COLUMN"}),
    ),
)
