"""Every command that there is, by the tables that the command line itself goes by."""

import shlex
from argparse import SUPPRESS
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.cli.command import Command
from trivet.cli.dispatch import load_command, load_group
from trivet.cli.main import COMMANDS, ROOMS

Trivet = Callable[..., Any]


def commands() -> Iterator[tuple[str, Command]]:
    for name, (target, _) in COMMANDS.items():
        yield name, load_command(target)
    for room, (module, _) in ROOMS.items():
        for verb, command in load_group(module).items():
            yield f"{room} {verb}", command


ALL = dict(commands())


@pytest.mark.parametrize("name", ALL)
def test_a_command_s_example_is_a_line_that_it_takes(name: str) -> None:
    words = shlex.split(ALL[name].example)
    beginning = ["trivet", *name.split()]
    assert words[: len(beginning)] == beginning
    ALL[name].parser(f"trivet {name}").parse_args(words[len(beginning) :])


@pytest.mark.parametrize("name", ALL)
def test_a_command_has_help_with_a_summary_an_example_and_every_argument(
    name: str, trivet: Trivet
) -> None:
    said = trivet(*name.split(), "--help", here=False)
    assert said.code == 0
    command = ALL[name]
    flat = " ".join(said.out.split())
    assert command.summary.split()[0] in flat
    assert command.example in said.out
    for argument in command.arguments:
        is_inner = argument.help == SUPPRESS
        assert is_inner or " ".join(argument.help.split()) in flat
        assert not is_inner or argument.name not in said.out
    assert "--json" in said.out


@pytest.mark.parametrize("name", ALL)
def test_a_summary_is_one_sentence(name: str) -> None:
    summary = ALL[name].summary
    assert summary[0].isupper()
    assert summary.endswith(".")
    assert len(summary) <= 90


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_without_a_verb_shows_what_is_in_it_or_its_verbs(room: str, trivet: Trivet) -> None:
    said = trivet(room) if "list" in load_group(ROOMS[room][0]) else trivet(room, here=False)
    assert said.code == 0
    assert said.out.strip()
    usage = trivet(room, "--help", here=False)
    assert all(verb in usage.out for verb in load_group(ROOMS[room][0]))


READING = (
    "access list",
    "data list",
    "runs list",
    "models list",
    "models verdicts",
    "releases list",
    "releases history",
    "serving predictions",
    "monitoring look",
    "monitoring windows",
    "monitoring alerts",
    "triggers list",
    "triggers firings",
    "triggers look",
    "backfill",
    "doctor",
    "fsck",
)


@pytest.mark.parametrize("name", READING)
def test_a_command_that_reads_answers_in_words_and_in_json_on_an_empty_project(
    name: str, trivet: Trivet, project: Path
) -> None:
    (project / "pipeline.py").write_text("")
    words = trivet(*name.split())
    assert (words.code, bool(words.out.strip())) == (0, True), words
    data = trivet(*name.split(), "--json")
    assert data.code == 0
    assert isinstance(data.data, list | dict)


def test_help_of_the_whole_names_every_command_and_room(trivet: Trivet) -> None:
    for words in ((), ("--help",), ("-h",), ("help",)):
        said = trivet(*words, here=False)
        assert said.code == 0
        assert all(f"  {name} " in said.out for name in (*COMMANDS, *ROOMS))


def test_the_version_is_the_package_s(trivet: Trivet) -> None:
    import trivet as package

    assert trivet("--version", here=False).out == f"trivet {package.__version__}\n"
