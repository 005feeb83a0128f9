"""Which names a piece of a notebook reads before it writes them, and which it leaves bound.

A cell's code becomes the body of a function, so what counts is the module's scope: names that
functions, classes, lambdas and comprehensions resolve to it count as read where they stand, the
names they bind for themselves do not count.
"""

import ast
import symtable
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import msgspec

NESTED = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SUPPRESSING = {"suppress", "raises", "warns", "assertRaises"}
_NONE: frozenset[str] = frozenset()
Names = frozenset[str]


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What running some code does to the names of the module's scope."""

    reads: Names = _NONE
    """May be read before the code itself has bound them."""
    needs: Names = _NONE
    """Are read before that on every path that runs to the end."""
    writes: Names = _NONE
    """May be bound."""
    bound: Names = _NONE
    """Are bound at the end, by this code, on every path."""
    deleted: Names = _NONE
    """May be unbound at the end, by this code."""
    leaves: bool = False
    """Its end is never reached: it raises, or leaves the loop."""

    def then(self, other: "Effect") -> "Effect":
        """Return the effect of this code followed by the other."""
        if self.leaves:
            return self
        return Effect(
            reads=self.reads | (other.reads - self.bound),
            needs=self.needs | (other.needs - self.writes),
            writes=self.writes | other.writes,
            bound=(self.bound - other.deleted) | other.bound,
            deleted=(self.deleted - other.bound) | other.deleted,
            leaves=other.leaves,
        )

    def either(self, other: "Effect") -> "Effect":
        """Return the effect of this code or the other."""
        through = [effect for effect in (self, other) if not effect.leaves]
        ends = through or [self, other]
        return Effect(
            reads=self.reads | other.reads,
            needs=reduce(Names.intersection, (effect.needs for effect in ends)),
            writes=self.writes | other.writes,
            bound=reduce(Names.intersection, (effect.bound for effect in ends)),
            deleted=reduce(Names.union, (effect.deleted for effect in ends)),
            leaves=not through,
        )

    def perhaps(self) -> "Effect":
        """Return the effect when this code runs not at all, in part, or several times."""
        return Effect(reads=self.reads, writes=self.writes, deleted=self.deleted)


NOTHING = Effect()


def effect_of(statements: Sequence[ast.stmt]) -> Effect:
    """Return the effect of statements of the module's scope, run one after the other."""
    return _all(statements)


def nested_names(node: ast.AST) -> Effect:
    """Return what a function, class, lambda or comprehension does to the module's names.

    Reads are those of its body, whenever that runs; writes go through `global` and `:=`. What a
    definition itself evaluates where it stands (defaults, decorators, bases) is included.
    """
    is_statement = isinstance(node, ast.stmt)
    text = ast.unparse(node if is_statement else ast.Expr(node))  # pyright: ignore[reportArgumentType]  # a nested scope is a statement or an expression
    reads: set[str] = set()
    writes: set[str] = set()
    tables = list(symtable.symtable(text, "<cell>", "exec").get_children())
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_global() and symbol.is_referenced():
                reads.add(symbol.get_name())
            is_class_name = table.get_type() == "class" and symbol.is_local()
            if is_class_name and symbol.is_referenced() and not symbol.is_imported():
                reads.update({symbol.get_name()} & _read_first(node, table.get_name()))
            if symbol.is_declared_global() and symbol.is_assigned():
                writes.add(symbol.get_name())
            if table.get_type() == "function" and symbol.is_global() and symbol.is_assigned():
                writes.add(symbol.get_name())
    return Effect(reads=frozenset(reads), writes=frozenset(writes))


def _read_first(node: ast.AST, class_name: str) -> Names:
    """Return the names that a class body reads before it binds them itself."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.ClassDef) and inner.name == class_name:
            return effect_of(inner.body).reads
    return _NONE


def _all(statements: Iterable[ast.stmt]) -> Effect:
    return reduce(Effect.then, map(_statement, statements), NOTHING)


def _statement(node: ast.stmt) -> Effect:  # noqa: PLR0911  # one way out per kind
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return _definition(node)
        case ast.If():
            return _expression(node.test).then(_all(node.body).either(_all(node.orelse)))
        case ast.For() | ast.AsyncFor():
            return _for(node)
        case ast.While():
            turn = _expression(node.test).then(_all(node.body))
            first = _expression(node.test)
            return first.then(turn.perhaps()).then(_all(node.orelse).perhaps())
        case ast.With() | ast.AsyncWith():
            return _with(node)
        case ast.Try() | ast.TryStar():
            return _try(node)
        case ast.Match():
            return _match(node)
        case _:
            return _simple(node)


def _simple(node: ast.stmt) -> Effect:
    match node:
        case ast.Assign():
            return reduce(Effect.then, map(_expression, (node.value, *node.targets)))
        case ast.AugAssign():
            read = ast.copy_location(_loaded(node.target), node.target)
            return reduce(Effect.then, map(_expression, (read, node.value, node.target)))
        case ast.AnnAssign():
            value = _expression(node.value) if node.value else NOTHING
            target = _expression(node.target) if node.value else NOTHING
            return value.then(_expression(node.annotation)).then(target)
        case ast.Import() | ast.ImportFrom():
            names = frozenset(bound_by_import(node))
            return Effect(writes=names, bound=names)
        case ast.Raise() | ast.Break() | ast.Continue():
            return msgspec.structs.replace(_children(node), leaves=True)
        case _:
            return _children(node)


def _for(node: ast.For | ast.AsyncFor) -> Effect:
    turn = _expression(node.target).then(_all(node.body))
    is_whole = not any(isinstance(item, ast.Break | ast.Continue) for item in ast.walk(node))
    looped = turn if is_whole and _has_items(node.iter) else turn.perhaps()
    return _expression(node.iter).then(looped).then(_all(node.orelse).perhaps())


def _with(node: ast.With | ast.AsyncWith) -> Effect:
    opened = NOTHING
    for item in node.items:
        opened = opened.then(_expression(item.context_expr))
        if item.optional_vars is not None:
            opened = opened.then(_expression(item.optional_vars))
    body = _all(node.body)
    called = {last_name(item.context_expr) for item in node.items}
    return opened.then(body.perhaps() if called & _SUPPRESSING else body)


def _try(node: ast.Try | ast.TryStar) -> Effect:
    body = _all(node.body)
    whole = body.then(_all(node.orelse))
    for handler in node.handlers:
        kind = _expression(handler.type) if handler.type else NOTHING
        caught = frozenset({handler.name} if handler.name else ())
        handled = Effect(writes=caught, bound=caught).then(_all(handler.body))
        handled = kind.then(handled).then(Effect(deleted=caught))
        whole = whole.either(body.perhaps().then(handled))
    return whole.then(_all(node.finalbody))


def _match(node: ast.Match) -> Effect:
    last = node.cases[-1]
    is_whole = last.guard is None and isinstance(last.pattern, ast.MatchAs)
    is_whole = is_whole and getattr(last.pattern, "pattern", None) is None
    ends = Effect(leaves=True) if is_whole else NOTHING
    for case in node.cases:
        guard = _expression(case.guard) if case.guard else NOTHING
        captured = _names_of_pattern(case.pattern)
        pattern = _children(case.pattern).then(Effect(writes=captured, bound=captured))
        ends = ends.either(pattern.then(guard).then(_all(case.body)))
    return _expression(node.subject).then(ends)


def _names_of_pattern(pattern: ast.pattern) -> Names:
    names: set[str | None] = set()
    for item in ast.walk(pattern):
        if isinstance(item, ast.MatchAs | ast.MatchStar):
            names.add(item.name)
        elif isinstance(item, ast.MatchMapping):
            names.add(item.rest)
    return frozenset(name for name in names if name)


def _definition(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Effect:
    name = frozenset({node.name})
    inner = nested_names(node)
    # Its own name is bound by the time its body runs.
    reads = inner.reads - (name if not isinstance(node, ast.ClassDef) else _NONE)
    return Effect(reads=reads | evaluated_by_definition(node), writes=inner.writes).then(
        Effect(writes=name, bound=name)
    )


def evaluated_by_definition(node: ast.stmt) -> Names:
    """Return what a definition reads where it stands, not when it is called."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            hints = [a.annotation for a in ast.walk(node.args) if isinstance(a, ast.arg)]
            parts = (
                *node.decorator_list,
                *node.args.defaults,
                *filter(None, node.args.kw_defaults),
                *filter(None, (*hints, node.returns)),
            )
        case ast.ClassDef():
            parts = (*node.decorator_list, *node.bases, *(k.value for k in node.keywords))
            return _sum(parts).reads | effect_of(node.body).reads
        case _:
            return _NONE
    return _sum(parts).reads


def _sum(parts: Iterable[ast.expr]) -> Effect:
    return reduce(Effect.then, map(_expression, parts), NOTHING)


def _expression(node: ast.AST) -> Effect:  # noqa: PLR0911  # one way out per kind
    match node:
        case ast.Name():
            return _name(node)
        case ast.NamedExpr():
            return _expression(node.value).then(_expression(node.target))
        case ast.BoolOp():
            rest = [_expression(value).perhaps() for value in node.values[1:]]
            return reduce(Effect.then, rest, _expression(node.values[0]))
        case ast.IfExp():
            ways = _expression(node.body).either(_expression(node.orelse))
            return _expression(node.test).then(ways)
        case ast.Lambda():
            return nested_names(node).perhaps()
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            first = _expression(node.generators[0].iter)
            return first.then(nested_names(node).perhaps())
        case _:
            return _children(node)


def _name(node: ast.Name) -> Effect:
    name = frozenset({node.id})
    if isinstance(node.ctx, ast.Load):
        return Effect(reads=name, needs=name)
    if isinstance(node.ctx, ast.Del):
        return Effect(reads=name, needs=name, deleted=name)
    return Effect(writes=name, bound=name)


def _children(node: ast.AST) -> Effect:
    return reduce(Effect.then, map(_expression, ast.iter_child_nodes(node)), NOTHING)


def _loaded(target: ast.expr) -> ast.expr:
    return ast.Name(target.id, ast.Load()) if isinstance(target, ast.Name) else target


def _has_items(iterated: ast.expr) -> bool:
    """Say whether a loop surely has a first turn, as `range(10)` has."""
    match iterated:
        case ast.List() | ast.Tuple() | ast.Set():
            return any(not isinstance(item, ast.Starred) for item in iterated.elts)
        case ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=int(count))]):
            return count > 0
        case ast.Call(
            func=ast.Name(id="range"),
            args=[ast.Constant(value=int(first)), ast.Constant(value=int(end))],
        ):
            return end > first
        case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]):
            return _has_items(inner)
        case _:
            return False


def bound_by_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield the names that an import binds; a star import's cannot be known from its text."""
    for alias in node.names:
        if alias.name != "*":
            yield alias.asname or (
                alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name
            )


def last_name(node: ast.AST) -> str:
    """Return the last name of what is called: `read_csv` of `pd.read_csv(...)`."""
    match node:
        case ast.Call():
            return last_name(node.func)
        case ast.Attribute():
            return node.attr
        case ast.Name():
            return node.id
        case _:
            return ""


def dotted(node: ast.AST) -> tuple[str, ...]:
    """Return the names of a chain of attributes, root first; empty for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        below = dotted(node.value)
        return (*below, node.attr) if below else ()
    return ()


def root_name(node: ast.AST) -> str:
    """Return the name a chain of attributes, items and calls begins with; empty without one."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
