"""Source text of the parts of a fingerprint, at two moments, and how the one became the other.

A part is named `module.qualname`. Its text is cut out of the module's file: as it was kept with a
run, or as it is now. Where a part's own text is the same, what it is made from is looked at.
"""

import ast
import difflib
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from trivet.core.fingerprints.settings import SETTINGS, settings_in

PartKind = Literal["function", "class", "constant", "module", "code"]
ReadText = Callable[[str], str | None]
"""Returns the text of a project's file by its relative path, None when there is none."""

WHOLE = " (whole)"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEEPEST = 4
_MOST_LINES = 400


class Cut(msgspec.Struct, frozen=True):
    """A piece of a file."""

    kind: PartKind
    text: str
    module: str
    names: tuple[str, ...] = ()
    """Names in it whose values a constant is computed from."""


class Difference(msgspec.Struct, frozen=True):
    """How a part's source differs between two moments."""

    kind: PartKind
    diff: str
    """A unified diff; empty when no text differs, or none was kept."""
    note: str = ""
    """What the diff alone does not say."""


class Sources:
    """A project's sources at one moment.

    Args:
        read: Reads a file.
        name: What the moment is called in a diff.
    """

    def __init__(self, read: ReadText, name: str) -> None:
        self._read = read
        self.name = name
        self._texts: dict[str, str | None] = {}
        self._trees: dict[str, ast.Module | None] = {}

    def module(self, name: str) -> str | None:
        """Return the text of a module's file."""
        if name not in self._texts:
            place = name.replace(".", "/")
            paths = (f"{place}.py", f"{place}/__init__.py")
            found = (self._read(f"{root}{path}") for root in ("", "src/") for path in paths)
            self._texts[name] = next((text for text in found if text is not None), None)
        return self._texts[name]

    def cut(self, part: str) -> Cut | None:
        """Return a part's piece of source, None when there is none."""
        label = part.partition("#")[0]
        if label.endswith(WHOLE):
            module = label.removesuffix(WHOLE)
            text = self.module(module)
            return None if text is None else Cut("module", text, module)
        if label.endswith(SETTINGS):
            return self._settings(label.removesuffix(SETTINGS))
        names = label.split(".")
        for count in range(len(names) - 1, 0, -1):
            module = ".".join(names[:count])
            if self.module(module) is not None:
                return self._cut(module, names[count:])
        return None

    def related(self, cut: Cut) -> Iterator[str]:
        """Yield the parts that a constant is made from: imported names, names in its statement."""
        tree = self._tree(cut.module)
        imported = dict(_imported(tree, cut.module)) if tree else {}
        for name in cut.names:
            yield imported.get(name, f"{cut.module}.{name}")

    def _settings(self, module: str) -> Cut | None:
        text, tree = self.module(module), self._tree(module)
        if text is None or tree is None:
            return None
        lines, found = text.splitlines(), list(settings_in(tree))
        pieces = dict.fromkeys(_lines_of(one.statements[-1], lines) for one in found)
        read = dict.fromkeys(name for one in found for name in _names_in(one.statements[-1]))
        return Cut("module", "\n".join(pieces), module, tuple(read))

    def _cut(self, module: str, names: Sequence[str]) -> Cut | None:
        text, tree = self.module(module), self._tree(module)
        if text is None or tree is None:
            return None
        found: list[ast.AST] = [tree]
        for name in names:
            if name != "<locals>":
                found = [inner for node in found for inner in _named(node, name)]
        if not found:
            return None
        lines = text.splitlines()
        pieces = [_lines_of(node, lines) for node in found]
        read = dict.fromkeys(name for node in found for name in _names_in(node))
        return Cut(_kind_of(found[-1]), "\n".join(pieces), module, tuple(read))

    def _tree(self, module: str) -> ast.Module | None:
        if module not in self._trees:
            text = self.module(module)
            try:
                self._trees[module] = ast.parse(text) if text is not None else None
            except (SyntaxError, ValueError, RecursionError):
                self._trees[module] = None
        return self._trees[module]


def compare_part(
    part: str, before: Sources, after: Sources, *, look_around: bool = True
) -> Difference:
    """Say how a part's source differs between two moments.

    Args:
        part: Its name.
        before: The sources at the earlier moment.
        after: The sources at the later one.
        look_around: Whether, when its own text is the same, what it is computed from is compared,
            and at last its whole module.
    """
    one, two = before.cut(part), after.cut(part)
    cut = two or one
    if cut is None:
        return Difference("code", "", "no source of it was kept")
    own = _diff(part, one.text if one else "", two.text if two else "", before, after)
    if own or not look_around:
        return Difference(cut.kind, own)
    behind = list(_behind(cut, before, after, {part}, 0))
    if behind:
        return Difference(cut.kind, "\n".join(behind), "what it is made from is another")
    whole = _diff(
        cut.module, before.module(cut.module) or "", after.module(cut.module) or "", before, after
    )
    if whole:
        note = "its own text is the same; something around it in its module is another"
        return Difference(cut.kind, whole, note)
    return Difference(cut.kind, "", "its text is the same; what it holds is another")


def _behind(cut: Cut, before: Sources, after: Sources, seen: set[str], depth: int) -> Iterator[str]:
    """Yield the differences of what a constant is made from."""
    if depth >= _DEEPEST:
        return
    for part in {*after.related(cut), *before.related(cut)} - seen:
        seen.add(part)
        one, two = before.cut(part), after.cut(part)
        diff = _diff(part, one.text if one else "", two.text if two else "", before, after)
        if diff:
            yield diff
        elif two is not None:
            yield from _behind(two, before, after, seen, depth + 1)


def _diff(name: str, one: str, two: str, before: Sources, after: Sources) -> str:
    if one == two:
        return ""
    lines = list(
        difflib.unified_diff(
            one.splitlines(),
            two.splitlines(),
            f"{name} ({before.name})",
            f"{name} ({after.name})",
            lineterm="",
        )
    )
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES} more lines"]
    return "\n".join(lines)


def _named(node: ast.AST, name: str) -> Iterator[ast.AST]:
    """Yield what a name means in a module, class or function, also below `if` and `try`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            if child.name == name:
                yield child
        elif (name == "<lambda>" and _holds_lambda(child)) or (
            isinstance(child, ast.stmt) and name in _bound(child)
        ):
            yield child
        elif not isinstance(child, ast.expr):
            yield from _named(child, name)


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a simple statement gives a value."""
    targets: list[ast.expr] = []
    match statement:
        case ast.Assign():
            targets = statement.targets
        case ast.AnnAssign() | ast.AugAssign():
            targets = [statement.target]
        case ast.Import() | ast.ImportFrom():
            return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
        case _:
            return set()
    walked = (node for target in targets for node in ast.walk(target))
    return {node.id for node in walked if isinstance(node, ast.Name)}


def _holds_lambda(node: ast.AST) -> bool:
    simple = (ast.Assign, ast.AnnAssign, ast.Expr, ast.Return)
    return isinstance(node, simple) and any(isinstance(one, ast.Lambda) for one in ast.walk(node))


def _imported(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    """Yield the names that a module imports with the parts that they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield alias.asname or alias.name, f"{origin}.{alias.name}"


def _names_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        return  # what a function reads are parts of their own
    if isinstance(node, ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
            yield inner.id


def _kind_of(node: ast.AST) -> PartKind:
    if isinstance(node, ast.ClassDef):
        return "class"
    return "function" if isinstance(node, _FUNCTIONS) or _holds_lambda(node) else "constant"


def _lines_of(node: ast.AST, lines: Sequence[str]) -> str:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    own: int = getattr(node, "lineno", 1)
    first = min([own, *(one.lineno for one in decorators)])
    last: int = getattr(node, "end_lineno", None) or own
    return textwrap.dedent("\n".join(lines[first - 1 : last]))
