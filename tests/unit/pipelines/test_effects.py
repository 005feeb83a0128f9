"""Effects: told apart by where they stand, and not done twice for one request."""

import sys
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import Conflict

SENDS = """
@effect
def send(text: str) -> None:
    with open({file!r}, "a") as file:
        file.write("{who} " + text + "\\n")
"""
RETURNS = """
import dataclasses

@dataclasses.dataclass
class Receipt:
    {field}: int

@effect
def send(text: str):
    with open({file!r}, "a") as file:
        file.write(text + "\\n")
    return Receipt(1)

@flow
def main():
    send("hello")
    {then}
"""


def test_two_effects_of_one_name_are_two_effects(project: Any, tmp_path: Path) -> None:
    log = tmp_path / "sent.txt"
    for who in ("mail", "chat"):
        project.write(SENDS.format(file=str(log), who=who), who)
    project.write("import mail, chat\n@flow\ndef main():\n    mail.send('x')\n    chat.send('x')\n")
    project.run()
    assert log.read_text("utf-8").splitlines() == ["mail x", "chat x"]


def test_an_effect_whose_value_is_lost_is_repeated_only_when_it_is_named(
    project: Any, tmp_path: Path
) -> None:
    log = tmp_path / "sent.txt"
    text = RETURNS.format(file=str(log), field="number", then="1 / 0")
    project.write(text)
    with pytest.raises(ZeroDivisionError):
        project.run()
    project.write(RETURNS.format(file=str(log), field="count", then="pass"))
    with pytest.raises(Conflict, match="was done for this request") as caught:
        project.run()
    assert caught.value.code == "effect-done"
    assert log.read_text("utf-8").splitlines() == ["hello"]
    assert project.run(again=["send"]).status == "succeeded"
    assert log.read_text("utf-8").splitlines() == ["hello", "hello"]


def test_an_effect_that_was_cut_off_is_done_again_under_its_key_and_told_of(project: Any) -> None:
    project.write(
        "from trivet.pipelines.context import current\n"
        "keys = []\n"
        "@effect\ndef send() -> int:\n"
        "    keys.append(current().effect_key)\n"
        "    if len(keys) == 1:\n        raise KeyboardInterrupt\n"
        "    return 1\n"
        "@flow\ndef main():\n    return {'sent': send()}\n"
    )
    told: list[str] = []

    def hear(event: Any) -> None:
        if event.kind == "warned":
            told.append(event.text)

    with pytest.raises(KeyboardInterrupt):
        project.run(on_event=hear)
    assert told == []
    project.run(on_event=hear)
    (text,) = told
    assert "'send' was begun before and is not known to be done: it is done again" in text
    first, second = sys.modules["pipeline"].keys
    assert first == second is not None
