"""What a fingerprint cannot follow, it names."""

import importlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest

from trivet.core.fingerprints.fingerprint import fingerprint

_NUMBERS = itertools.count(1)


class Sources:
    """A folder of modules with names that no other test has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"limited{next(_NUMBERS)}"

    def limits(self, text: str, **others: str) -> list[str]:
        for name, other in {self.name: text, **others}.items():
            path = self._folder / name.replace("__", "/", 1)
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".py").write_text(other, "utf-8")
        module: Any = importlib.import_module(self.name)
        return [
            limit.text.replace(self.name, "work") for limit in fingerprint(module.compute).limits
        ]


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sources]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = {*sys.modules}
    yield Sources(tmp_path)
    for name in {*sys.modules} - before:
        sys.modules.pop(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import importlib\ndef compute(x):\n    return importlib.import_module(x)\n",
            "work.compute imports a module by a computed name (line 3)",
        ),
        (
            "from importlib import import_module as take\ndef compute(x):\n    return take(x)\n",
            "work.compute imports a module by a computed name (line 3)",
        ),
        (
            (
                "def compute(x):\n    from importlib import import_module\n"
                "    return import_module(x)\n"
            ),
            "work.compute imports a module by a computed name (line 3)",
        ),
        (
            "def compute(x):\n    return __import__(x)\n",
            "work.compute imports a module by a computed name (line 2)",
        ),
        ("def compute(x):\n    return eval(x)\n", "work.compute runs text as code (eval) (line 2)"),
        ("def compute(x):\n    exec('a = 1')\n", "work.compute runs text as code (exec) (line 2)"),
        (
            "import runpy\ndef compute(x):\n    return runpy.run_path(x)\n",
            "work.compute runs a file as code (line 3)",
        ),
        (
            "import email\ndef compute(x):\n    email.charset = x\n",
            "work.compute changes email.charset while it runs (line 3)",
        ),
        (
            "class Count:\n    total = 0\ndef compute(x):\n    Count.total += x\n",
            "work.compute changes Count.total while it runs (line 4)",
        ),
        (
            "import email\ndef compute(x):\n    setattr(email, 'charset', x)\n",
            "work.compute changes an attribute of email while it runs (line 3)",
        ),
        (
            "import sys\ndef compute(x):\n    return sys.modules[x]\n",
            "work.compute takes a module out of sys.modules by a computed name (line 3)",
        ),
        (
            "import os\ndef compute(x):\n    return os.environ['HOME']\n",
            "work.compute reads the environment's variables; pass them as arguments (line 3)",
        ),
        (
            (
                "import pathlib\nPure = pathlib.PurePath\nPure.extra = 1\n"
                "def compute(x):\n    return x\n"
            ),
            "work replaces PurePath.extra in a library (line 3)",
        ),
        (
            "def compute(x):\n    return type(x).__subclasses__()\n",
            "work.compute looks for subclasses while it runs (line 2)",
        ),
    ],
)
def test_what_cannot_be_followed_is_named(
    sources: Sources, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PurePath, "extra", 0, raising=False)  # so that it is taken away again
    assert sources.limits(text) == [said]


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\ndef compute(x):\n    return importlib.import_module('json')\n",
        (
            "import importlib\nNAME = 'json'\ndef compute(x):\n"
            "    return importlib.import_module(NAME)\n"
        ),
        "import json\ndef compute(x):\n    return getattr(json, x)\n",
        "def compute(x):\n    return getattr(x, 'real')\n",
        "def compute(x):\n    return globals()[x]\n",
        (
            "class A:\n    def go(self, x):\n        self.x = x\n        return getattr(self, x)\n"
            "def compute(x):\n    return A().go(x)\n"
        ),
        "def compute(x):\n    x.attribute = 1\n    return x\n",
        "class A:\n    pass\ndef compute(x):\n    return A.__subclasses__()\n",
        "live = iter([1])\ndef compute(x):\n    return next(live)\n",
    ],
)
def test_what_is_followed_after_all_is_no_limit(sources: Sources, text: str) -> None:
    assert sources.limits(text) == []


def test_a_part_of_the_user_s_own_package_that_is_found_by_name_is_a_limit(
    sources: Sources,
) -> None:
    found = sources.limits(
        "import oddpack\ndef compute(x):\n    return getattr(oddpack, x)\n",
        oddpack____init__="",
        oddpack__part="A = 1\n",
    )
    assert found == ["work.compute takes a part of package oddpack by a computed name (line 3)"]


def test_a_limit_of_a_helper_is_a_limit_of_the_step(sources: Sources) -> None:
    found = sources.limits(
        "import odd_helper\ndef compute(x):\n    return odd_helper.run(x)\n",
        odd_helper="def run(x):\n    return eval(x)\n",
    )
    assert found == ["odd_helper.run runs text as code (eval) (line 2)"]


def test_limits_are_found_without_any_source_by_name_alone() -> None:
    names: dict[str, Any] = {"__name__": "cell"}
    exec(compile("def compute(x): return eval(x)", "<cell>", "exec"), names)  # noqa: S102
    (limit,) = fingerprint(names["compute"]).limits
    assert "eval" in limit.what


def test_reading_the_syntax_asks_nothing_of_the_objects_it_meets(sources: Sources) -> None:
    text = """
import lazy_module
class Odd:
    def __eq__(self, other):
        raise AssertionError
    __hash__ = None
    def __call__(self, x):
        return x
odd = Odd()
def compute(x):
    from lazy_module import heavy
    odd(x)
    return getattr(x, "real"), heavy
"""
    lazy = "def __getattr__(name):\n    if name == 'heavy':\n        raise AssertionError\n"
    lazy += "    raise AttributeError(name)\n"
    assert sources.limits(text, lazy_module=lazy) == []


def test_what_no_statement_makes_and_what_its_attributes_do_not_show_is_named(
    sources: Sources,
) -> None:
    text = (
        "import struct\nimport numpy\nCODE = None\n"
        "def choose(form):\n    global CODE\n    CODE = struct.Struct(form)\n"
        "choose('<i')\nEACH = {}\n"
        "def fill():\n    EACH['one'] = numpy.frompyfunc(lambda x: x, 1, 1)\n"
        "fill()\n"
        "def compute(x):\n    return CODE.size, EACH\n"
    )
    assert sources.limits(text) == [
        "work.CODE holds a _struct.Struct, told apart by nothing but its type",
        "work.EACH holds a numpy.ufunc, told apart by nothing but its type",
    ]
