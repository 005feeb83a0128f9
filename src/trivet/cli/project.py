"""`trivet init`: make a project."""

from argparse import Namespace
from pathlib import Path

from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import table
from trivet.workspace.project import make_project


def _init(options: Namespace) -> Answer:
    made = make_project(
        options.name,
        options.template,
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


init = Command(
    "Make a project from a template and your own table.",
    "trivet init churn --template tabular --data customers.csv --target churned",
    _init,
    (
        Argument("name", "the project's name, and its folder"),
        Argument("--template", "the template", {"default": "tabular"}),
        Argument("--data", "a CSV or Parquet file", {"required": True, "metavar": "FILE"}),
        Argument("--target", "the column to predict", {"required": True, "metavar": "COLUMN"}),
    ),
)
