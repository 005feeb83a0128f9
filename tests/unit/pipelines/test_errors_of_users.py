"""Errors of users that break whoever reports them: the run's end is recorded all the same."""

from typing import Any

import pytest

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
