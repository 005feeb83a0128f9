"""What compiled code refers to, and what it does, without its source."""

import dis
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import cast

import msgspec

from trivet.core.ids import sha256_hex

_ROOTS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_PARTS = {"LOAD_ATTR", "LOAD_METHOD"}
_PATCHES = {"STORE_ATTR", "DELETE_ATTR", "COPY", "DUP_TOP"}


class Reach(msgspec.Struct, frozen=True):
    """What a code object refers to: dotted chains from a global name, and imports inside it."""

    chains: tuple[tuple[str, ...], ...]
    imports: tuple[tuple[str, tuple[str, ...]], ...]
    """Pairs (module as written, names taken from it)."""
    names: frozenset[str]
    """Every global name and attribute that it mentions."""
    may_patch: bool
    """Whether it may set an attribute of something global."""


@lru_cache(maxsize=4096)
def reach_of(code: CodeType) -> Reach:
    """List what a code object, and those nested in it, refer to."""
    reader = _ReachReader()
    for inner in nested(code):
        reader.read(inner)
    return Reach(
        tuple(reader.chains), tuple(reader.imports), frozenset(reader.names), reader.may_patch
    )


class _ReachReader:
    def __init__(self) -> None:
        self.chains: dict[tuple[str, ...], None] = {}
        self.imports: dict[tuple[str, tuple[str, ...]], None] = {}
        self.names: set[str] = set()
        self.may_patch = False

    def read(self, code: CodeType) -> None:
        self.names.update(code.co_names)
        chain: tuple[str, ...] = ()
        module = ""
        taken: tuple[str, ...] = ()
        for instruction in dis.get_instructions(code):
            name, argument = instruction.opname, str(instruction.argval)
            if name in _PARTS and chain:
                chain += (argument,)
                continue
            if chain:
                self.chains[chain] = None
                self.may_patch |= name in _PATCHES
            chain = (argument,) if name in _ROOTS else ()
            if name == "IMPORT_NAME":
                module, taken = argument, ()
                self.imports[module, taken] = None
            elif name == "IMPORT_FROM":
                self.imports.pop((module, taken), None)
                taken += (argument,)
                self.imports[module, taken] = None
        if chain:
            self.chains[chain] = None


def bytecode(code: CodeType) -> str:
    """Digest what a code object does, without its name and its lines."""
    described = [
        bytecode(item) if isinstance(item, CodeType) else _constant(item) for item in code.co_consts
    ]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return sha256_hex(code.co_code, repr((described, names, counts)).encode())


def _constant(value: object) -> str:
    if isinstance(value, frozenset):  # its order differs from process to process
        return f"frozenset:{sorted(map(repr, cast('frozenset[object]', value)))}"
    return f"{type(value).__name__}:{value!r}"


def nested(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those inside it."""
    yield code
    for item in code.co_consts:
        if isinstance(item, CodeType):
            yield from nested(item)
