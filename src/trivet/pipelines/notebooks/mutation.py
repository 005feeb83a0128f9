"""Which names of a block may have been changed in place, and which may be one object.

A step hands its values on as copies, so a change made in place is lost unless the changed name is
returned. The answer errs on the side of returning too much.
"""

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from trivet.pipelines.notebooks import purity
from trivet.pipelines.notebooks.scopes import dotted, last_name, nested_names

Pair = tuple[str, str]
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a block's calls may mean."""

    imports: Mapping[str, str] = {}
    """Names bound by imports, to what they stand for: `np` to `numpy`."""
    changed_parameters: Mapping[str, tuple[tuple[str, ...], frozenset[str]]] = {}
    """The notebook's own functions: their parameters in order, and those that may be changed."""
    doubts_calls: bool = True
    """Whether a call may change its arguments when nothing is known of it."""

    def library(self, node: ast.AST) -> str:
        """Return the full name of a function of a library; empty when it is none."""
        chain = dotted(node)
        if not chain:
            return ""
        if chain[0] in self.imports:
            return ".".join((self.imports[chain[0]], *chain[1:]))
        return ""

    def is_pure(self, function: ast.expr) -> bool:
        """Say whether a called function surely leaves its arguments alone."""
        name = last_name(function)
        if name in purity.MUTATING:
            return False
        if isinstance(function, ast.Name) and function.id not in self.imports:
            known = function.id in purity.PURE_BUILTINS or _is_exception(function.id)
            return known and function.id not in self.changed_parameters
        return self.library(function).partition(".")[0] in purity.PURE_LIBRARIES


def changed_names(nodes: Iterable[ast.AST], around: Surroundings) -> frozenset[str]:
    """Return the names that code may change in place, directly or by another name for them.

    Args:
        nodes: The code; names are not told apart by scope, so that none is missed.
        around: What its calls may mean.
    """
    found: set[str] = set()
    links: list[tuple[frozenset[str], frozenset[str]]] = []
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        found |= _changed_by(node, around)
        links += _links(node, around)
    size = -1
    while size != len(found):
        size = len(found)
        for targets, sources in links:
            if targets & found:
                found |= sources
    return frozenset(found)


def changed_parameters(
    function: Function, around: Surroundings
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return a function's parameters in order, and those whose argument it may change."""
    names = tuple(a.arg for a in (*function.args.posonlyargs, *function.args.args))
    every = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
    return names, changed_names(function.body, around) & every


def same_objects(nodes: Sequence[ast.stmt], around: Surroundings) -> frozenset[Pair]:
    """Return pairs of names of which one may be, or hold, the very object of the other.

    Only what the text says outright: `b = a`, `[a, b]`, `list.append(a)`, an attribute set to
    `a`, an object made with `a`. Views and items are left to the comparison of values.
    """
    pairs: set[Pair] = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        match node:
            case ast.Assign():
                pairs |= _pairs_of_assignment(node, around)
            case ast.Call(func=ast.Attribute(value=owner)) if not around.library(node.func):
                held = _held_by_any(node.args, around)
                if last_name(node.func) not in purity.PURE_METHODS | {"fit", "fit_transform"}:
                    pairs |= {(a, b) for a in _shared(owner, around) for b in held if a != b}
            case _:
                pass
    return frozenset(pairs)


def _pairs_of_assignment(node: ast.Assign, around: Surroundings) -> set[Pair]:
    pairs: set[Pair] = set()
    targets = [_targets(target) for target in node.targets]
    for number, names in enumerate(targets):  # a = b = []
        pairs |= {(a, b) for other in targets[number + 1 :] for a in names for b in other}
    for target in node.targets:
        for one, value in _matched(target, node.value):
            held = _held(value, around)
            names = _targets(one)
            pairs |= {(a, b) for a in names for b in held if a != b}
            pairs |= {(a, a) for a in names if _holds_twice(value)}
    return pairs


def _matched(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Match the parts of `a, b = c, d`; anything else is one whole."""
    if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        is_plain = not any(isinstance(e, ast.Starred) for e in (*target.elts, *value.elts))
        if is_plain and len(target.elts) == len(value.elts):
            return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def _holds_twice(node: ast.expr) -> bool:
    """Say whether a display names one object twice, as `[a, a]` and `[a] * 3` do."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        sides = [side for side in (node.left, node.right) if isinstance(side, ast.List)]
        return any(not isinstance(item, ast.Constant) for side in sides for item in side.elts)
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    is_display = isinstance(node, ast.List | ast.Tuple | ast.Dict)
    return is_display and len(names) != len(set(names))


def _changed_by(node: ast.AST, around: Surroundings) -> set[str]:  # noqa: PLR0911  # one way out per kind
    match node:
        case ast.Assign() | ast.Delete():
            return _roots(node.targets, around)
        case ast.AugAssign(target=ast.Name(id=name)):
            return {name}
        case ast.AugAssign() | ast.AnnAssign():
            return _roots([node.target], around)
        case ast.For() | ast.AsyncFor():
            return _roots([node.target], around)
        case ast.withitem():
            is_call = isinstance(node.context_expr, ast.Call)
            return set() if is_call else set(_shared(node.context_expr, around))
        case ast.Call():
            return _changed_by_call(node, around)
        case _:
            return set()


def _roots(targets: Iterable[ast.expr], around: Surroundings) -> set[str]:
    found: set[str] = set()
    for target in targets:
        if isinstance(target, ast.Tuple | ast.List):
            found |= _roots(target.elts, around)
        elif isinstance(target, ast.Attribute | ast.Subscript):
            found |= _shared(target.value, around)
    return found


def _changed_by_call(node: ast.Call, around: Surroundings) -> set[str]:
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    found: set[str] = set()
    for keyword in node.keywords:
        if keyword.arg == "out":
            found |= _shared(keyword.value, around)
        is_true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        if keyword.arg == "inplace" and isinstance(node.func, ast.Attribute):
            is_false = isinstance(keyword.value, ast.Constant) and not is_true
            found |= set() if is_false else _shared(node.func.value, around)
    if isinstance(node.func, ast.Attribute) and not around.library(node.func):
        if node.func.attr not in purity.PURE_METHODS | purity.ACTING:
            found |= _shared(node.func.value, around)
        if node.func.attr in purity.PURE_ON_ARGUMENTS or not around.doubts_calls:
            return found
        return found | _shared_by_any(arguments, around)
    if isinstance(node.func, ast.Name) and node.func.id in around.changed_parameters:
        return found | _changed_by_own(node, around)
    if around.is_pure(node.func) or not around.doubts_calls:
        return found
    return found | _shared_by_any(arguments, around)


def _changed_by_own(node: ast.Call, around: Surroundings) -> set[str]:
    """Return what a call of the notebook's own function may change: what its body says."""
    names, changed = around.changed_parameters[last_name(node.func)]
    found: set[str] = set()
    is_spread = any(isinstance(item, ast.Starred) for item in node.args)
    for number, argument in enumerate(node.args):
        surely = number < len(names) and not is_spread
        if (names[number] in changed) if surely else changed:
            found |= _shared(argument, around)
    for keyword in node.keywords:
        if keyword.arg in changed or (keyword.arg is None and changed):
            found |= _shared(keyword.value, around)
    return found


def _links(node: ast.AST, around: Surroundings) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Yield names that may share an object with other names, from one node."""
    match node:
        case ast.Assign():
            targets = frozenset[str]().union(*(_targets(target) for target in node.targets))
            yield targets, _shared(node.value, around)
        case ast.AnnAssign() | ast.AugAssign() | ast.NamedExpr() if node.value is not None:
            yield _targets(node.target), _shared(node.value, around)
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            yield _targets(node.target), _shared(node.iter, around)
        case ast.withitem() if node.optional_vars is not None:
            yield _targets(node.optional_vars), _shared(node.context_expr, around)
        case ast.Match():
            names = {getattr(item, "name", None) for item in ast.walk(node)}
            yield frozenset(filter(None, names)), _shared(node.subject, around)
        case _:
            pass


def _targets(target: ast.expr) -> frozenset[str]:
    """Return the names that are bound, or whose object is stored into."""
    match target:
        case ast.Name():
            return frozenset({target.id})
        case ast.Tuple() | ast.List():
            return frozenset[str]().union(*map(_targets, target.elts))
        case ast.Attribute() | ast.Subscript() | ast.Starred():
            return _targets(target.value)
        case _:
            return frozenset()


def _shared(node: ast.expr, around: Surroundings) -> frozenset[str]:  # noqa: PLR0911  # one way out per kind
    """Return the names whose objects the value of an expression may be, be part of, or hold."""
    match node:
        case ast.Name():
            return frozenset({node.id})
        case ast.Attribute() | ast.Subscript() | ast.Starred() | ast.NamedExpr() | ast.Await():
            return _shared(node.value, around)
        case ast.Call():
            return _shared_by_call(node, around)
        case ast.BinOp() | ast.Compare() | ast.UnaryOp() | ast.JoinedStr() | ast.Constant():
            return frozenset()
        case ast.Lambda():
            return nested_names(node).reads
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            made = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
            own = frozenset[str]().union(*(_targets(g.target) for g in node.generators))
            if not _shared_by_any(made, around):
                return frozenset()
            return _shared_by_any((*made, *(g.iter for g in node.generators)), around) - own
        case _:
            inner = [item for item in ast.iter_child_nodes(node) if isinstance(item, ast.expr)]
            return _shared_by_any(inner, around)


def _shared_by_call(node: ast.Call, around: Surroundings) -> frozenset[str]:
    function = node.func
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    library = around.library(function)
    if isinstance(function, ast.Name) and function.id in purity.SCALAR_CALLS:
        return frozenset()
    if isinstance(function, ast.Attribute) and not library:
        if function.attr in purity.FRESH_METHODS:
            return frozenset()
        return _shared(function.value, around) | _shared_by_any(arguments, around)
    if library.partition(".")[0] in purity.FRESH_FUNCTIONS and library != "copy.copy":
        return frozenset()
    return _shared_by_any(arguments, around)


def _shared_by_any(nodes: Iterable[ast.expr], around: Surroundings) -> frozenset[str]:
    return frozenset[str]().union(*(_shared(node, around) for node in nodes))


def _held(node: ast.expr, around: Surroundings) -> frozenset[str]:  # noqa: PLR0911  # one way out per kind
    """Return the names whose very objects a value is or holds, as far as the text says so."""
    match node:
        case ast.Name():
            return frozenset({node.id} if node.id not in around.imports else ())
        case ast.Starred() | ast.NamedExpr():
            return _held(node.value, around)
        case ast.IfExp():
            return _held(node.body, around) | _held(node.orelse, around)
        case ast.List() | ast.Tuple() | ast.Set():
            return _held_by_any(node.elts, around)
        case ast.Dict():
            return _held_by_any(node.values, around)
        case ast.BoolOp():
            return _held_by_any(node.values, around)
        case ast.Call():
            return _held_by_call(node, around)
        case _:
            return frozenset()


def _held_by_call(node: ast.Call, around: Surroundings) -> frozenset[str]:
    function = node.func
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    library = around.library(function)
    if isinstance(function, ast.Attribute) and not library:
        is_self = function.attr in purity.RETURNS_SELF
        return _held(function.value, around) if is_self else frozenset()
    if library:
        is_class = library.rpartition(".")[2][:1].isupper()
        keeps = is_class and library.partition(".")[0] not in purity.FRESH_LIBRARIES
        known = library.partition(".")[0] in purity.PURE_LIBRARIES
        return _held_by_any(arguments, around) if keeps or not known else frozenset()
    if isinstance(function, ast.Name) and function.id in purity.PURE_BUILTINS:
        return frozenset()
    return _held_by_any(arguments, around)


def _held_by_any(nodes: Iterable[ast.expr | None], around: Surroundings) -> frozenset[str]:
    return frozenset[str]().union(*(_held(node, around) for node in nodes if node is not None))


def _is_exception(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def worked_on(nodes: Iterable[ast.AST], around: Surroundings) -> frozenset[str]:
    """Return the names that code stores into, or calls a method of that may change them.

    Like `changed_names`, but for what calls may do to their arguments.
    """
    return changed_names(nodes, msgspec.structs.replace(around, doubts_calls=False))
