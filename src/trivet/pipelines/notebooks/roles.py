"""What each statement of a notebook is: something for the module's top level, or work for a step.

A name may stand at the module's top level only when it means the same there at every moment: it is
bound once (or by the same import only), and nothing changes it in place.
"""

import ast
import builtins
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from trivet.pipelines.authoring import RESERVED
from trivet.pipelines.notebooks.mutation import Surroundings, changed_names, changed_parameters
from trivet.pipelines.notebooks.pieces import Piece, Role
from trivet.pipelines.notebooks.scopes import bound_by_import, dotted, last_name, root_name

BUILTINS = frozenset(dir(builtins)) | {"display"}
_CONSTANT_MODULES = {
    *("pathlib", "datetime", "decimal", "fractions", "re", "math", "uuid", "zoneinfo"),
}
_MOMENTS = {"now", "today", "utcnow", "cwd", "home", "uuid1", "uuid4"}
_SETUP = (
    *("set_", "filterwarnings", "simplefilter", "basicConfig", "use", "seterr", "enable"),
    *("disable", "register", "getLogger", "captureWarnings"),
)
_PATH_CALLS = {"insert", "append", "setdefault", "setLevel"}


def surroundings(pieces: Sequence[Piece]) -> Surroundings:
    """Collect what the calls in a notebook may mean."""
    imports: dict[str, str] = {}
    for node in (n for piece in pieces for n in ast.walk(piece.node)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                imports[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                imports[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    functions = [p.node for p in pieces if isinstance(p.node, ast.FunctionDef)]
    around = Surroundings(imports=imports)
    # Functions call each other: begin with nothing known, and come to rest within a few rounds.
    for _ in range(4):
        known = {f.name: changed_parameters(f, around) for f in functions}
        if known == around.changed_parameters:
            break
        around = Surroundings(imports=imports, changed_parameters=known)
    return around


class Roles:
    """Decides the role of each piece.

    Args:
        pieces: All statements of the notebook, in order.
        tagged: The cells that are tagged `parameters`.
    """

    def __init__(self, pieces: Sequence[Piece], tagged: frozenset[int]) -> None:
        self._pieces = list(pieces)
        self._tagged = tagged
        self.around = surroundings(pieces)
        self._bindings: dict[str, list[int]] = defaultdict(list)
        self._reads: dict[str, list[int]] = defaultdict(list)
        for number, piece in enumerate(pieces):
            for name in piece.effect.writes | piece.effect.deleted:
                self._bindings[name].append(number)
            for name in piece.effect.reads:
                self._reads[name].append(number)
        self._changed = changed_names((p.node for p in pieces), self.around)
        self._set_upon = self._names_set_upon()
        self._roles: dict[int, Role] = {}
        self.hoisted: set[str] = set()
        """Names that stand at the module's top level."""

    def decide(self) -> list[Piece]:
        """Return the pieces with their roles."""
        self._decide_imports()
        self._decide_values()
        self._decide_definitions()
        self._decide_constants_of_functions()
        self._decide_setup()
        return [
            replace(piece, role=self._roles.get(number, "work"))
            for number, piece in enumerate(self._pieces)
        ]

    def _decide_imports(self) -> None:
        for number, piece in enumerate(self._pieces):
            names = piece.effect.writes
            if _is_text(piece):
                self._roles[number] = "text"
            elif _only_imports(piece.node) and all(self._is_one_import(n) for n in names):
                self._give(number, "import")

    def _is_one_import(self, name: str) -> bool:
        """Say whether a name's imports agree, and come before whatever else binds it."""
        numbers = self._bindings[name]
        imports = [n for n in numbers if _only_imports(self._pieces[n].node)]
        same = {_what_is_imported(self._pieces[n].node, name) for n in imports}
        others = [n for n in numbers if n not in imports]
        return len(same) == 1 and max(imports, default=-1) < min(others, default=len(self._pieces))

    # ------------------------------------------------------ parameters, constants

    def _decide_values(self) -> None:
        is_early = True
        for number, piece in enumerate(self._pieces):
            if number in self._roles or isinstance(piece.node, _DEFINITIONS):
                continue
            name = _assigned_name(piece.node)
            value = getattr(piece.node, "value", None)
            is_tagged = piece.cell in self._tagged
            if (
                name
                and is_scalar(value)
                and (is_tagged or is_early)
                and self._may_ask(name, number)
            ):
                self._roles[number] = "parameter"
            elif name and is_early and self._is_used(name) and self._is_constant(value):
                self._give(number, "constant")
            elif not piece.is_shown and not self._is_setup(piece.node):
                is_early = False

    def _may_ask(self, name: str, number: int) -> bool:
        """Say whether a flow may be asked for a name: nothing uses it before it is bound here."""
        earlier = [n for n in (*self._bindings[name], *self._reads[name]) if n < number]
        used_by_definition = [n for n in earlier if isinstance(self._pieces[n].node, _DEFINITIONS)]
        is_import = any(self._roles.get(n) == "import" for n in self._bindings[name])
        return earlier == used_by_definition and name not in RESERVED and not is_import

    def _is_used(self, name: str) -> bool:
        """Say whether a name is fixed, and read by something: else it is a result."""
        return self._is_fixed(name) and bool(self._reads[name])

    def _is_fixed(self, name: str) -> bool:
        return len(self._bindings[name]) == 1 and name not in self._changed

    def _is_constant(self, node: ast.expr | None) -> bool:
        match node:
            case ast.Constant():
                return True
            case ast.Name():
                return node.id in self.hoisted and node.id not in self._changed
            case ast.Attribute():
                return root_name(node) in self.hoisted
            case ast.Call():
                arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
                top = self.around.library(node.func).partition(".")[0]
                known = top in _CONSTANT_MODULES and last_name(node.func) not in _MOMENTS
                return known and all(map(self._is_constant, arguments))
            case (
                ast.List()
                | ast.Tuple()
                | ast.Set()
                | ast.Dict()
                | ast.UnaryOp()
                | ast.BinOp()
                | ast.JoinedStr()
                | ast.FormattedValue()
                | ast.Starred()
            ):
                inner = [i for i in ast.iter_child_nodes(node) if isinstance(i, ast.expr)]
                return all(map(self._is_constant, inner))
            case _:
                return False

    def _decide_constants_of_functions(self) -> None:
        """Keep at the top level what functions there read, when it can never be another value."""
        used = {
            name
            for number, piece in enumerate(self._pieces)
            if self._roles.get(number) == "definition"
            for name in piece.effect.reads
        }
        for number, piece in enumerate(self._pieces):
            name = _assigned_name(piece.node)
            if name in used and self._is_free_constant(name, number):
                self._give(number, "constant")

    def _is_free_constant(self, name: str, number: int) -> bool:
        piece = self._pieces[number]
        if piece.cell in self._tagged or not self._is_fixed(name):
            return False
        return self._is_constant(getattr(piece.node, "value", None))

    # -------------------------------------------------------------- definitions

    def _decide_definitions(self) -> None:
        found = {
            number: piece
            for number, piece in enumerate(self._pieces)
            if number not in self._roles and self._may_stand_outside(piece)
        }
        constants = {
            name
            for number, piece in enumerate(self._pieces)
            if (name := _assigned_name(piece.node)) and self._is_free_constant(name, number)
        }
        while True:
            names = {n for piece in found.values() for n in piece.effect.writes}
            outside = self.hoisted | names | constants
            wrong = [n for n, piece in found.items() if not self._reads_only(piece, outside)]
            if not wrong:
                break
            for number in wrong:
                del found[number]
        for number in found:
            self._give(number, "definition")

    def _may_stand_outside(self, piece: Piece) -> bool:
        node = piece.node
        if isinstance(node, ast.Try):
            parts = [*node.body, *node.orelse, *(s for h in node.handlers for s in h.body)]
            is_import = all(_only_imports(s) or _is_plain(s) for s in parts) and not node.finalbody
            return is_import and all(len(self._bindings[n]) == 1 for n in piece.effect.writes)
        is_lambda = isinstance(getattr(node, "value", None), ast.Lambda) and _assigned_name(node)
        if not isinstance(node, _DEFINITIONS) and not is_lambda:
            return False
        # A name that its body makes global is a variable of the notebook.
        own = {str(getattr(node, "name", None) or is_lambda)}
        is_once = all(len(self._bindings[name]) == 1 for name in own)
        is_untouched = not own & self._set_upon and piece.effect.writes == frozenset(own)
        return is_once and is_untouched and not self._keeps_state(node)

    def _reads_only(self, piece: Piece, outside: set[str]) -> bool:
        known = outside | BUILTINS
        return all(
            n in outside or n not in self._bindings for n in piece.effect.reads - known
        ) and (not any(n in self._bindings and n not in outside for n in piece.effect.reads))

    def _keeps_state(self, node: ast.stmt) -> bool:
        """Say whether a definition remembers something from call to call."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _, changed = changed_parameters(node, self.around)
            every = node.args.posonlyargs + node.args.args
            pairs = [
                *zip(reversed(every), reversed(node.args.defaults), strict=False),
                *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
            ]
            return any(
                not isinstance(default, ast.Constant | ast.Name | ast.Attribute | None)
                and argument.arg in changed
                for argument, default in pairs
            )
        if isinstance(node, ast.ClassDef):
            stored = [n for n in ast.walk(node) if isinstance(n, ast.Attribute)]
            roots = {root_name(n) for n in stored if isinstance(n.ctx, ast.Store)}
            return bool(roots & {node.name, "cls", "type"})
        return False

    # -------------------------------------------------------------------- setup

    def _decide_setup(self) -> None:
        for number, piece in enumerate(self._pieces):
            is_known = piece.effect.reads <= self.hoisted | BUILTINS
            if number not in self._roles and is_known and self._is_setup(piece.node):
                self._give(number, "setup")

    def _is_setup(self, node: ast.stmt) -> bool:
        """Say whether a statement sets how a library behaves, with values known beforehand."""
        if isinstance(node, ast.Assign):
            places = [t for t in node.targets if isinstance(t, ast.Attribute | ast.Subscript)]
            is_setting = places == node.targets and all(map(self._is_of_library, places))
            return is_setting and self._is_constant(node.value)
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            return False
        name = last_name(node.value.func)
        is_named = name.startswith(_SETUP) and "seed" not in name
        is_path = name in _PATH_CALLS and dotted(node.value.func)[:1] in {("sys",), ("os",)}
        if not (is_named or is_path) or not self._is_of_library(node.value.func):
            return False
        arguments = [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
        return all(map(self._is_constant, arguments))

    def _is_of_library(self, node: ast.expr) -> bool:
        root = root_name(node)
        is_import = any(self._roles.get(n) == "import" for n in self._bindings.get(root, ()))
        return is_import and (not isinstance(node, ast.Name) or root in self.around.imports)

    def _names_set_upon(self) -> set[str]:
        return {
            root_name(node)
            for piece in self._pieces
            for node in ast.walk(piece.node)
            if isinstance(node, ast.Attribute | ast.Subscript)
            and not isinstance(node.ctx, ast.Load)
        }

    def _give(self, number: int, role: Role) -> None:
        self._roles[number] = role
        self.hoisted |= self._pieces[number].effect.writes


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def is_scalar(node: ast.expr | None) -> bool:
    """Say whether an expression is one plain value: a number, text, true, false or nothing."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return is_scalar(node.operand) and not isinstance(node.operand, ast.UnaryOp)
    return isinstance(node, ast.Constant) and isinstance(
        node.value, str | int | float | bool | None
    )


def _assigned_name(node: ast.stmt) -> str:
    """Return the one name that an assignment binds; empty for every other statement."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return name
        case _:
            return ""


def _is_text(piece: Piece) -> bool:
    node = piece.node
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant or isinstance(node, ast.Pass)


def _is_plain(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or is_scalar(getattr(node, "value", None))


def _only_imports(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _what_is_imported(node: ast.stmt, name: str) -> str:
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return ""
    origin = getattr(node, "module", "")
    for alias in node.names:
        if alias.name == "*" or name in bound_by_import(
            ast.Import([alias])
            if isinstance(node, ast.Import)
            else ast.ImportFrom(origin, [alias], 0)
        ):
            # `import a.b` and `import a.c` both bind `a`, the same package.
            return f"{origin} {alias.name.partition('.')[0] if not alias.asname else alias.name}"
    return ""
