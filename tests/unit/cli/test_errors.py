import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trivet.cli.dispatch import dispatch
from trivet.cli.errors import EXIT_CODES, FAILED, exit_code_of, show_error
from trivet.core import errors
from trivet.core.errors import Invalid, NotFound, TrivetError

Trivet = Callable[..., Any]
KINDS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, TrivetError) and value is not TrivetError
]


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == set(KINDS)
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert FAILED not in EXIT_CODES.values()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_below_another_has_the_other_s_code(kind: type[TrivetError]) -> None:
    class Finer(kind):  # pyright: ignore[reportUntypedBaseClass]
        pass

    assert exit_code_of(Finer("x")) == EXIT_CODES[kind]
    assert exit_code_of(TrivetError("x")) == FAILED


def test_an_error_says_what_is_wrong_then_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    error = Invalid("rows is a str", hint="Pass rows=100.")
    error.add_note("in step 'fit'")
    show_error(error, as_json=False)
    assert capsys.readouterr().err == (
        "error: rows is a str\n  in step 'fit'\n  next: Pass rows=100.\n"
    )


def test_an_error_for_programs_has_the_same_four_parts_as_over_http(trivet: Trivet) -> None:
    said = trivet("models", "show", "nope", "--json")
    assert (said.code, said.out) == (3, "")
    body = json.loads(said.err)
    assert set(body) == {"error", "code", "hint", "detail"}
    assert body["code"] == "no-model"


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (("mdels",), 2, "no command 'mdels'", "models"),
        (("frobnicate",), 2, "no command 'frobnicate'", "trivet --help"),
        (("models", "shwo"), 2, "no verb 'shwo'", "show"),
        (("models", "frobnicate"), 2, "no verb 'frobnicate'", "trivet models --help"),
        (("models", "show"), 2, "arguments are required: model", "trivet models show --help"),
        (("run", "--bogus"), 2, "unrecognized arguments: --bogus", "trivet run --help"),
        (("run", "--set", "rounds"), 2, "'rounds' has no value", "--set rounds=200"),
        (("run", "--set", "request=1"), 2, "'request' is no parameter", "Rename"),
        (("run", "train.py"), 2, "'train.py' names no flow", "pipeline:train"),
        (("logs", "lats"), 2, "'lats' names no run", "trivet runs"),
        (("logs", "abcd"), 3, "begins or ends with 'abcd'", "trivet runs"),
        (("run", "--task", "nope"), 3, "no task 'nope'", "trivet triggers"),
        (("models", "show", "nope"), 3, "no model 'nope'", "trivet models list"),
        (("data", "show", "nope"), 3, "no data set 'nope'", ""),
        (("data", "versions", "nope"), 3, "no data set 'nope'", ""),
        (("data", "import", "nope.csv"), 3, "no file 'nope.csv'", "Check the path"),
        (("release",), 3, "no model 'left'", "trivet models list"),
        (("release", "--promote"), 3, "'left' was never released", "trivet release"),
        (("why", "abc"), 2, "expected FLOW.STEP or an identifier", "trivet why train.fit"),
        (("replay", "0" * 12 + "7" + "0" * 19), 3, "no prediction", "Copy the identifier"),
        (("serving", "label"), 2, "no label is given", "trivet serving label"),
        (("serving", "label", "--file", "nope.csv"), 7, "No such file", "doctor"),
        (("triggers", "fire", "nope"), 3, "no trigger is named 'nope'", "trivet triggers"),
        (("triggers", "set", "x", "alert", "--flow", "a:b"), 2, "watches nothing", "watch"),
        (("triggers", "explain", "nope"), 3, "no trigger is named 'nope'", "trivet triggers"),
        (("triggers", "next", "nope"), 3, "no trigger is named 'nope'", "trivet triggers"),
        (
            ("triggers", "set", "x", "cron", "--watch", "0 3 * *", "--flow", "a:b"),
            2,
            "has 4 fields; expected five",
            "0 3 * * 1",
        ),
        (
            ("triggers", "set", "x", "files", "--watch", "/etc", "--flow", "a:b"),
            2,
            "outside the project",
            "[triggers] folders",
        ),
        (("backfill", "--status", "nope"), 3, "no back-fill is named 'nope'", "trivet backfill"),
        (("backfill", "--over", "day"), 2, "expected name=values", "day=2026-01-01..2026-01-31"),
        (("access", "revoke", "nope"), 3, "no token is named 'nope'", ""),
        (("access", "rotate", "nope"), 3, "no token named 'nope'", "trivet access list"),
        (("access", "issue", "x", "--days", "0"), 2, "days is 0; expected more than 0", "rotated"),
        (
            ("models", "approve", "0" * 32, "--reason", "x"),
            3,
            "no request 0",
            "trivet models approve",
        ),
        (("compare", "last"), 3, "there is no run yet", "trivet run"),
        (("graph", "--run", "last"), 3, "no run of a flow yet", "trivet run"),
        (("restore", "nope"), 3, "no finished backup", "trivet backup"),
    ],
)
def test_a_mistake_is_one_clear_message_with_the_next_step(
    trivet: Trivet, project: Path, words: tuple[str, ...], code: int, message: str, hint: str
) -> None:
    (project / "gate.toml").write_text("")
    said = trivet(*words)
    assert (said.code, said.out) == (code, ""), said
    assert said.err.startswith("error: ")
    assert message in said.err
    assert hint in said.err
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) <= 3


def test_without_a_project_every_command_says_so_alike(trivet: Trivet, tmp_path: Path) -> None:
    for words in (("run",), ("models",), ("release",), ("up",), ("fsck",), ("why", "x")):
        said = trivet(*words, "--project", str(tmp_path), here=False)
        assert said.code == 3, words
        assert "no trivet.toml here" in said.err
        assert "trivet init" in said.err
    assert [item.name for item in tmp_path.iterdir()] == ["left"]


def test_a_missing_gate_is_noticed_before_anything_is_run(trivet: Trivet, project: Path) -> None:
    (project / "pipeline.py").write_text("raise SystemExit('this must not run')")
    said = trivet("run")
    assert said.code == 3
    assert "the project has no gate.toml" in said.err
    assert trivet("runs", "--json").data["runs"] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gate.toml", "[quality"),
        ("gate.toml", "[qualty]"),
        ("gate.toml", 'warn = ["qualty"]'),
        ("release.toml", "automatic = 1"),
        ("trivet.toml", "project ="),
    ],
)
def test_a_file_that_cannot_be_read_is_noticed_before_anything_is_run(
    trivet: Trivet, project: Path, name: str, text: str
) -> None:
    (project / "gate.toml").write_text("")
    (project / name).write_text(text)
    said = trivet("run")
    assert said.code == 2
    assert "cannot be read" in said.err or "no check" in said.err
    assert "next: " in said.err


def test_labels_from_a_file_are_taken_all_or_none(trivet: Trivet, project: Path) -> None:
    path = project / "labels.csv"
    for text, words in (
        ("id,value\nx,1\n", "no column 'prediction'"),
        ("prediction,value\nx,\n", "line 2 of 'labels.csv' lacks"),
        ('prediction,value\n"x,1\n', "no CSV text"),
    ):
        path.write_text(text)
        said = trivet("serving", "label", "--file", str(path))
        assert (said.code, words in said.err) == (2, True), said


def in_a_process(*words: str, folder: Path, head: str = "") -> "subprocess.CompletedProcess[str]":
    source = str(Path(__file__).parents[3] / "src")
    environment = {"PYTHONPATH": source, "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    command = f"{sys.executable} -m trivet {' '.join(words)} {head}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "words", [("--help",), ("run", "--help"), ("models", "--help"), ("frob", "2>&1")]
)
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    # `exec true` closes the pipe before a word is read.
    done = in_a_process(*words, folder=tmp_path, head="| exec true")
    assert done.stderr == ""


def test_what_the_system_refuses_is_said_without_a_traceback(trivet: Trivet, project: Path) -> None:
    said = trivet("serving", "label", "--file", str(project))
    assert said.code == 7
    assert "Is a directory" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (SystemExit(), 0),
        (SystemExit(4), 4),
        (SystemExit("words"), 1),
        (KeyboardInterrupt(), 130),
        (NotFound("gone"), 3),
    ],
)
def test_however_a_command_ends_it_has_an_exit_code(
    raised: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import types

    from trivet.cli.command import Answer, Command

    def run(_: object) -> Answer:
        raise raised

    module = types.ModuleType("ends")
    module.__dict__["command"] = Command("Ends.", "trivet ends", run)
    monkeypatch.setitem(sys.modules, "ends", module)
    assert dispatch(["ends"], {"ends": ("ends:command", "")}, {}) == code


def test_an_error_s_text_does_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = "the run failed: \x1b[2Jgone\r\n  pipeline.py:3"
    error = TrivetError(text, hint="\x1b]0;title\x07Mend")
    error.add_note("in \x1b[31mstep")
    show_error(error, as_json=False)
    shown = capsys.readouterr().err
    assert shown == "error: the run failed: gone\n  pipeline.py:3\n  in step\n  next: Mend\n"
