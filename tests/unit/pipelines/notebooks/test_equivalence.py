"""Random notebooks, cell by cell and as a flow whose steps hand on copies: the same values."""

import types
from typing import Any

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from trivet.pipelines.context import Context, entered
from trivet.pipelines.notebooks.design import Seen, make_design
from trivet.pipelines.notebooks.reading import Cell
from trivet.pipelines.notebooks.sharing import shared_objects
from trivet.pipelines.notebooks.statements import World, read_cells
from trivet.pipelines.notebooks.trial import Keeper, Request, Stage
from trivet.pipelines.notebooks.writing import write_module

NUMBERS = ("a", "b", "c")
LISTS = ("xs", "ys", "zs")
TEMPLATES = (
    "{n} = {m} + {k}",
    "{n} = {k}",
    "{n} += {m}",
    "{n} -= 1",
    "{x} = [{n}, {k}]",
    "{x} = {y}",
    "{x} = list({y})",
    "{x} = sorted({y})",
    "{x} += [{n}]",
    "{x}.append({n})",
    "{x}[0:1] = [{n}, {m}]",
    "{x} = [{n} + i for i in {y}]",
    "{x} = [i for i in {y} if i > {n}]",
    "{n} = sum({x})",
    "{n} = len({x})",
    "nested = [{x}, {y}]",
    "nested[0].append({k})",
    "book['{k}'] = {x}",
    "book = {{'{k}': {x}, '5': {n}}}",
    "{n} = len(book)",
    "{n} = max([{n}, *{x}])",
    "if {n} > {k}:\n    {m} = {k}\nelse:\n    {x} = [{n}]",
    "if {n} > {k}:\n    late = {m}",
    "for i in {x}:\n    {n} = {n} + i",
    "for i in range(2):\n    {x}.append(i)",
    "for item in nested:\n    item.append({k})",
    "for i in {x}:\n    last = i",
    "{n} = last",
    "{n} = late",
    "try:\n    {n} = {x}[{k}]\nexcept IndexError as error:\n    {n} = {m}",
    "try:\n    {x}.remove({n})\nexcept ValueError:\n    pass\nfinally:\n    {m} = {k}",
    "if ({n} := {m} + {k}) > 3:\n    {x} = []",
    "del {n}",
    "del {x}[:1]",
    "def first(v):\n    return v + {n}",
    "def second(v):\n    {x}.append(v)\n    return len({x})",
    "def third(v):\n    global {n}\n    {n} = v\n    return {m}",
    "def fourth(v=[]):\n    v.append({n})\n    return len(v)",
    "{n} = first({m})",
    "{n} = second({m})",
    "{n} = third({m})",
    "{n} = fourth()",
    "{x} = list(map(first, {y}))",
    "{x} = [first(i) for i in {y}]",
    "{x} = [first({n}) for {n} in {y}]",
    "half = lambda v: v * {n}",
    "{n} = half({m})",
    "class Box:\n    size = {n}\n    def grow(self):\n        return self.size + {m}",
    "{n} = Box().grow()",
    "match {n}:\n    case 1 | 2:\n        {m} = 0\n    case other:\n        {m} = other",
    "{n}, {m} = {m}, {n}",
    "{n}, *{x} = [{m}, {k}, {k}]",
    "with open('/dev/null') as nothing:\n    {n} = len(nothing.read())",
    "while {n} > 3:\n    {n} -= 2\n    {m} = {n}",
    "import math\n{n} = math.floor({m} / 2)",
    "from math import floor\n{n} = floor({m})",
    "floor = {n}\n{m} = floor",
    "max = max({x}, default={n})",
    "{n} = max",
    "print({n}, {x})",
    "{x}",
)
START = (
    "outside = len([])",
    "a = 1\nb = 2\nc = 3",
    "xs = [1]\nys = [2, 3]\nzs = []\nnested = [[1], [2]]\nbook = {}",
)

statements = st.builds(
    lambda text, n, m, x, y, k: text.format(n=n, m=m, x=x, y=y, k=k),
    st.sampled_from(TEMPLATES),
    st.sampled_from(NUMBERS),
    st.sampled_from(NUMBERS),
    st.sampled_from(LISTS),
    st.sampled_from(LISTS),
    st.integers(0, 4),
)
programs = st.lists(
    st.lists(statements, min_size=1, max_size=3).map("\n".join), min_size=2, max_size=6
)
WORLD = World(exists=lambda path: False, path=str, names_of=lambda module: None)


def run_cells(sources: list[str]) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    for source in sources:
        exec(compile(source, "<cell>", "exec"), names)  # noqa: S102  # made here
    return names


def run_flow(text: str, design: Any) -> Any:
    module = types.ModuleType("adopted")
    exec(compile(text, "<module>", "exec"), module.__dict__)  # noqa: S102  # made here
    steps = dict(zip(design.names, (block.outputs for block in design.blocks), strict=True))
    stage = Stage(Request(folder=".", steps=steps), Keeper(()))
    with entered(Context(run="trial", flow="random", caller=stage)):
        return getattr(module, design.flow)()


def seen_in(sources: list[str]) -> Seen:
    """What cannot be stored, found out as the real check does: by looking at the values."""
    keeper = Keeper(())
    names: dict[str, Any] = {"__name__": "__main__"}
    kinds: dict[str, str] = {}
    same: dict[int, Any] = {}
    for unit, source in enumerate(sources):
        exec(compile(source, "<cell>", "exec"), names)  # noqa: S102  # made here
        values = {n: v for n, v in names.items() if not n.startswith("__")}
        kinds |= {n: type(v).__name__ for n, v in values.items() if not keeper.look(v).digest}
        same[unit] = shared_objects(values)
    return Seen(unstorable=kinds, same=same)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(programs)
@example(["for item in nested:\n    item.append(0)", "nested[0].append(0)"])
@example(["xs.append(b)\ndel b"])
@example(["xs.append(b)", "del b\nxs.append(c)"])
def test_a_flow_computes_what_the_cells_compute(cells: list[str]) -> None:
    sources = [*START, *cells]
    try:
        expected = run_cells(sources)
    except Exception:  # noqa: BLE001  # a program that fails proves nothing
        assume(False)
        return
    pages = [Cell(number=n, kind="code", source=s) for n, s in enumerate(sources, 1)]
    text = read_cells(pages, WORLD)
    design, _ = make_design(text, "random.ipynb", "random", WORLD, seen_in(sources))
    module = write_module(design)
    results = run_flow(module, design)
    assert results == {name: expected[name] for name in results}, module
