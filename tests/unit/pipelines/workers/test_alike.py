"""What a flow sees of a step is the same, wherever the step runs."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trivet

Answer = Callable[[str], Any]


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answer]:
    """Run the flow `main` of a text, and return its output `found`."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "trivet.toml").write_text('project = "alike"\n')
    with trivet.open(tmp_path) as workspace:

        def run(text: str) -> Any:
            (tmp_path / "alike.py").write_text("from trivet import flow, step\n" + text)
            run = workspace.pipelines.run("alike:main")
            return workspace.pipelines.value(run.id, "found")

        yield run
    for name in ("alike", "late_helpers"):
        sys.modules.pop(name, None)


def test_a_module_that_only_steps_import_is_the_same_in_a_worker(
    answer: Answer, tmp_path: Path
) -> None:
    (tmp_path / "late_helpers.py").write_text("def ratio(n):\n    return n * 2\n")
    assert answer("""
@step
def here(n: int) -> int:
    import late_helpers
    return late_helpers.ratio(n)

@step(where="pool")
def there(n: int) -> int:
    from late_helpers import ratio
    return ratio(n)

@flow
def main():
    return {"found": [here(1), there(2)]}
""") == [2, 4]


def test_an_error_that_takes_other_arguments_than_it_keeps_crosses_with_its_class(
    answer: Answer,
) -> None:
    assert answer("""
class Odd(Exception):
    def __init__(self, place, *, rows):
        super().__init__(f"{rows} bad rows in {place}")
        self.rows = rows

@step(where="pool")
def check() -> int:
    raise Odd("a.csv", rows=[3])

@flow
def main():
    try:
        check()
    except Odd as error:
        return {"found": [error.rows, str(error)]}
""") == [[3], "[3] bad rows in a.csv"]
