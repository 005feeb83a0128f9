"""Dispatch: loads the module that a word names, parses, runs, prints; the CLI's error edge."""

import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from types import ModuleType

from trivet.cli.command import Command, Group
from trivet.cli.errors import FAILED, INTERRUPTED, exit_code_of, show_error
from trivet.cli.output import to_json
from trivet.core.errors import Invalid, TrivetError, Unavailable, Unsupported

Table = Mapping[str, tuple[str, str]]


def dispatch(words: Sequence[str], commands: Table, rooms: Table) -> int:
    """Run the command that the words name; return the exit code."""
    as_json = "--json" in words
    try:
        command, prog, rest = _find(words, commands, rooms)
        if command is None:
            return 0
        options = command.parser(prog).parse_intermixed_args(rest)
        answer = command.run(options)
        if command.json_to_file and options.json:
            Path(options.json).write_text(to_json(answer.data), encoding="utf-8")
        as_text = command.json_to_file or not options.json
        print(answer.text if as_text else to_json(answer.data))
        return answer.exit_code
    except BrokenPipeError:
        raise  # nobody reads any more: the entry point knows what to do
    except (TrivetError, ModuleNotFoundError, OSError) as error:
        told = _told(error)
        show_error(told, as_json=as_json)
        return exit_code_of(told)
    except SystemExit as stop:
        return _code_of(stop)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _told(error: TrivetError | ModuleNotFoundError | OSError) -> TrivetError:
    """Return an error as people are told it; raise what is none of Trivet's."""
    if isinstance(error, TrivetError):
        return error
    if isinstance(error, OSError):
        return Unavailable(
            f"the system refused: {error}",
            code="system-refused",
            hint="Look at the path, its permissions and the free space: `trivet doctor`.",
        )
    if not _asked_by_trivet(error):
        raise error
    return Unsupported(
        f"this needs the library {error.name!r}, which is not installed",
        code="no-library",
        hint="Install what works on this machine: `pip install 'trivet[local]'`.",
    )


def _asked_by_trivet(error: ModuleNotFoundError) -> bool:
    """Say whether Trivet itself missed a library, and not the user's own code."""
    modules = [
        str(frame.f_globals.get("__name__", "")) for frame, _ in walk_tb(error.__traceback__)
    ]
    last = next((name for name in reversed(modules) if not name.startswith("importlib")), "")
    return last.startswith("trivet.")


def _code_of(stop: SystemExit) -> int:
    """Read the exit code of `--help`, of a part that was told to end, or of a user's own exit."""
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    print(stop.code, file=sys.stderr)
    return FAILED


def load_command(target: str) -> Command:
    """Load a command by `module:attribute`.

    Raises:
        Unsupported: A library that it needs is not installed; the hint names the extra.
    """
    module, _, attribute = target.partition(":")
    command: Command = getattr(_load(module), attribute)
    return command


def load_group(module: str) -> Group:
    """Load a room's commands.

    Raises:
        Unsupported: A library that it needs is not installed.
    """
    group: Group = _load(module).VERBS
    return group


def _load(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "trivet":
            raise
        raise Unsupported(
            f"this command needs the library {error.name!r}, which is not installed",
            code="no-library",
            hint="Install the rest: `pip install 'trivet[local,train]'`.",
        ) from error


def _usage(room: str, summary: str, group: Group) -> str:
    lines = [f"usage: trivet {room} VERB ...", "", summary, "", "verbs:"]
    lines += [f"  {verb:<11} {command.summary}" for verb, command in group.items()]
    if "list" in group:
        whole = group["list"].parser(f"trivet {room} list").format_help()
        lines += ["", f"Without a verb it is `trivet {room} list`:", "", whole.rstrip()]
    return "\n".join(lines)


def _find(
    words: Sequence[str], commands: Table, rooms: Table
) -> tuple[Command | None, str, Sequence[str]]:
    name, *rest = words
    if name in commands:
        return load_command(commands[name][0]), f"trivet {name}", rest
    if name not in rooms:
        near = get_close_matches(name, [*commands, *rooms], n=3)
        raise Invalid(
            f"trivet has no command {name!r}",
            code="no-command",
            hint=f"Did you mean {' or '.join(near)}?" if near else "See `trivet --help`.",
        )
    group = load_group(rooms[name][0])
    wants_help = bool({"-h", "--help"} & set(rest[:1]))
    if "list" in group and not wants_help and (not rest or rest[0].startswith("--")):
        # A room without a verb shows what is in it.
        return group["list"], f"trivet {name} list", rest
    if not rest or wants_help:
        print(_usage(name, rooms[name][1], group))
        return None, "", ()
    verb, *rest = rest
    if verb not in group:
        near = get_close_matches(verb, list(group), n=3)
        raise Invalid(
            f"trivet {name} has no verb {verb!r}",
            code="no-command",
            hint=f"Did you mean {' or '.join(near)}?" if near else f"See `trivet {name} --help`.",
        )
    return group[verb], f"trivet {name} {verb}", rest
