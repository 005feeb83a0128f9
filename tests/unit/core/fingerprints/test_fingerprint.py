"""Each kind of edit, made in a real file and imported anew: does the fingerprint move with it?"""

import importlib
import io
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.core.fingerprints.fingerprint import Fingerprint, fingerprint

PIPELINE = '''
import functools
import math
import helpers
from helpers import Scaler, ratio as share

LIMIT = 3
NAMES = {"a": [1, 2], "b": (None, 0.5)}
TABLE = helpers.Table(7)

def remember(function):
    @functools.wraps(function)
    def inner(*arguments):
        return function(*arguments)
    return inner

def train(rows, rate=0.1):
    """Train."""
    # a comment
    return [share(row) * rate for row in rows if row < LIMIT]

@remember
def wrapped(rows):
    return helpers.deep.square(sum(rows))

def scaled(rows):
    return Scaler(2).scale(rows)

def named(key):
    return NAMES[key], math.pi, TABLE

def late(rows):
    from helpers import late_one
    return late_one(rows)

def make(factor):
    def times(value):
        return value * factor
    return times

double = make(2)

def doubled(rows):
    return [double(row) for row in rows]

def spare():
    return 1
'''

HELPERS = '''
import deep

FLOOR = 0.5

class Table:
    def __init__(self, size):
        self.size = size

class Parent:
    OFFSET = 1

class Scaler(Parent):
    """Scales."""

    def __init__(self, factor):
        self.factor = factor

    @property
    def doubled(self):
        return self.factor * 2

    def scale(self, rows):
        return [row * self.doubled + self.OFFSET for row in rows]

def ratio(row):
    return max(deep.square(row), FLOOR)

def late_one(rows):
    return rows
'''

DEEP = """
def square(value):
    return value * value

def cube(value):
    return value * value * value
"""


class Project:
    """Source files in a folder, imported afresh after each edit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._clock = itertools.count(1)
        self._names: set[str] = set()

    def write(self, name: str, text: str) -> None:
        path = self.folder / f"{name}.py"
        path.write_text(text, "utf-8")
        # A file system's clock may tick more slowly than a test writes.
        os.utime(path, ns=(next(self._clock) * 10**9,) * 2)
        self._names.add(name)

    def edit(self, name: str, before: str, after: str) -> None:
        text = (self.folder / f"{name}.py").read_text("utf-8")
        assert text.count(before) == 1, (before, text.count(before))
        self.write(name, text.replace(before, after))

    def load(self, name: str = "pipeline") -> Any:
        for known in self._names:
            sys.modules.pop(known, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def print_of(self, function: str, **options: Any) -> Fingerprint:
        return fingerprint(getattr(self.load(), function), **options)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Project(tmp_path)
    made.write("pipeline", PIPELINE)
    made.write("helpers", HELPERS)
    made.write("deep", DEEP)
    yield made
    for name in made._names:
        sys.modules.pop(name, None)


def moved(project: Project, function: str, edit: tuple[str, str, str]) -> set[str]:
    before = project.print_of(function)
    project.edit(*edit)
    after = project.print_of(function)
    names = before.parts.keys() | after.parts.keys()
    changed = {name for name in names if before.parts.get(name) != after.parts.get(name)}
    assert bool(changed) == (before.digest != after.digest)
    return changed


@pytest.mark.parametrize(
    ("function", "edit", "expected"),
    [
        pytest.param("train", ("pipeline", "* rate", "+ rate"), {"pipeline.train"}, id="itself"),
        pytest.param(
            "train", ("helpers", "return max(", "return min("), {"helpers.ratio"}, id="helper"
        ),
        pytest.param(
            "train",
            ("deep", "return value * value\n", "return value**2\n"),
            {"deep.square"},
            id="helper's helper",
        ),
        pytest.param(
            "train", ("pipeline", "LIMIT = 3", "LIMIT = 4"), {"pipeline.LIMIT"}, id="constant"
        ),
        pytest.param(
            "train",
            ("helpers", "FLOOR = 0.5", "FLOOR = 0.6"),
            {"helpers.FLOOR"},
            id="constant of a helper",
        ),
        pytest.param(
            "train", ("pipeline", "rate=0.1", "rate=0.2"), {"pipeline.train"}, id="default argument"
        ),
        pytest.param(
            "named",
            ("pipeline", "(None, 0.5)", "(None, 0.25)"),
            {"pipeline.NAMES"},
            id="deep inside a constant",
        ),
        pytest.param(
            "named", ("pipeline", "Table(7)", "Table(8)"), {"pipeline.TABLE"}, id="object"
        ),
        pytest.param("scaled", ("helpers", "+ self.OFFSET", "- self.OFFSET"), None, id="method"),
        pytest.param("scaled", ("helpers", "factor * 2", "factor * 3"), None, id="property"),
        pytest.param("scaled", ("helpers", "OFFSET = 1", "OFFSET = 2"), None, id="parent class"),
        pytest.param("doubled", ("pipeline", "make(2)", "make(3)"), None, id="closure"),
        pytest.param(
            "wrapped", ("deep", "return value * value\n", "return 1\n"), None, id="chain of modules"
        ),
        pytest.param(
            "wrapped",
            ("pipeline", "return function(*arguments)", "return function(*arguments), 1"),
            None,
            id="what a decorator does",
        ),
        pytest.param(
            "late", ("helpers", "    return rows\n", "    return 1\n"), None, id="import inside"
        ),
    ],
)
def test_an_edit_that_matters_moves_the_fingerprint(
    project: Project, function: str, edit: tuple[str, str, str], expected: set[str] | None
) -> None:
    changed = moved(project, function, edit)
    assert changed
    if expected is not None:
        assert changed == expected


@pytest.mark.parametrize(
    ("function", "edit"),
    [
        pytest.param("train", ("pipeline", "# a comment", "# another"), id="comment"),
        pytest.param(
            "train",
            ("pipeline", '"""Train."""', '"""Train a model.\n\n    Well."""'),
            id="docstring",
        ),
        pytest.param("train", ("pipeline", '"""Train."""\n', "\n"), id="docstring gone"),
        pytest.param(
            "train",
            (
                "pipeline",
                "[share(row) * rate for row",
                "[\n        (share( row )*rate)\n        for row",
            ),
            id="formatting",
        ),
        pytest.param(
            "train",
            ("pipeline", "LIMIT = 3", "LIMIT  =  (3)  # rows"),
            id="formatting of a constant",
        ),
        pytest.param("train", ("pipeline", "    return 1\n", "    return 2\n"), id="a stranger"),
        pytest.param(
            "train", ("pipeline", "import functools\n", "\n\n\nimport functools\n"), id="moved down"
        ),
        pytest.param(
            "train",
            ("deep", "value * value * value", "value**3"),
            id="a stranger in a helper's module",
        ),
        pytest.param(
            "scaled", ("helpers", '"""Scales."""', '"""Scales rows."""'), id="docstring of a class"
        ),
    ],
)
def test_an_edit_that_does_not_matter_leaves_it(
    project: Project, function: str, edit: tuple[str, str, str]
) -> None:
    assert moved(project, function, edit) == set()


def test_a_decorator_s_options_do_not_count_but_its_dependencies_do(project: Project) -> None:
    project.write(
        "pipeline",
        "from trivet.pipelines.authoring import step\n"
        "@step(retries=2)\n"
        "def inner(row):\n    return row\n"
        "def outer(rows):\n    return [inner(row) for row in rows]\n",
    )
    assert moved(project, "outer", ("pipeline", "retries=2", "retries=5")) == set()
    assert moved(project, "inner", ("pipeline", "@step(retries=5)", "@step")) == set()
    assert moved(project, "outer", ("pipeline", "@step", "@step(version='2')")) == {
        "pipeline.outer"
    }
    assert moved(project, "outer", ("pipeline", "return row\n", "return -row\n")) == {
        "pipeline.inner"
    }


def test_the_version_of_an_installed_distribution_counts(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(str(library))
    (library / "oddlib").mkdir(parents=True)
    (library / "oddlib" / "__init__.py").write_text("def odd(x):\n    return x\n")
    project.write("pipeline", "import oddlib\ndef train(x):\n    return oddlib.odd(x)\n")
    seen: list[Fingerprint] = []
    for version in ("1.0", "1.1"):
        folder = library / f"odd_lib-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: Odd-Lib\nVersion: {version}\n"
        )
        (folder / "top_level.txt").write_text("oddlib\n")
        forget_distributions()
        seen.append(project.print_of("train"))
        (folder / "METADATA").unlink()
        (folder / "top_level.txt").unlink()
        folder.rmdir()
    sys.modules.pop("oddlib", None)
    forget_distributions()
    assert [item.parts["package odd-lib"] for item in seen] == ["1.0", "1.1"]
    assert seen[0].digest != seen[1].digest


def forget_distributions() -> None:
    from trivet.core.fingerprints import modules

    modules.distribution_of.cache_clear()
    modules._distributions.cache_clear()
    importlib.invalidate_caches()


def test_a_file_edited_after_its_import_is_not_taken_for_the_code_that_runs(
    project: Project,
) -> None:
    old = project.load().train
    before = fingerprint(old)
    project.edit("pipeline", "* rate", "+ rate")
    stale = fingerprint(old)
    fresh = project.print_of("train")
    assert len({before.digest, stale.digest, fresh.digest}) == 3


def test_a_function_without_a_file_is_known_by_its_byte_code() -> None:
    def typed(text: str) -> Callable[..., Any]:
        names: dict[str, Any] = {"__name__": "cell"}
        exec(compile(text, "<cell>", "exec"), names)  # noqa: S102  # as a notebook does
        return names["f"]

    one = fingerprint(typed("def g(x): return x\ndef f(x): return g(x) + 1"))
    two = fingerprint(typed("def g(x): return x\n\n\n# note\ndef f(x): return g(x) + 1"))
    other = fingerprint(typed("def g(x): return -x\ndef f(x): return g(x) + 1"))
    assert one.digest == two.digest != other.digest


def test_functions_that_call_each_other_in_a_circle_come_to_an_end(project: Project) -> None:
    project.write(
        "pipeline",
        "def even(n):\n    return n == 0 or odd(n - 1)\n"
        "def odd(n):\n    return n != 0 and even(n - 1)\n",
    )
    assert {"pipeline.even", "pipeline.odd"} <= project.print_of("even").parts.keys()
    assert moved(project, "even", ("pipeline", "n != 0", "n > 0")) == {"pipeline.odd"}


def test_two_helpers_that_swap_their_names_are_noticed(project: Project) -> None:
    project.write(
        "pipeline",
        "from deep import square as a, cube as b\ndef train(x):\n    return a(x) - b(x)\n",
    )
    assert moved(
        project, "train", ("pipeline", "square as a, cube as b", "cube as a, square as b")
    ) == {"pipeline.train"}


def test_dependencies_and_versions_that_are_declared_count(project: Project) -> None:
    file = project.folder / "prices.csv"
    file.write_text("1\n")
    digests = {project.print_of("train").digest, project.print_of("train", version="2").digest}
    digests.add(project.print_of("train", depends=[file]).digest)
    file.write_text("2\n")
    digests.add(project.print_of("train", depends=[file]).digest)
    digests.add(project.print_of("train", depends=[{"epochs": 3}]).digest)
    assert len(digests) == 5


def test_a_live_object_counts_by_the_statement_that_made_it(project: Project) -> None:
    project.write(
        "pipeline",
        "import logging\nfrom helpers import FLOOR\nfrom threading import Semaphore\n"
        "log = logging.getLogger('a')\nslots = Semaphore(3)\n"
        "def train(x):\n    with slots:\n        log.info('x')\n    return x\n",
    )
    assert moved(project, "train", ("pipeline", "Semaphore(3)", "Semaphore(4)")) == {
        "pipeline.slots"
    }
    module = project.load()
    before = fingerprint(module.train)
    module.log.setLevel(10)
    with module.slots:
        assert fingerprint(module.train).digest == before.digest


def test_values_that_only_their_type_tells_apart_are_named() -> None:
    blank = iter([1])

    def train() -> Any:
        return blank

    assert any("list_iterator" in limit.text for limit in fingerprint(train).limits)


def test_frames_and_arrays_among_the_constants_count_by_content() -> None:
    import numpy as np

    def make(values: Any) -> Callable[[], Any]:
        def train() -> Any:
            return values

        return train

    def digester(value: object) -> str | None:
        return value.tobytes().hex() if isinstance(value, np.ndarray) else None

    one, same, other = (
        fingerprint(make(np.arange(n)), digester=digester).digest for n in (3, 3, 4)
    )
    assert one == same != other


def test_an_instance_counts_by_its_class_and_its_state(project: Project) -> None:
    module = project.load()

    def holding(value: object) -> str:
        def train() -> object:
            return value

        return fingerprint(train).digest

    assert holding(module.helpers.Table(1)) == holding(module.helpers.Table(1))
    assert holding(module.helpers.Table(1)) != holding(module.helpers.Table(2))


def test_a_container_that_holds_itself_comes_to_an_end() -> None:
    circle: list[Any] = [1]
    circle.append(circle)

    def train() -> Any:
        return circle

    assert fingerprint(train).digest == fingerprint(train).digest


def test_reading_a_value_twice_gives_the_same_digest_in_another_process(project: Project) -> None:
    import subprocess

    command = "import pipeline; from trivet.core.fingerprints.fingerprint import fingerprint as f;"
    command += (
        "print(*(f(getattr(pipeline, n)).digest for n in ('train','named','scaled','wrapped')))"
    )
    places = [str(project.folder), *(path for path in sys.path if path)]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", command],
            check=True,
            capture_output=True,
            env={"PYTHONPATH": os.pathsep.join(places), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    here = " ".join(project.print_of(n).digest for n in ("train", "named", "scaled", "wrapped"))
    assert outputs == {here.encode() + b"\n"}


def test_data_that_stands_in_many_places_is_described_once(project: Project) -> None:
    project.write(
        "pipeline",
        "DEEP = []\nfor _ in range(80):\n    DEEP = [DEEP, DEEP]\n\ndef train(): return DEEP\n",
    )
    before = project.load().train
    found = fingerprint(before)
    assert found.digest == fingerprint(before).digest
    project.write(
        "pipeline",
        "DEEP = [1]\nfor _ in range(80):\n    DEEP = [DEEP, DEEP]\n\ndef train(): return DEEP\n",
    )
    assert fingerprint(project.load().train).digest != found.digest


def test_a_walk_through_data_full_of_circles_ends_and_says_what_it_left_out(
    project: Project,
) -> None:
    project.write(
        "pipeline",
        "class Node:\n    pass\n\nNODES = [Node() for _ in range(40)]\n"
        "for node in NODES:\n    node.others = list(NODES)\n\n"
        "def train(): return NODES\n",
    )
    found = fingerprint(project.load().train)
    assert any("too deep inside" in limit.text for limit in found.limits)


@pytest.mark.parametrize("kind", ["BytesIO", "StringIO"])
def test_a_file_in_memory_counts_by_what_is_in_it(kind: str) -> None:
    def reader(content: str) -> Callable[[], Any]:
        held = io.BytesIO(content.encode()) if kind == "BytesIO" else io.StringIO(content)

        def read() -> Any:
            return held.getvalue()

        return read

    def digest(content: str) -> str:
        return fingerprint(reader(content)).digest

    assert digest("1,2") == digest("1,2") != digest("1,3")
