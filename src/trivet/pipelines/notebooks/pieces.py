"""A cell's statements, each with its own text and comments, so that nothing is written anew."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from trivet.pipelines.notebooks.scopes import Effect, effect_of

Role = Literal["import", "definition", "constant", "parameter", "setup", "show", "text", "work"]
"""`setup` changes how a library behaves, `show` only shows something, `text` is a docstring."""

_MARK = re.compile(r"^#\s*%%\s*step:\s*(?P<name>.+?)\s*$")
Range = tuple[int, int, int, int]
"""First line, column in bytes, last line, column in bytes; as syntax nodes count them."""


@dataclass(frozen=True)
class Piece:
    """One statement of the notebook's top level."""

    cell: int
    text: str
    node: ast.stmt
    unit: int = 0
    """Its place among the parts that marks cut the cells into, counted through the notebook."""
    lead: tuple[str, ...] = ()
    """Comment lines above it, blank ones as empty text."""
    tail: str = ""
    """The comment behind it."""
    mark: str = ""
    """The step that begins here, when a comment says so."""
    is_shown: bool = False
    """It is an expression whose value the notebook shows."""
    role: Role = "work"
    effect: Effect = field(default_factory=Effect)

    def edited(self, edits: Iterable[tuple[Range, str]]) -> "Piece":
        """Return the piece with parts of its text replaced."""
        text = edit(self.text, edits)
        return remade(replace(self, text=text))


def remade(piece: Piece) -> Piece:
    """Return the piece with syntax and effect read from its text."""
    node = ast.parse(piece.text).body[0]
    return replace(piece, node=node, effect=effect_of([node]))


def range_of(node: ast.expr | ast.stmt) -> Range:
    """Return where a node stands in the text it was parsed from."""
    end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    return node.lineno, node.col_offset, end_line, end_column


def edit(text: str, edits: Iterable[tuple[Range, str]]) -> str:
    """Replace ranges of a text; they do not overlap."""
    content = text.encode()
    starts = [0]
    for line in content.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    for (line, column, end_line, end_column), new in sorted(edits, reverse=True):
        first, last = starts[line - 1] + column, starts[end_line - 1] + end_column
        content = content[:first] + new.encode() + content[last:]
    return content.decode()


def parts_of(source: str) -> list[str]:
    """Cut a cell's source at comments that begin a step; its lines stay whole."""
    parts: list[list[str]] = [[]]
    for line in source.split("\n"):
        if _MARK.match(line) and any(text.strip() for text in parts[-1]):
            parts.append([])
        parts[-1].append(line)
    texts = ["\n".join(lines) for lines in parts]
    return texts if all(map(_is_python, texts)) else [source]


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def cut(cell: int, source: str) -> list[Piece]:
    """Cut a cell's source into its statements.

    Raises:
        SyntaxError: It is no Python.
    """
    tree = ast.parse(source)
    lines = [line.encode() for line in source.split("\n")]
    pieces: list[Piece] = []
    line, column = 0, 0
    for node in tree.body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
        start = 0 if first < node.lineno - 1 else node.col_offset
        if pieces:
            pieces[-1] = replace(pieces[-1], tail=_tail(lines[line][column:]))
        gap = lines[line:first] if not pieces else lines[line + 1 : first]
        mark, lead = _lead(gap)
        line, column = (node.end_lineno or 1) - 1, node.end_col_offset or 0
        text = _between(lines, (first, start), (line, column))
        for own in _single_imports(text, node):
            pieces.append(remade(Piece(cell, own, node, lead=lead, mark=mark)))
            lead, mark = (), ""
    if pieces:
        pieces[-1] = _last(pieces[-1], lines, (line, column))
    return pieces


def _last(piece: Piece, lines: list[bytes], end: tuple[int, int]) -> Piece:
    rest = lines[end[0]][end[1] :]
    is_shown = isinstance(piece.node, ast.Expr) and not rest.lstrip().startswith(b";")
    return replace(piece, tail=_tail(rest), is_shown=is_shown)


def _tail(rest: bytes) -> str:
    text = rest.decode().strip().lstrip(";").strip()
    return text if text.startswith("#") else ""


def _lead(gap: list[bytes]) -> tuple[str, tuple[str, ...]]:
    """Return the step that a comment begins, and the comment lines without it."""
    mark = ""
    lead: list[str] = []
    for line in gap:
        text = line.decode().strip()
        found = _MARK.match(text)
        if found:
            mark = found["name"]
        elif text.startswith("#") or (not text and lead and lead[-1]):
            lead.append(text)
    return mark, tuple(lead)


def _between(lines: list[bytes], start: tuple[int, int], end: tuple[int, int]) -> str:
    taken = lines[start[0] : end[0] + 1]
    taken[-1] = taken[-1][: end[1]]
    taken[0] = taken[0][start[1] :]
    return b"\n".join(taken).decode()


def _single_imports(text: str, node: ast.stmt) -> Iterator[str]:
    """Take `import a, b` apart; everything else stays as it is written."""
    if isinstance(node, ast.Import) and len(node.names) > 1:
        yield from (ast.unparse(ast.Import([alias])) for alias in node.names)
    else:
        yield text
