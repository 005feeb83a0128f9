"""What a command is: arguments, one function, and an answer that is both text and JSON."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from trivet.core.errors import Invalid


@dataclass(frozen=True)
class Argument:
    """One argument. A `name` with dashes is an option, one without is positional."""

    name: str
    help: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Passed on to argparse: `type`, `default`, `choices`, `nargs`, `action`, `metavar`."""
    short: str = ""
    """A short form of an option, such as `-f`; without one when empty."""

    @property
    def forms(self) -> tuple[str, ...]:
        """What a person may type: the short form first."""
        return (self.short, self.name) if self.short else (self.name,)


@dataclass(frozen=True)
class Answer:
    """What a command answers: `data` for `--json`, `text` for people."""

    data: Any
    text: str
    exit_code: int = 0


@dataclass(frozen=True)
class Command:
    """One command. `run` receives the parsed arguments."""

    summary: str
    example: str
    run: Callable[[argparse.Namespace], Answer]
    arguments: tuple[Argument, ...] = ()
    of_projects: bool = False
    """Whether `--in NAME` has it look at another project of the folder."""
    json_to_file: bool = False
    """Whether `--json FILE` writes the data beside the text, for commands whose text is read."""

    def parser(self, prog: str) -> argparse.ArgumentParser:
        """Build the parser of this command."""
        parser = _Parser(
            prog=prog,
            description=self.summary,
            epilog=f"example:\n  {self.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for argument in self.arguments:
            parser.add_argument(*argument.forms, help=argument.help, **argument.options)
        if self.json_to_file:
            parser.add_argument(
                "--json", metavar="FILE", help="write all figures to this file as JSON, too"
            )
        else:
            parser.add_argument(
                "--json", action="store_true", help="print the answer as JSON instead of text"
            )
        parser.add_argument(
            "--project", metavar="FOLDER", default=".", help="the project's folder (default: here)"
        )
        if self.of_projects:
            parser.add_argument(
                "--in",
                dest="inside",
                metavar="PROJECT",
                help="another project of this folder, one of `trivet projects`",
            )
        return parser


class _Parser(argparse.ArgumentParser):
    """Raises what argparse would print, so that a wrong word looks like every other error."""

    def error(self, message: str) -> NoReturn:
        raise Invalid(message, code="bad-arguments", hint=f"See `{self.prog} --help`.")


Group = dict[str, Command]
"""A room's commands by verb."""


def of_projects(group: Group) -> Group:
    """Return commands that can look at each project of the folder."""
    return {verb: replace(command, of_projects=True) for verb, command in group.items()}
