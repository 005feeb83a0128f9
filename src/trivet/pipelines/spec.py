"""The spec: a flow as a graph, read from its source without running anything.

It is a preview. Loops, branches and calls through variables are drawn once, as they are written;
what really ran is in the run's steps.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

from trivet.core.errors import Invalid
from trivet.pipelines import authoring
from trivet.pipelines.context import definition_of
from trivet.pipelines.inputs import ParameterKind, parameter_kinds
from trivet.pipelines.looping.until import until

NodeKind = Literal["step", "effect", "map", "until"]


class FlowInput(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of the flow: a field of its form."""

    name: str
    kind: Literal["value", "data", "file"]
    type: str
    """The annotation's name; empty when there is none."""
    required: bool
    default: Any = None
    """When it is plain; None otherwise."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a step in the flow's source."""

    id: str
    """The step's name, with `#2` and so on for further calls."""
    step: str
    kind: NodeKind
    line: int
    """Counted in the flow's file."""
    is_repeated: bool
    """It stands in a loop, or is called once per item or round."""
    is_conditional: bool
    """It stands below an `if`, `try` or `match`."""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """What a call is given: the value of another node, or an input (`input:rate`)."""

    source: str
    target: str
    argument: str
    """The parameter's name, or its place counted from 0."""


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """A flow as it is written."""

    flow: str
    inputs: tuple[FlowInput, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    outputs: dict[str, tuple[str, ...]]
    """Named results, with the nodes and inputs they are made from."""


def preview(flow: Callable[..., object]) -> Graph:
    """Draw a flow from its source.

    Raises:
        Invalid: It is no flow, or its source cannot be read.
    """
    definition = definition_of(flow)
    if definition is None or definition.kind != "flow":
        raise Invalid("the function is no flow", code="bad-flow", hint="Write @flow above it.")
    function = inspect.unwrap(definition.function)
    try:
        lines, first_line = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError) as error:
        raise Invalid(
            f"the source of flow {definition.name!r} cannot be read",
            code="no-source",
            hint="Write the flow in a file.",
        ) from error
    body = tree.body[0]
    if not isinstance(body, ast.FunctionDef):
        raise Invalid(f"flow {definition.name!r} is no def", code="no-source")
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    closure = {name: cell.cell_contents for name, cell in cells}
    kinds = parameter_kinds(function)
    drawing = _Drawing({**function.__globals__, **closure}, first_line)
    drawing.values = {name: (f"input:{name}",) for name in kinds}
    drawing.draw(body.body)
    return Graph(
        flow=definition.name,
        inputs=tuple(_input(name, kind) for name, kind in kinds.items()),
        nodes=tuple(drawing.nodes),
        edges=tuple(dict.fromkeys(drawing.edges)),
        outputs=drawing.outputs,
    )


class _Drawing:
    """Follows values by the names they are given, statement by statement."""

    def __init__(self, names: Mapping[str, object], first_line: int) -> None:
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.outputs: dict[str, tuple[str, ...]] = {}
        self.values: dict[str, tuple[str, ...]] = {}
        self._names = names
        self._first_line = first_line
        self._loops = 0
        self._branches = 0

    def draw(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value):
                sources = self._sources(value)
                for target in targets:
                    self._bind(target, sources)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, self._sources(value))
            case ast.AugAssign(target=target, value=value):
                self._bind(target, (*self._sources(target), *self._sources(value)))
            case ast.Return(value=value):
                self._return(value)
            case ast.For(target=target, iter=items):
                self._bind(target, self._sources(items))
                self._block(statement, is_loop=True)
            case ast.While():
                self._block(statement, is_loop=True)
            case ast.Expr(value=value):
                self._sources(value)
            case _:
                self._block(statement, is_loop=False)

    def _block(self, statement: ast.stmt, *, is_loop: bool) -> None:
        is_branch = isinstance(statement, ast.If | ast.Try | ast.Match)
        self._loops += is_loop
        self._branches += is_branch
        for child in ast.iter_child_nodes(statement):
            if isinstance(child, ast.expr):
                self._sources(child)
            elif isinstance(child, ast.stmt):
                self._statement(child)
            else:  # an except handler, a case, an item of `with`
                self.draw(
                    item for item in ast.iter_child_nodes(child) if isinstance(item, ast.stmt)
                )
        self._loops -= is_loop
        self._branches -= is_branch

    def _return(self, value: ast.expr | None) -> None:
        if isinstance(value, ast.Dict):
            for key, item in zip(value.keys, value.values, strict=True):
                name = key.value if isinstance(key, ast.Constant) else "..."
                self.outputs[str(name)] = self._sources(item)
        elif value is not None:
            self.outputs["result"] = self._sources(value)

    def _bind(self, target: ast.expr, sources: tuple[str, ...]) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self.values[node.id] = sources

    def _sources(self, value: ast.expr) -> tuple[str, ...]:
        """Return the nodes and inputs that a value is made from, drawing calls on the way."""
        if isinstance(value, ast.Name):
            return self.values.get(value.id, ())
        if isinstance(value, ast.Call):
            return self._call(value)
        if isinstance(value, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            return self._comprehension(value)
        return self._join(ast.iter_child_nodes(value))

    def _comprehension(
        self, value: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ) -> tuple[str, ...]:
        for turn in value.generators:
            self._bind(turn.target, self._sources(turn.iter))
        self._loops += 1
        sources = self._join(ast.iter_child_nodes(value))
        self._loops -= 1
        return sources

    def _join(self, parts: Iterable[ast.AST]) -> tuple[str, ...]:
        found = [self._sources(part) for part in parts if isinstance(part, ast.expr)]
        return tuple(dict.fromkeys(source for sources in found for source in sources))

    def _call(self, call: ast.Call) -> tuple[str, ...]:
        called = self._resolve(call.func)
        given = [(str(place), item) for place, item in enumerate(call.args)]
        given += [(item.arg or "**", item.value) for item in call.keywords]
        kind: NodeKind | None = None
        if called is authoring.map or called is until:
            kind = "map" if called is authoring.map else "until"
            step = ast.unparse(given.pop(0)[1]) if given else "?"
        else:
            definition = definition_of(called)
            step = definition.name if definition else ""
            if definition and definition.kind != "flow":
                kind = definition.kind
        sources = [(argument, self._sources(item)) for argument, item in given]
        if kind is None:
            return tuple(dict.fromkeys(s for _, found in sources for s in found))
        node = self._node(step, kind, call.lineno)
        self.edges += [
            Edge(source=source, target=node, argument=argument)
            for argument, found in sources
            for source in found
        ]
        return (node,)

    def _node(self, step: str, kind: NodeKind, line: int) -> str:
        count = sum(node.step == step for node in self.nodes)
        name = step if not count else f"{step}#{count + 1}"
        self.nodes.append(
            Node(
                id=name,
                step=step,
                kind=kind,
                line=self._first_line + line - 1,
                is_repeated=bool(self._loops) or kind in {"map", "until"},
                is_conditional=bool(self._branches),
            )
        )
        return name

    def _resolve(self, function: ast.expr) -> object:
        if isinstance(function, ast.Name):
            return self._names.get(function.id)
        if isinstance(function, ast.Attribute):
            return getattr(self._resolve(function.value), function.attr, None)
        return None


def _input(name: str, kind: ParameterKind) -> FlowInput:
    is_plain = isinstance(kind.default, str | int | float | bool | None)
    shown = "" if kind.type is Any else getattr(kind.type, "__name__", str(kind.type))
    return FlowInput(
        name=name,
        kind=kind.mark or "value",
        type={"data": "Data", "file": "File"}.get(kind.mark or "", shown),
        required=kind.default is inspect.Parameter.empty,
        default=kind.default if is_plain else None,
    )
