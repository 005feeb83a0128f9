"""Errors of users that break whoever reports them: the run's end is recorded all the same."""

from typing import Any

import pytest

from trivet.core.errors import Invalid

UNPRINTABLE = """
class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no words")
"""
NO_NOTES = """
class Odd(Exception):
    def add_note(self, note):
        raise RuntimeError("no notes")
"""
NO_TEXT = """
class Odd(Exception):
    def __init__(self):
        super().__init__("no file \\udcff.csv")
"""
IN_STEP = """
@step
def work() -> int:
    raise Odd()

@flow
def main():
    work()
"""
IN_FLOW = """
@flow
def main():
    raise Odd()
"""


@pytest.mark.parametrize("kind", [UNPRINTABLE, NO_NOTES, NO_TEXT])
@pytest.mark.parametrize("place", [IN_STEP, IN_FLOW])
def test_an_error_that_cannot_be_told_is_the_one_that_is_raised(
    project: Any, kind: str, place: str
) -> None:
    project.write(kind + place)
    with pytest.raises(Exception) as caught:  # noqa: PT011  # its class is the project's
        project.run()
    assert type(caught.value).__name__ == "Odd"
    (run,) = project.tracking.runs()
    assert run.status == "failed"
    assert "Odd" in run.finished.error
    failed = project.pipelines.failures(run.id)
    assert [failure.step for failure in failed] == (["work"] if place is IN_STEP else [])


def test_a_line_that_is_no_utf8_is_kept_with_escapes(project: Any) -> None:
    project.write("@flow\ndef main():\n    print('read \\udcff.csv')\n")
    run = project.run()
    assert run.status == "succeeded"
    assert [line.text for _, line in project.pipelines.lines(run.id)] == ["read \\udcff.csv"]


def test_a_failure_says_neither_a_secret_nor_what_a_terminal_would_obey(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEED_TOKEN", "tok-1234567890")
    monkeypatch.setenv("COLUMNS_WANTED", "three-columns")
    project.write(
        "import os\n@step\ndef read() -> int:\n"
        "    raise ValueError(f\"{os.environ['FEED_TOKEN']} \\x1b[31mred\\x1b]0;title\\x07\")\n"
        "@flow\ndef main():\n    read()\n"
    )
    told: list[str] = []
    with pytest.raises(ValueError, match="tok-1234567890"):  # the user's own error stays as it is
        project.pipelines.run("pipeline:main", on_event=lambda e: told.append(str(e)))
    (run,) = project.tracking.runs()
    (failure,) = project.pipelines.failures(run.id)
    for text in (run.finished.error, failure.error, *told):
        assert "tok-" not in text
        assert "\x1b" not in text
    assert "ValueError: *** red" in run.finished.error


CHAIN = """
@step
def work(how):
    try:
        try:
            {}["spoon"]
        except KeyError as error:
            raise ValueError("no soup\\nat all") from error
    except ValueError as error:
        if how == "group":
            raise ExceptionGroup("two", [TypeError("a"), OSError("b")]) from None
        if how == "none":
            raise RuntimeError("no dinner") from None
        raise RuntimeError("no dinner")

@flow
def main(how: str = ""):
    work(how)
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("", ["  while handling ValueError: no soup", "  caused by KeyError: 'spoon'"]),
        ("none", []),
        ("group", ["  with TypeError: a", "  with OSError: b"]),
    ],
)
def test_a_failed_run_says_what_its_error_was_raised_from(
    project: Any, how: str, said: list[str]
) -> None:
    project.write(CHAIN)
    with pytest.raises(Exception, match=r"no dinner|two"):
        project.run(how=how)
    lines = project.tracking.runs()[0].finished.error.splitlines()
    words = ("  while handling", "  caused by", "  with")
    assert [line for line in lines if line.startswith(words)] == said


def test_causes_in_a_circle_come_to_an_end(project: Any) -> None:
    project.write(
        "@flow\ndef main():\n    one, two = ValueError('one'), ValueError('two')\n"
        "    one.__cause__, two.__cause__ = two, one\n    raise one\n"
    )
    with pytest.raises(ValueError, match="one"):
        project.run()
    error = project.tracking.runs()[0].finished.error
    assert error.count("caused by") == 1


def test_an_error_of_trivet_is_not_explained_by_what_it_came_from(project: Any) -> None:
    project.write("@step\ndef work(x):\n    return x\n@flow\ndef main():\n    work()\n")
    with pytest.raises(Invalid, match="cannot be called so"):
        project.run()
    assert "caused by" not in project.tracking.runs()[0].finished.error
