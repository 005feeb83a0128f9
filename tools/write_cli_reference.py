"""Write docs/reference/cli.md from what each command says of itself."""

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from trivet.cli.command import Argument, Command
from trivet.cli.dispatch import load_command
from trivet.cli.main import COMMANDS, ROOMS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"
HEAD = """\
# Command line

Every command has `--help` with an example, and `--json`. Exit codes stand in [errors](errors.md).
This page is written by `python tools/write_cli_reference.py` from the commands themselves.

## Commands of the whole
"""


def page() -> str:
    """Return the page's text."""
    lines = [HEAD]
    for name, (home, _) in COMMANDS.items():
        lines += section(f"trivet {name}", load_command(home))
    for room, (home, summary) in ROOMS.items():
        lines += [f"## trivet {room}: {summary}", ""]
        for verb, command in importlib.import_module(home).VERBS.items():
            lines += section(f"trivet {room} {verb}", command)
    return "\n".join(lines).rstrip() + "\n"


def section(name: str, command: Command) -> Iterator[str]:
    """Yield a command's lines."""
    yield f"### `{name}`"
    yield ""
    yield command.summary
    yield ""
    shown = [argument for argument in command.arguments if argument.help != argparse.SUPPRESS]
    if shown:
        yield "| argument | meaning |"
        yield "|---|---|"
        yield from (f"| {_forms(a)} | {a.help.replace('|', '/')} |" for a in shown)
        yield ""
    yield f"```bash\n{command.example}\n```"
    yield ""


def _forms(argument: Argument) -> str:
    return ", ".join(f"`{form}`" for form in argument.forms)


def main() -> int:
    """Write the page, or with `--check` say whether it is fresh."""
    if "--check" in sys.argv:
        return int(PAGE.read_text("utf-8") != page())
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
