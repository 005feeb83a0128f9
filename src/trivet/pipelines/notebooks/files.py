"""Files that a notebook reads by a literal path become parameters of the flow.

So they are fingerprinted: another content is another run. A path that the notebook also writes to,
or uses for anything else than reading, stays as it is.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

import msgspec

from trivet.pipelines.notebooks.pieces import Piece, Range, range_of
from trivet.pipelines.notebooks.scopes import last_name

_READERS = ("read_", "scan_")
_READING = {"load", "loadtxt", "genfromtxt", "fromfile", "imread", "memmap"}
_NAMES = {"filepath_or_buffer", "path", "source", "file", "io", "fname", "path_or_buf"}
_PATH_READS = {"read_text", "read_bytes"}


class FileRead(msgspec.Struct, frozen=True, kw_only=True):
    """A file that became a parameter."""

    name: str
    path: str
    """As the notebook names it, relative to its own folder."""


class Reads(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a notebook's files."""

    files: tuple[FileRead, ...]
    notes: tuple[str, ...]
    crossing: dict[str, tuple[frozenset[int], frozenset[int]]]
    """Paths that are written and read: the pieces that do the one and the other, by number."""


def take_files(pieces: Sequence[Piece], exists: Callable[[str], bool]) -> tuple[list[Piece], Reads]:
    """Replace literal paths of files that are read by names; say which names stand for what.

    Args:
        pieces: All statements, with roles.
        exists: Says whether a path, seen from the notebook, is a file or folder.
    """
    places = [(number, *found) for number, p in enumerate(pieces) for found in _reads(p.node)]
    texts: dict[int, list[object]] = {
        number: [n.value for n in ast.walk(p.node) if isinstance(n, ast.Constant)]
        for number, p in enumerate(pieces)
    }
    taken = {name for p in pieces for name in p.effect.writes | p.effect.reads}
    files: dict[str, str] = {}
    edits: dict[int, list[tuple[Range, str]]] = {}
    notes: list[str] = []
    crossing: dict[str, tuple[frozenset[int], frozenset[int]]] = {}
    for number, node, path in places:
        mentions = sum(values.count(path) for values in texts.values())
        reads = [n for n, _, other in places if other == path]
        is_named = isinstance(pieces[number].node, ast.FunctionDef | ast.ClassDef)
        if mentions != len(reads):
            writers = frozenset(n for n, values in texts.items() if path in values)
            crossing[path] = (writers - set(reads) | _both(texts, reads, path), frozenset(reads))
            notes.append(f"{path!r} is read, and named elsewhere: it is not fingerprinted")
        elif "://" in path or not exists(path):
            notes.append(f"{path!r} is read, but is no file here: it is not fingerprinted")
        elif pieces[number].role in {"work", "show"} and not is_named:
            name = files.setdefault(path, _free_name(path, taken))
            taken.add(name)
            edits.setdefault(number, []).append((range_of(node), name))
    notes += _unnamed(pieces)
    made = [p.edited(edits[n]) if n in edits else p for n, p in enumerate(pieces)]
    found = tuple(FileRead(name=name, path=path) for path, name in files.items())
    return made, Reads(files=found, notes=tuple(dict.fromkeys(notes)), crossing=crossing)


def named_paths(pieces: Sequence[Piece], exists: Callable[[str], bool]) -> dict[str, str]:
    """Return the parameters that hold a path which is only ever read, and the path."""
    found: dict[str, str] = {}
    for piece in pieces:
        value = getattr(piece.node, "value", None)
        if piece.role != "parameter" or not isinstance(value, ast.Constant):
            continue
        if not isinstance(value.value, str) or not value.value or not exists(value.value):
            continue
        (name,) = piece.effect.writes
        uses = [
            n
            for p in pieces
            for n in ast.walk(p.node)
            if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)
        ]
        reads = [n for p in pieces for n in _read_names(p.node) if n.id == name]
        bound = sum(name in p.effect.writes for p in pieces)
        if uses and len(uses) == len(reads) and bound == 1:
            found[name] = value.value
    return found


def with_pseudo_names(pieces: Sequence[Piece], reads: Reads) -> list[Piece]:
    """Let a file that is written and read later be a name, which no step can hand on."""
    made = list(pieces)
    for path, (writers, readers) in reads.crossing.items():
        name = frozenset({f"<file {path}>"})
        for number in writers | readers:
            effect = made[number].effect
            written = name if number in writers else frozenset[str]()
            read = name if number in readers else frozenset[str]()
            effect = msgspec.structs.replace(
                effect, writes=effect.writes | written, reads=effect.reads | read
            )
            made[number] = replace(made[number], effect=effect)
    return made


def _unnamed(pieces: Sequence[Piece]) -> list[str]:
    """Say where files are read that no parameter stands for."""
    parameters = {n for p in pieces if p.role == "parameter" for n in p.effect.writes}
    notes: list[str] = []
    for piece in pieces:
        is_definition = isinstance(piece.node, ast.FunctionDef | ast.ClassDef)
        for argument in _read_arguments(piece.node):
            is_text = isinstance(argument, ast.Constant) and not is_definition
            is_parameter = isinstance(argument, ast.Name) and argument.id in parameters
            if not is_text and not is_parameter:
                what = ast.unparse(argument)
                notes.append(f"cell {piece.cell} reads a file by {what}: it is not fingerprinted")
    return notes


def _both(texts: dict[int, list[object]], reads: list[int], path: str) -> set[int]:
    return {number for number in reads if texts[number].count(path) > reads.count(number)}


def _reads(node: ast.AST) -> Iterator[tuple[ast.Constant, str]]:
    """Yield the literal paths that are read below a node."""
    for argument in _read_arguments(node):
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument, argument.value


def _read_names(node: ast.AST) -> Iterator[ast.Name]:
    for argument in _read_arguments(node):
        if isinstance(argument, ast.Name):
            yield argument


def _read_arguments(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what names the file in each call that reads one."""
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if owner is not None and last_name(call.func) in _PATH_READS:  # Path("x").read_text()
            yield from owner.args[:1] if isinstance(owner, ast.Call) else (owner,)
        elif _reads_file(call):
            yield from call.args[:1]
            yield from (keyword.value for keyword in call.keywords if keyword.arg in _NAMES)


def _reads_file(call: ast.Call) -> bool:
    name = last_name(call.func)
    if isinstance(call.func, ast.Attribute):
        return name.startswith(_READERS) or name in _READING
    return isinstance(call.func, ast.Name) and _is_open_to_read(call)


def _is_open_to_read(call: ast.Call) -> bool:
    name = last_name(call.func)
    if name.startswith(_READERS):
        return True
    if name != "open":
        return False
    modes = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
    return all(isinstance(m, ast.Constant) and not set(str(m.value)) & set("wax+") for m in modes)


def _free_name(path: str, taken: set[str]) -> str:
    stem = "".join(c if c.isalnum() and c.isascii() else "_" for c in PurePath(path).name).lower()
    name = stem.strip("_") or "file"
    name = f"file_{name}" if name[0].isdigit() else name
    number, wanted = 2, name
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name
