import json
import sys
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import Conflict, Invalid, NotFound, Refused, Unsupported
from trivet.pipelines.notebooks.service import Wishes, adopt_notebook

REFUSED = {
    "a shell command": ("!ls -l", "a shell command: !ls -l"),
    "an assigned shell command": ("files = !ls", "the result of a shell command is assigned"),
    "a cell of another language": ("%%bash\necho hi", "the cell magic %%bash"),
    "html": ("%%html\n<b>hi</b>", "the cell magic %%html"),
    "an unknown magic": ("%sql select 1", "the magic %sql has no form"),
    "a changed folder": ("%cd ..", "%cd changes the process"),
    "os.chdir": ("import os\nos.chdir('..')", "it changes the working folder"),
    "a question": ("name = input('who? ')", "it asks a person"),
    "await": ("import asyncio\nawait asyncio.sleep(0)", "it awaits at the top level"),
    "an asynchronous loop": ("[i async for i in x]", "it awaits at the top level"),
    "IPython itself": ("shell = get_ipython()", "it speaks to IPython"),
    "widgets": ("import ipywidgets as w\nw.IntSlider()", "it uses widgets: ipywidgets"),
    "rich output": ("from IPython.display import HTML\nHTML('x')", "it shows rich output: HTML"),
    "what was shown last": ("x = _ + 1", "it reads _"),
    "the namespace": ("globals()['x'] = 1", "it calls globals()"),
    "code from text": ("exec('x = 1')", "it calls exec()"),
    "an unknown star": ("from not_there_at_all import *", "nobody can tell what"),
    "the main program": ("if __name__ == '__main__':\n    x = 1", "it reads __name__"),
    "no Python": ("x = (1,", "it is no valid Python"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_cell_that_cannot_be_converted_is_named_with_its_reason(what: str, desk: Any) -> None:
    source, reason = REFUSED[what]
    path = desk.save("#md # Title", "a = 1", source)
    with pytest.raises(Invalid) as caught:
        adopt_notebook(path, desk.folder, Wishes())
    first = source.split("\n")[0]
    assert f"cell 3 ({first}): " in caught.value.message
    assert reason in caught.value.message
    assert caught.value.hint
    assert caught.value.detail["cells"][0]["cell"] == 3
    assert [item.name for item in desk.folder.iterdir()] == ["analysis.ipynb"]


def test_every_cell_that_cannot_be_converted_is_named_at_once(desk: Any) -> None:
    with pytest.raises(Invalid, match="2 cells cannot be converted") as caught:
        desk.adopt("!ls", "x = 1", "%%bash\nls")
    assert [found["cell"] for found in caught.value.detail["cells"]] == [1, 3]


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (b"not json", Invalid, "bad-notebook"),
        (b"[]", Invalid, "bad-notebook"),
        (b'{"cells": []}', Invalid, "bad-notebook"),
        (b'{"nbformat": 4, "cells": {}}', Invalid, "bad-notebook"),
        (b'{"nbformat": 3, "worksheets": []}', Unsupported, "notebook-format"),
    ],
)
def test_what_is_no_notebook_of_format_4_is_refused(
    content: bytes, kind: type[Exception], code: str, desk: Any
) -> None:
    path = desk.folder / "old.ipynb"
    path.write_bytes(content)
    with pytest.raises(kind) as caught:
        adopt_notebook(path, desk.folder, Wishes())
    assert caught.value.code == code  # type: ignore[attr-defined]
    assert caught.value.hint  # type: ignore[attr-defined]


def test_a_notebook_in_another_language_is_refused(desk: Any) -> None:
    path = desk.save("x <- 1", language="R")
    with pytest.raises(Unsupported, match="a notebook in r; expected Python"):
        adopt_notebook(path, desk.folder, Wishes())


def test_a_file_that_is_not_there_is_not_found(desk: Any) -> None:
    with pytest.raises(NotFound):
        adopt_notebook(desk.folder / "none.ipynb", desk.folder, Wishes())


def test_a_notebook_that_only_defines_things_has_nothing_to_run(desk: Any) -> None:
    with pytest.raises(Invalid, match="nothing to run"):
        desk.adopt("import math", "def area(r):\n    return math.pi * r * r")


def test_a_module_that_exists_is_overwritten_only_by_force(desk: Any) -> None:
    desk.adopt("x = len('abc')")
    before = (desk.folder / "analysis.py").read_text("utf-8")
    with pytest.raises(Conflict, match=r"analysis\.py exists"):
        desk.adopt("x = len('abcd')")
    assert (desk.folder / "analysis.py").read_text("utf-8") == before
    desk.adopt("x = len('abcd')", force=True)
    assert "abcd" in (desk.folder / "analysis.py").read_text("utf-8")


@pytest.mark.parametrize("name", ["polars", "random", "class", "Pandas"])
def test_a_module_is_not_named_like_a_library_that_it_would_hide(name: str, desk: Any) -> None:
    path = desk.save("x = 1 + 1")
    path = path.rename(path.with_name(f"{name}.ipynb"))
    adopted = adopt_notebook(path, desk.folder, Wishes(check=False))
    assert Path(adopted.written[0]).name == f"{name.lower()}_flow.py"


def test_a_dry_run_writes_nothing(desk: Any) -> None:
    adopted = desk.adopt("x = len('abc')", dry_run=True)
    assert adopted.written == ()
    assert "@flow" in adopted.module
    assert [item.name for item in desk.folder.iterdir()] == ["analysis.ipynb"]


def test_a_target_outside_the_project_is_refused(desk: Any) -> None:
    for target in ("../x.py", "x.txt", "my-flow.py", ".py"):
        with pytest.raises(Invalid, match="is no module of the project"):
            desk.adopt("x = len('abc')", target=target)


def test_a_notebook_that_fails_is_named_with_its_cell_and_nothing_is_written(desk: Any) -> None:
    with pytest.raises(Invalid, match="the notebook itself fails in cell 2") as caught:
        desk.adopt("x = len('abc')", "y = x / 0")
    assert "ZeroDivisionError" in caught.value.message
    assert not (desk.folder / "analysis.py").exists()


def test_a_flow_that_differs_is_refused_with_step_and_name(desk: Any) -> None:
    pages = ("kind = __import__('sys')._getframe().f_code.co_name", "size = len(kind)")
    with pytest.raises(Refused) as caught:
        desk.adopt(*pages)
    assert "kind: the value differs" in caught.value.message
    assert not (desk.folder / "analysis.py").exists()
    forced = desk.adopt(*pages, force=True)
    assert forced.proof.differences
    assert (desk.folder / "analysis.py").exists()


def test_values_that_vary_from_run_to_run_are_explained(desk: Any) -> None:
    adopted = desk.adopt("import random\nluck = random.random()", "word = 'x'.upper()")
    assert adopted.proof.differences == ()
    assert adopted.proof.varying == ("luck",)
    assert any("differ between two runs" in note for note in adopted.analysis.notes)


def test_cells_out_of_order_are_warned_of(desk: Any) -> None:
    adopted = desk.sketch(("x = len('a')", "#7"), ("y = x + 1", "#3"))
    assert adopted.analysis.warnings == (
        "cell 2 was last run before cell 1: the steps stand in the order of the page",
    )


def test_files_that_are_read_become_parameters_by_content(desk: Any) -> None:
    desk.file("data/a.txt", "1\n2\n")
    desk.file("b.txt", "x")
    adopted = desk.adopt(
        "NOTES = 'b.txt'",
        "lines = open('data/a.txt').read().split()",
        "notes = open(NOTES).read()",
    )
    kinds = {(p.name, p.kind, p.default) for p in adopted.analysis.parameters}
    assert kinds == {("NOTES", "file", '"b.txt"'), ("a_txt", "file", '"data/a.txt"')}


def test_a_file_that_is_also_written_is_no_parameter_and_its_cells_stay_together(
    desk: Any,
) -> None:
    desk.file("out.txt", "old")
    adopted = desk.adopt(
        "text = 'new'.upper()",
        "with open('out.txt', 'w') as stream:\n    stream.write(text)",
        "again = open('out.txt').read()",
    )
    assert adopted.analysis.parameters == ()
    assert [step.cells for step in adopted.analysis.steps] == [(1,), (2, 3)]
    assert adopted.proof.equal == adopted.proof.compared


def test_paths_are_relative_to_the_project(desk: Any) -> None:
    desk.file("notebooks/a.csv", "1")
    adopted = desk.adopt("text = open('a.csv').read()", name="notebooks/deep.ipynb")
    assert adopted.analysis.parameters[0].default == '"notebooks/a.csv"'
    assert adopted.written == (str(desk.folder.resolve() / "deep.py"),)


def test_headings_tags_and_comments_mark_steps(desk: Any) -> None:
    adopted = desk.sketch(
        "#md # All",
        "a = len('a')",
        "b = a + 1",
        "#md ## 2. Make features!",
        "c = a + b",
        "d = c * 2",
        ("e = d + 1", "step:train"),
        ("f = e + 1", "step:train"),
        "g = f - 1\n# %% step: judge\nh = g * 2\ni = h + 1",
    )
    steps = [(step.name, step.cells) for step in adopted.analysis.steps]
    assert steps == [
        ("make_a", (2,)),
        ("make_b", (3,)),
        ("make_features", (5, 6)),
        ("train", (7, 8, 9)),
        ("judge", (9,)),
    ]


def test_what_only_shows_goes_with_the_step_before_it(desk: Any) -> None:
    adopted = desk.sketch("x = [1, 2]", "x = sorted(x)", "print(x)", "x", "y = x[0]")
    assert [step.cells for step in adopted.analysis.steps] == [(1,), (2, 3, 4), (5,)]
    assert "    print(x)\n\n    print(x)\n" in adopted.module


@pytest.mark.parametrize(
    ("line", "is_printed"),
    [
        ("df.dropna()", True),
        ("df.dropna(inplace=False)", True),
        ("df.dropna(inplace=True)", False),
        ("df.dropna(inplace=bool(1))", False),
        ("df.rename(columns={'a': 'b'}, inplace=True)", False),
        ("df.dropna(**{'inplace': True})", False),
        ("df.info()", False),
        ("pattern.search('abc')", False),
        ("None", False),
        ("df.head() if len(df) else None", False),
        ("df.head() if len(df) else 0", True),
    ],
)
def test_what_a_notebook_shows_is_printed_and_nothing_where_it_shows_none(
    desk: Any, line: str, is_printed: bool
) -> None:
    adopted = desk.sketch(
        "import re\nimport pandas as pd\npattern = re.compile('b')",
        "df = pd.DataFrame({'a': [1.0, None]})",
        f"df['c'] = df['a'] + 1\n{line}",
        "n = len(df)",
    )
    assert (f"print({line})" in adopted.module) is is_printed
    assert is_printed or "print(" not in adopted.module


def test_a_cell_that_only_acts_becomes_an_effect(desk: Any) -> None:
    adopted = desk.sketch(
        "x = len('abc')", "with open('note.txt', 'w') as f:\n    f.write(str(x))", "y = x + 1"
    )
    assert [step.kind for step in adopted.analysis.steps] == ["step", "effect", "step"]


def test_a_changed_input_is_returned_and_told(desk: Any) -> None:
    adopted = desk.sketch(
        "rows = list(range(3))", "rows.append(4)\nn = len(rows)", "print(rows[n - 1])\nm = rows[0]"
    )
    assert adopted.analysis.steps[1].changed == ("rows",)
    assert adopted.analysis.steps[1].outputs == ("rows", "n")


def test_what_cells_would_install_is_listed(desk: Any) -> None:
    adopted = desk.sketch("!pip install -q numpy 'polars>=2'\n%pip install rich", "x = len('a')")
    assert adopted.analysis.requirements == ("numpy", "polars>=2", "rich")


def test_the_parameters_cell_becomes_the_flow_s_signature(desk: Any, run_source: Any) -> None:
    adopted = desk.sketch(
        "x = len('abc')",
        ("n = 3\nrate: float = 0.5\nname = 'a'\nnothing = None", "parameters"),
        "y = [x * n * rate, name, nothing]",
    )
    flow = run_source(adopted.module)["analysis"]
    assert flow()["y"] == [4.5, "a", None]
    assert flow(n=10, rate=1.0, name="b")["y"] == [30.0, "b", None]


def test_a_linked_notebook_calls_the_steps_and_the_original_stays(desk: Any) -> None:
    desk.file("data.txt", "1 2 3")
    pages = (
        "#md # Title",
        "def double(v):\n    return v * factor",
        ("factor = 2", "parameters"),
        "with open('data.txt') as stream:\n    numbers = [int(w) for w in stream.read().split()]",
        "doubled = [double(n) for n in numbers]",
        "doubled.sort(reverse=True)",
    )
    original = desk.save(*pages).read_bytes()
    adopted = desk.adopt(*pages, link=True)
    assert (desk.folder / "analysis.original.ipynb").read_bytes() == original
    thin = json.loads((desk.folder / "analysis.ipynb").read_text("utf-8"))
    sources = ["".join(c["source"]) for c in thin["cells"] if c["cell_type"] == "code"]
    assert all(not c.get("outputs") for c in thin["cells"])
    assert adopted.proof.equal == adopted.proof.compared
    names = _run_cells(sources, desk.folder)
    assert names["doubled"] == [6, 4, 2]


def test_a_linked_notebook_in_a_folder_below_still_runs(desk: Any) -> None:
    desk.file("deep/data.txt", "1 2 3")
    desk.adopt(
        "with open('data.txt') as stream:\n    n = len(stream.read())",
        name="deep/below.ipynb",
        link=True,
    )
    thin = json.loads((desk.folder / "deep" / "below.ipynb").read_text("utf-8"))
    sources = ["".join(c["source"]) for c in thin["cells"]]
    assert _run_cells(sources, desk.folder / "deep")["n"] == 5


def _run_cells(sources: list[str], folder: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setattr(sys, "dont_write_bytecode", True)
        for module in ("analysis", "below"):
            sys.modules.pop(module, None)
        for source in sources:
            exec(compile(source, "<cell>", "exec"), names)  # noqa: S102  # as Jupyter would
        for module in ("analysis", "below"):
            sys.modules.pop(module, None)
    return names


def test_a_constant_that_nothing_reads_is_a_result(desk: Any) -> None:
    adopted = desk.adopt("RATES = [1, 2]", "double = [RATES, RATES]")
    assert adopted.analysis.results == ("double",)


def test_a_file_whose_path_is_not_literal_is_told(desk: Any) -> None:
    desk.file("a.txt", "x")
    adopted = desk.adopt("name = 'a'", "with open(name + '.txt') as s:\n    text = s.read()")
    note = "cell 2 reads a file by name + '.txt': it is not fingerprinted"
    assert note in adopted.analysis.notes
