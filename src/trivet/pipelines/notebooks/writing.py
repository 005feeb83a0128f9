"""The module: steps and one flow, in percent format, in the notebook's own words."""

import ast
import io
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from trivet.pipelines.notebooks.blocks import Block
from trivet.pipelines.notebooks.pieces import Piece, Range, edit, range_of
from trivet.pipelines.notebooks.reading import Cell
from trivet.pipelines.notebooks.scopes import NESTED, bound_by_import

_WIDTH = 100
_INDENT = "    "
_MIDDLES = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
_WORDS = ("File", "effect", "flow", "step")


@dataclass(frozen=True)
class Parameter:
    """A parameter of the flow."""

    name: str
    default: str
    """As it is written in Python."""
    kind: str
    """Its annotation; empty for none."""


@dataclass(frozen=True)
class Design:
    """Everything that the module is written from."""

    notebook: str
    flow: str
    cells: Sequence[Cell]
    pieces: Sequence[Piece]
    blocks: Sequence[Block]
    names: Sequence[str]
    """The steps' names, one per block."""
    parameters: Sequence[Parameter]
    results: Sequence[str]
    builtin_names: frozenset[str] = frozenset()


def write_module(design: Design) -> str:
    """Return the module's text; lines that the notebook did not bring are formatted."""
    outside = [p for p in design.pieces if p.role in {"import", "setup", "constant", "definition"}]
    first = _leading_imports(outside)
    later = [piece for piece in outside if piece not in first]
    parts = [_docstring(design), _imports(design, first, outside)]
    by_cell: dict[int, list[Piece]] = {}
    for piece in later:
        by_cell.setdefault(piece.cell, []).append(piece)
    steps: dict[int, list[str]] = {}
    for name, block in zip(design.names, design.blocks, strict=True):
        steps.setdefault(block.group.last_cell, []).append(_step(design, name, block))
    for cell in design.cells:
        if cell.kind == "markdown" and cell.source.strip():
            parts.append(_markdown(cell.source))
        if cell.number in by_cell:
            parts.append(_outside(by_cell[cell.number], outside))
        parts += steps.get(cell.number, ())
    parts.append(_flow(design))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def call_of(name: str, block: Block) -> list[str]:
    """Return the lines that call a step as the flow does."""
    opening = f"{', '.join(block.outputs)} = {name}(" if block.outputs else f"{name}("
    if len(opening) + 4 <= _WIDTH:
        return _wrapped(opening, block.inputs, ")")
    targets = _wrapped("(", block.outputs, ")")
    return [*targets[:-1], *_wrapped(f"{targets[-1]} = {name}(", block.inputs, ")")]


def word(design: Design, name: str) -> str:
    """Return what the module calls one of Trivet's words: the notebook may use it itself."""
    hidden = {n for p in design.pieces if p.role != "work" for n in p.effect.writes}
    hidden |= {design.flow, *design.names}
    return f"trivet_{name}" if name in hidden else name


# ---------------------------------------------------------------------- parts


def _docstring(design: Design) -> str:
    line = f"{design.notebook} as a pipeline: `{design.flow}` runs its cells as steps."
    codes: list[str] = []
    if any("*" in p.text for p in design.pieces if p.role == "import"):
        codes.append("F405")  # names of a star import
    if any(_hidden_unused(block) for block in design.blocks):
        codes.append("F841")  # what the notebook bound, and nobody reads
    quiet = [f"# ruff: noqa: {', '.join(codes)}"] if codes else []
    return "\n".join([f'"""{line}"""', *quiet])


def _hidden_unused(block: Block) -> bool:
    """Say whether a step binds, in the midst of a statement, what nothing reads."""
    nodes = [n for piece in block.group.pieces for n in ast.walk(piece.node)]
    loaded = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    plain = {id(piece.node) for piece in block.group.pieces}
    bound: set[str] = set()
    for node in nodes:
        match node:
            case ast.NamedExpr(target=ast.Name(id=name)) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.withitem(optional_vars=ast.Name(id=name)):
                bound.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) if id(node) not in plain:
                bound.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                bound.add(name)
            case _:
                pass
    return bool(bound - loaded - set(block.outputs))


def _imports(design: Design, first: Sequence[Piece], outside: Sequence[Piece]) -> str:
    used = [w for w in _WORDS if _is_used(design, w)]
    spoken = [f"{w} as {word(design, w)}" if word(design, w) != w else w for w in used]
    lines = ["# %%"]
    future = [p for p in first if _is_future(p)]
    lines += [piece.text for piece in future]
    own = [_with_comments(p, outside) for p in first if not _is_future(p)]
    lines += [*dict.fromkeys(own), f"from trivet import {', '.join(spoken)}"]
    return "\n".join(lines)


def _is_used(design: Design, name: str) -> bool:
    match name:
        case "File":
            return any(parameter.kind == "File" for parameter in design.parameters)
        case "effect":
            return any(block.is_effect for block in design.blocks)
        case "step":
            return any(not block.is_effect for block in design.blocks)
        case _:
            return True


def _markdown(source: str) -> str:
    lines = [f"# {line}".rstrip() for line in source.strip("\n").split("\n")]
    return "\n".join(["# %% [markdown]", *lines])


def _outside(pieces: Sequence[Piece], outside: Sequence[Piece]) -> str:
    lines: list[str] = ["# %%"]
    seen: set[str] = set()
    for piece in pieces:
        if piece.role == "import" and piece.text in seen:
            continue
        seen.add(piece.text)
        is_large = isinstance(piece.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if is_large:
            lines += ["", ""] if len(lines) > 1 else []
        lines.append(_with_comments(piece, outside))
        if is_large:
            lines += ["", ""]
    return "\n".join(lines).rstrip("\n")


def _step(design: Design, name: str, block: Block) -> str:
    kind = word(design, "effect" if block.is_effect else "step")
    cells = list(dict.fromkeys(piece.cell for piece in block.group.pieces))
    told = f"cell {cells[0]}" if len(cells) == 1 else f"cells {_listed(cells)}"
    lines = ["# %%", "", "", f"@{kind}", *_wrapped(f"def {name}(", block.inputs, "):")]
    lines.append(f'{_INDENT}"""Do what {told} of the notebook did."""')
    lines += [_INDENT + line for line in _prelude(design, block)]
    lines += _body(block)
    if block.outputs:
        lines += [_INDENT + line for line in _returned(block.outputs)]
    return "\n".join(lines)


def _flow(design: Design) -> str:
    parameters = [
        f"{p.name}: {word(design, 'File') if p.kind == 'File' else p.kind} = {p.default}"
        if p.kind
        else f"{p.name}={p.default}"
        for p in design.parameters
    ]
    lines = ["# %%", "", "", f"@{word(design, 'flow')}"]
    lines += _wrapped(f"def {design.flow}(", parameters, "):")
    lines.append(f'{_INDENT}"""Run the notebook from top to bottom."""')
    for name, block in zip(design.names, design.blocks, strict=True):
        lines += [_INDENT + line for line in call_of(name, block)]
    if list(design.results) == ["results"]:
        lines.append(f"{_INDENT}return results")
    else:
        pairs = [f'"{name}": {name}' for name in design.results]
        lines += [_INDENT + line for line in _wrapped("return {", pairs, "}")]
    return "\n".join(lines)


def _returned(outputs: Sequence[str]) -> list[str]:
    line = f"return {', '.join(outputs)}"
    return [line] if len(line) + 4 <= _WIDTH else _wrapped("return (", outputs, ")")


# ----------------------------------------------------------------------- body


def _prelude(design: Design, block: Block) -> Iterator[str]:
    """Yield what makes a name mean the same before the step binds it itself."""
    effect = block.group.effect
    own = _lexical_locals(block)
    outer = {
        name: piece
        for piece in design.pieces
        if isinstance(piece.node, ast.Import | ast.ImportFrom) and piece.role != "work"
        for name in piece.effect.writes
    }
    for name in sorted(effect.reads & own - set(block.inputs)):
        if name in outer:
            yield f"{_import_of(outer[name].node, name)}  # noqa: F811"
        elif name in design.builtin_names:
            yield f"from builtins import {name}"
    through_global = {n for n in effect.writes if not n.startswith("<")} - own
    for name in sorted(through_global - set(block.inputs)):
        yield f"{name}: object"


def _import_of(node: ast.stmt, name: str) -> str:
    """Write the import of one name."""
    if isinstance(node, ast.ImportFrom):
        found = [a for a in node.names if name in {a.asname, a.name}] or [ast.alias(name)]
        return ast.unparse(ast.ImportFrom(node.module, found[:1], node.level))
    return ast.unparse(node)


def _lexical_locals(block: Block) -> set[str]:
    own: set[str] = set()
    waiting: list[ast.AST] = [piece.node for piece in block.group.pieces]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                own.add(name)
            case ast.Import() | ast.ImportFrom():
                own |= set(bound_by_import(node))
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                own.add(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                own.add(name)
            case _:
                pass
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, NESTED):
            own |= {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
        else:
            waiting += ast.iter_child_nodes(node)
    return own


def _body(block: Block) -> list[str]:
    loaded = {
        n.id
        for piece in block.group.pieces
        for n in ast.walk(piece.node)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    lines: list[str] = []
    cell = block.group.pieces[0].cell
    for piece in block.group.pieces:
        if isinstance(piece.node, ast.Global):
            continue
        if piece.cell != cell:
            lines += [""]
            cell = piece.cell
        piece = _inside(piece)  # noqa: PLW2901  # the piece as it stands in a function
        unused = piece.effect.bound - loaded - set(block.outputs)
        if unused and isinstance(piece.node, ast.Assign) and "noqa" not in piece.tail:
            is_simple = isinstance(piece.node.targets[0], ast.Name)
            tail = f"{piece.tail}  # noqa: F841".strip() if is_simple else piece.tail
            piece = replace(piece, tail=tail)  # noqa: PLW2901  # as above
        lines += indented(_text(piece), _INDENT).split("\n")
    return lines


def _inside(piece: Piece) -> Piece:
    """Let what a nested function makes global be the step's own."""
    edits: list[tuple[Range, str]] = [
        (range_of(node), f"nonlocal {', '.join(node.names)}")
        for node in ast.walk(piece.node)
        if isinstance(node, ast.Global)
    ]
    if not edits:
        return piece
    # Not read again: `nonlocal` is no Python outside the step.
    return replace(piece, text=edit(piece.text, edits))


def indented(text: str, prefix: str) -> str:
    """Indent a text, but for the lines that begin inside a string."""
    inside: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in _MIDDLES and token.start[0] != token.end[0]:
            inside.update(range(token.start[0] + 1, token.end[0] + 1))
    lines = text.split("\n")
    return "\n".join(
        line if number in inside or not line.strip() else prefix + line
        for number, line in enumerate(lines, 1)
    )


def _text(piece: Piece) -> str:
    lead = [*piece.lead]
    while lead and not lead[-1]:
        lead.pop()
    return "\n".join([*lead, f"{piece.text}  {piece.tail}".rstrip()])


def _with_comments(piece: Piece, outside: Sequence[Piece]) -> str:
    """Return a statement of the top level, with what quiets a linter where it must."""
    codes: list[str] = []
    if piece.role == "import" and isinstance(piece.node, ast.Import | ast.ImportFrom):
        before = outside[: outside.index(piece)]
        codes += ["E402"] if any(p.role != "import" for p in before) else []
        codes += ["F403"] if any(alias.name == "*" for alias in piece.node.names) else []
    if isinstance(getattr(piece.node, "value", None), ast.Lambda):
        codes.append("E731")
    if codes and "noqa" not in piece.tail:
        tail = f"{piece.tail}  # noqa: {', '.join(codes)}".strip()
        return _text(replace(piece, tail=tail))
    return _text(piece)


def unused_imports(pieces: Sequence[Piece], blocks: Sequence[Block]) -> list[Piece]:
    """Return the pieces with imports that nothing uses marked: they may act by themselves."""
    read = {n for p in pieces if p.role not in {"work", "show"} for n in p.effect.reads}
    within: set[str] = set()
    for block in blocks:
        own = _lexical_locals(block) | set(block.inputs)
        read |= block.group.effect.reads - own
        within |= block.group.effect.reads & own - set(block.inputs)
    made: list[Piece] = []
    for piece in pieces:
        is_import = piece.role == "import" and isinstance(piece.node, ast.Import | ast.ImportFrom)
        unused = is_import and not _is_future(piece) and piece.effect.writes - read
        is_star = is_import and "*" in piece.text
        if unused and piece.effect.writes <= within:
            made.append(replace(piece, role="text"))  # the steps import it themselves
            continue
        if unused and not is_star and "noqa" not in piece.tail:
            made.append(replace(piece, tail=f"{piece.tail}  # noqa: F401".strip()))
        else:
            made.append(piece)
    return made


def _leading_imports(outside: Sequence[Piece]) -> list[Piece]:
    """Return the imports that may stand at the top: nothing before them sets anything up."""
    leading: list[Piece] = []
    for piece in outside:
        if piece.role == "setup":
            break
        if piece.role == "import":
            leading.append(piece)
    future = [p for p in outside if _is_future(p) and p not in leading]
    return [*future, *leading]


def _is_future(piece: Piece) -> bool:
    return isinstance(piece.node, ast.ImportFrom) and piece.node.module == "__future__"


def _listed(numbers: Sequence[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _wrapped(opening: str, items: Sequence[str], closing: str) -> list[str]:
    """Write a list on one line where it fits, or else one item a line."""
    line = f"{opening}{', '.join(items)}{closing}"
    if len(line) + 4 <= _WIDTH or not items:
        return [line]
    return [opening, *(f"{_INDENT}{item}," for item in items), closing]
