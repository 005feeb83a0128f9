"""Pieces of source by the name of a part, and what became of them."""

from collections.abc import Mapping

import pytest

from trivet.pipelines.explaining.sources import Sources, compare_part

TEXT = """
import re
from .inner import BASE
from lib.inner import (
    RATE as SHARE,
)

try:
    import fast
except ImportError:
    fast = None

@decorate(
    1
)
def outer(x):
    def within(y):
        return y
    return within

class Scaler:
    by = 2

    @property
    def doubled(self):
        return self.by * 2

double = lambda x: x * 2
TABLE = {"a": BASE,
         "b": [SHARE]}
first, second = 1, 2
TABLE["c"] = 3
re.purge()
"""


def sources(files: Mapping[str, str], name: str = "then") -> Sources:
    return Sources(files.get, name)


@pytest.mark.parametrize(
    ("part", "kind", "begins", "ends"),
    [
        ("lib.work.outer", "function", "@decorate(", "return within"),
        ("lib.work.outer.<locals>.within", "function", "def within(y):", "return y"),
        ("lib.work.outer.<locals>.within#2", "function", "def within(y):", "return y"),
        ("lib.work.Scaler", "class", "class Scaler:", "return self.by * 2"),
        ("lib.work.Scaler.doubled", "function", "@property", "return self.by * 2"),
        ("lib.work.<lambda>", "function", "double = lambda", "x * 2"),
        ("lib.work.TABLE", "constant", 'TABLE = {"a": BASE,', '"b": [SHARE]}\nTABLE["c"] = 3'),
        ("lib.work.second", "constant", "first, second", "= 1, 2"),
        ("lib.work.SHARE", "constant", "from lib.inner import (", ")"),
        ("lib.work.fast", "constant", "import fast", "fast = None"),
        ("lib.work (whole)", "module", "\nimport re", "re.purge()\n"),
        ("lib.work (settings)", "module", "re.purge()", "re.purge()"),
    ],
)
@pytest.mark.parametrize("file", ["lib/work.py", "lib/work/__init__.py", "src/lib/work.py"])
def test_a_part_is_cut_out_of_its_file(
    part: str, kind: str, begins: str, ends: str, file: str
) -> None:
    cut = sources({file: TEXT}).cut(part)
    assert cut is not None
    assert cut.kind == kind
    assert cut.text.startswith(begins)
    assert cut.text.endswith(ends)


@pytest.mark.parametrize("part", ["lib.work.absent", "other.thing", "lib.work.Scaler.absent", "x"])
def test_a_part_that_is_not_there_has_no_text(part: str) -> None:
    assert sources({"lib/work.py": TEXT}).cut(part) is None


def test_a_file_that_is_no_python_has_no_parts() -> None:
    assert sources({"work.py": "def broken(:\n"}).cut("work.broken") is None


def test_what_a_constant_is_made_from_is_followed_over_modules() -> None:
    files = {
        "lib/work.py": TEXT,
        "lib/inner.py": "from lib.deep import ONE\nBASE = ONE\n",
        "lib/deep.py": "ONE = 1\n",
    }
    after = files | {"lib/deep.py": "ONE = 2\n"}
    found = compare_part("lib.work.TABLE", sources(files), sources(after, "now"))
    assert found.kind == "constant"
    assert found.diff == (
        "--- lib.deep.ONE (then)\n+++ lib.deep.ONE (now)\n@@ -1 +1 @@\n-ONE = 1\n+ONE = 2"
    )
    assert found.note == "what it is made from is another"


def test_where_nothing_else_explains_it_the_whole_module_is_compared() -> None:
    before = {"work.py": "def make(by):\n    def times(x):\n        return x * by\n"}
    after = {"work.py": before["work.py"] + "double = make(2)\n"}
    found = compare_part("work.make.<locals>.times", sources(before), sources(after))
    assert "+double = make(2)" in found.diff
    assert "around it" in found.note


def test_names_that_refer_to_each_other_come_to_an_end() -> None:
    files = {"work.py": "A = B\nB = A\n"}
    found = compare_part("work.A", sources(files), sources(files))
    assert (found.diff, found.note) == ("", "its text is the same; what it holds is another")


def test_a_part_without_source_says_so() -> None:
    assert compare_part("cell.f", sources({}), sources({})).note == "no source of it was kept"


def test_a_very_long_difference_is_cut_short() -> None:
    after = {"work.py": "A = [\n" + "1,\n" * 3000 + "]\n"}
    diff = compare_part("work.A", sources({"work.py": "A = 1\n"}), sources(after)).diff
    assert len(diff.splitlines()) < 410
    assert diff.endswith("more lines")
