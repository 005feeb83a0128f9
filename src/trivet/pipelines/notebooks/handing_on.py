"""Functions that read a variable of the notebook get it handed on as a parameter.

Every call passes the variable's present value, which is what the function would have read. Where
that cannot be said of every call, the function stays beside the variable, inside the step.
"""

import ast
import copy
import io
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from trivet.pipelines.notebooks.pieces import Piece, Range, range_of
from trivet.pipelines.notebooks.roles import BUILTINS, Roles
from trivet.pipelines.notebooks.scopes import NESTED, nested_names

Handed = Mapping[str, tuple[str, ...]]
"""Function to the variables that it is handed, sorted."""
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.ListComp)
_ALL_SCOPES = (*_SCOPES, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def hand_on_variables(
    pieces: Sequence[Piece], tagged: frozenset[int]
) -> tuple[list[Piece], dict[str, tuple[str, ...]]]:
    """Rewrite functions and their calls; return the pieces with roles, and what was handed to whom.

    Args:
        pieces: All statements of the notebook.
        tagged: The cells that are tagged `parameters`.
    """
    roles = Roles(pieces, tagged)
    decided = roles.decide()
    handed = _handed(decided, roles.hoisted)
    if not handed:
        return decided, {}
    rewritten = [_rewritten(piece, handed) for piece in decided]
    return Roles(rewritten, tagged).decide(), handed


def _handed(pieces: Sequence[Piece], hoisted: set[str]) -> dict[str, tuple[str, ...]]:
    functions = {
        p.node.name: (number, p.node)
        for number, p in enumerate(pieces)
        if isinstance(p.node, ast.FunctionDef) and p.role == "work"
    }
    bound = {name for piece in pieces for name in piece.effect.writes}
    reads = {
        name: {r for r in nested_names(node).reads - {name} if r in bound and r not in hoisted}
        for name, (_, node) in functions.items()
    }
    while True:
        whole = _with_those_of_callees(reads)
        search = _Search(pieces, functions, whole)
        wrong = [name for name in whole if not search.is_possible(name)]
        if not wrong:
            return {name: tuple(sorted(names)) for name, names in whole.items() if names}
        for name in wrong:
            del reads[name]


def _with_those_of_callees(reads: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """A function that calls another must have at hand what the other is handed."""
    whole = {name: set(names) for name, names in reads.items()}
    for _ in whole:
        for names in whole.values():
            names.update(*[whole[callee] for callee in names & whole.keys()])
    return {name: names - whole.keys() for name, names in whole.items()}


@dataclass(frozen=True)
class _Search:
    """Looks for a reason why a function cannot be handed its variables."""

    pieces: Sequence[Piece]
    functions: Mapping[str, tuple[int, ast.FunctionDef]]
    handed: Mapping[str, set[str]]

    def is_possible(self, name: str) -> bool:
        number, node = self.functions[name]
        if node.decorator_list or sum(name in p.effect.writes for p in self.pieces) != 1:
            return False
        if self.pieces[number].effect.writes != frozenset({name}):
            return False  # it makes names global
        if any(isinstance(item, ast.Global) for item in ast.walk(node)):
            return False
        evaluated = self._evaluated(node)
        if evaluated & (self.handed[name] | self.functions.keys()):
            return False
        return all(self._is_used_well(name, at) for at in range(len(self.pieces)))

    def _evaluated(self, node: ast.FunctionDef) -> set[str]:
        hints = (a.annotation for a in ast.walk(node.args) if isinstance(a, ast.arg))
        parts = (*node.args.defaults, *node.args.kw_defaults, *hints, node.returns)
        found = (n for part in parts if part for n in ast.walk(part))
        return {n.id for n in found if isinstance(n, ast.Name)} - BUILTINS

    def _is_used_well(self, name: str, at: int) -> bool:
        """Say whether a statement only calls the function, where its variables are at hand."""
        piece = self.pieces[at]
        if name not in piece.effect.reads:
            return True
        mentions = [n for n in ast.walk(piece.node) if isinstance(n, ast.Name) and n.id == name]
        calls = [n for n in ast.walk(piece.node) if _is_call(n, {name})]
        if len(mentions) != len(calls) or self._is_hidden(name, piece.node):
            return False
        owner = getattr(piece.node, "name", "")
        if owner in self.handed and owner in self.functions:
            return True  # handed on in turn
        earlier = {n for p in self.pieces[:at] for n in p.effect.bound}
        return not isinstance(piece.node, NESTED) and self.handed[name] <= earlier

    def _is_hidden(self, name: str, node: ast.AST) -> bool:
        """Say whether a scope on the way to a call binds one of the names for itself."""
        names = self.handed[name] | {name}
        for scope in ast.walk(node):
            if isinstance(scope, _ALL_SCOPES) and any(_is_call(n, {name}) for n in ast.walk(scope)):
                own = {n.arg for n in ast.walk(scope) if isinstance(n, ast.arg)}
                own |= {
                    n.id
                    for n in ast.walk(scope)
                    if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)
                }
                if own & names:
                    return True
        return False


def _is_call(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _rewritten(piece: Piece, handed: Handed) -> Piece:
    edits = list(_call_edits(piece, handed))
    if isinstance(piece.node, ast.FunctionDef) and piece.node.name in handed:
        edits += _signature_edits(piece.text, piece.node, handed[piece.node.name])
    return piece.edited(edits) if edits else replace(piece)


def _call_edits(piece: Piece, handed: Handed) -> Iterator[tuple[Range, str]]:
    lines = piece.text.encode().split(b"\n")
    for node in ast.walk(piece.node):
        if not _is_call(node, set(handed)):
            continue
        assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)  # noqa: S101, PT018  # for the type checker
        _, _, line, column = range_of(node)
        given = ", ".join(f"{name}={name}" for name in handed[node.func.id])
        _, _, first, begin = range_of(node.func)
        inside = lines[first - 1 : line]
        inside[-1] = inside[-1][: column - 1]
        inside[0] = inside[0][begin:]
        has_comma = _last_token(b"\n".join(inside).decode()) in {"(", ","}
        yield (line, column - 1, line, column - 1), given if has_comma else f", {given}"


def _last_token(text: str) -> str:
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in {tokenize.OP, tokenize.NAME, tokenize.NUMBER, tokenize.STRING}:
                last = token.string
    except tokenize.TokenError:
        pass  # the closing bracket was cut off
    return last


def _signature_edits(
    text: str, node: ast.FunctionDef, names: tuple[str, ...]
) -> list[tuple[Range, str]]:
    """Replace what stands between the brackets of `def`."""
    arguments = copy.deepcopy(node.args)
    arguments.kwonlyargs += [ast.arg(name) for name in names]
    arguments.kw_defaults += [None] * len(names)
    depth, start = 0, (0, 0)
    lines = text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.OP or token.string not in "()[]{}":
            continue
        depth += 1 if token.string in "([{" else -1
        if depth == 1 and not start[0]:
            start = token.end
        if depth == 0:
            first = len(lines[start[0] - 1][: start[1]].encode())
            last = len(lines[token.start[0] - 1][: token.start[1]].encode())
            return [((start[0], first, token.start[0], last), ast.unparse(arguments))]
    return []
