"""The hidden state of random number generators: what one cell seeds and a later one draws from."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec

from trivet.pipelines.notebooks.mutation import Surroundings
from trivet.pipelines.notebooks.pieces import Piece
from trivet.pipelines.notebooks.scopes import dotted, last_name, root_name

_OBJECTS = {"default_rng", "Generator", "RandomState", "SeedSequence", "PCG64", "Philox"}
_OWN = {"Random", "SystemRandom"}
_SEEDS = {"seed", "manual_seed", "set_seed", "set_random_seed", "seed_everything"}
_WHOLE = ("torch", "tensorflow")
"""Libraries in which nearly everything may draw a number."""


def with_random_states(
    pieces: Sequence[Piece], around: Surroundings, drawn: Mapping[int, Sequence[str]]
) -> list[Piece]:
    """Let the state of each generator that the notebook seeds be a name, seen by who uses it.

    Args:
        pieces: All statements, with roles.
        around: What their calls may mean.
        drawn: Cells that were seen to draw numbers, and from which library's generator.
    """
    seeded = {lib for p in pieces for lib, is_seed in _touched(p.node, around) if is_seed}
    if not seeded:
        return list(pieces)
    functions = _of_definitions(pieces, around)
    last = {piece.cell: number for number, piece in enumerate(pieces) if _runs(piece)}
    made: list[Piece] = []
    for number, piece in enumerate(pieces):
        uses = {lib for lib, is_seed in _touched(piece.node, around) if not is_seed}
        uses |= {lib for name in piece.effect.reads for lib in functions.get(name, ())}
        seeds = {lib for lib, is_seed in _touched(piece.node, around) if is_seed}
        if last.get(piece.cell) == number:
            uses |= set(drawn.get(piece.cell, ()))
        is_statement = isinstance(piece.node, ast.Expr)
        made.append(
            _with_names(piece, uses & seeded, seeds if is_statement else set())
            if _runs(piece)
            else piece
        )
    return [_as_setting(piece, made[number + 1 :]) for number, piece in enumerate(made)]


def _runs(piece: Piece) -> bool:
    return piece.role in {"work", "show"}


def _with_names(piece: Piece, uses: set[str], seeds: set[str]) -> Piece:
    read = frozenset(f"<the random state of {lib}>" for lib in uses - seeds)
    bound = frozenset(f"<the random state of {lib}>" for lib in seeds)
    effect = msgspec.structs.replace(
        piece.effect,
        reads=piece.effect.reads | read,
        writes=piece.effect.writes | read | bound,
        bound=piece.effect.bound | bound,
    )
    return replace(piece, effect=effect)


def _as_setting(piece: Piece, later: Sequence[Piece]) -> Piece:
    """Let a seed that nothing draws from go with the block beside it."""
    states = {name for name in piece.effect.bound if name.startswith("<the random")}
    is_seed = states and isinstance(piece.node, ast.Expr)
    if is_seed and not any(states & other.effect.reads for other in later):
        return replace(piece, role="show")
    return piece


def _of_definitions(pieces: Sequence[Piece], around: Surroundings) -> dict[str, set[str]]:
    """Return which generators the notebook's own functions and classes draw from."""
    found: dict[str, set[str]] = {}
    definitions = [p for p in pieces if p.role == "definition"]
    for _ in range(len(definitions) + 1):
        for piece in definitions:
            own = {lib for lib, _ in _touched(piece.node, around)}
            own |= {lib for name in piece.effect.reads for lib in found.get(name, ())}
            found |= dict.fromkeys(piece.effect.writes, own)
    return found


def _touched(node: ast.AST, around: Surroundings) -> Iterator[tuple[str, bool]]:
    """Yield the libraries whose generator a node names, and whether it seeds it."""
    for item in ast.walk(node):
        if isinstance(item, ast.Call) and last_name(item.func) in _SEEDS:
            library = around.library(item.func).partition(".")[0]
            if library and root_name(item.func) in around.imports:
                yield library, True
        elif isinstance(item, ast.Attribute | ast.Name):
            library = _drawn_from(item, around)
            if library:
                yield library, False


def _drawn_from(node: ast.Attribute | ast.Name, around: Surroundings) -> str:
    chain: list[str] = [*dotted(node)]
    if not chain or chain[0] not in around.imports or chain[-1] in _SEEDS:
        return ""
    parts: list[str] = [*around.imports[chain[0]].split("."), *chain[1:]]
    if parts[:2] == ["numpy", "random"] and len(parts) > 2:
        return "" if parts[2] in _OBJECTS else "numpy"
    if parts[0] == "random" and len(parts) > 1:
        return "" if parts[1] in _OWN else "random"
    return parts[0] if parts[0] in _WHOLE else ""
