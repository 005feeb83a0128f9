"""The walk over everything that a function can reach: the work behind a fingerprint."""

import ast
import builtins
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from trivet.core.fingerprints.anatomy import (
    AMBIENT,
    DESCRIPTORS,
    EXACT,
    FURNITURE,
    MEMORY_FILES,
    SPOKEN,
    TELLING,
    alias_parts,
    attributes_of,
    callables_held,
    cells_of,
    describe_items,
    digest_memory_file,
    inside,
    is_code,
    is_data,
    is_pythons_own,
    noted_in,
    owner_of,
    state_of,
    subclasses_of,
    type_name,
)
from trivet.core.fingerprints.declared import (
    digest_file,
    digest_path,
    names_file,
    state_of_path,
)
from trivet.core.fingerprints.held_code import code_held_by
from trivet.core.fingerprints.limits import (
    READS_ANNOTATIONS,
    READS_DOCSTRINGS,
    READS_SOURCE,
    SUSPICIOUS,
    UNREADABLE,
    WATCHED,
    Limit,
    look,
    patches_of,
)
from trivet.core.fingerprints.modules import (
    distribution_of,
    file_of,
    label_of_module,
    loaded_by,
    meant_by_import,
)
from trivet.core.fingerprints.ownership import HEAP_TYPE, Ownership, source_of_module
from trivet.core.fingerprints.reach import Reach, bytecode, reach_of
from trivet.core.fingerprints.settings import SETTINGS
from trivet.core.fingerprints.stillness import Stillness
from trivet.core.fingerprints.syntax import Source, read_expression, read_statement, source_of
from trivet.core.ids import sha256_hex

Digester = Callable[[object], str | None]
"""Asked for the content digest of a value of an installed library's type; None: not known."""

_DEEPEST = 100
_OWN_NAME = __name__.partition(".")[0]
_LONGEST = 400
"""A longer description of a value is shortened to its digest, so that none grows without end."""
_PLACE = re.compile("(object)? at 0x[0-9a-f]+(?=>)", re.IGNORECASE)
_ADDRESS = re.compile("0x[0-9a-f]{6,}", re.IGNORECASE)
"""What a value says of itself with an address in it is another in each process."""
_MOST_RETURNS = 30_000
"""So often one walk comes back to what it has been through: in data full of circles, each way
through is another description, and there can be more ways than time."""


class Walk:
    """One walk over everything reachable.

    A value is described by a token. Code and constants are *parts*: their token is their name,
    and their own digest is computed when their turn comes, so that no chain of calls is too deep
    and no circle is endless.

    Args:
        home: A folder that counts as the user's although it was installed; may be empty.
        folder: From where the paths of dependencies count.
        digester: Lets frames and arrays that are reached as constants count by their content.
    """

    def __init__(self, home: str, folder: Path, digester: Digester | None) -> None:
        self.parts: dict[str, str] = {}
        self.limits: set[Limit] = set()
        self.stillness = Stillness()
        self._whose = Ownership(home)
        self._folder = folder
        self._digester = digester
        self._tokens: dict[int, str] = {}
        self._untold: list[str] = []  # limits that statements may still make up for
        self._kept: list[object] = []  # what was seen stays alive, or its id() could be reused
        self._waiting: deque[tuple[str, Callable[[], Iterable[str]]]] = deque()
        self._depth = 0
        self._described: set[int] = set()
        self._returns = 0
        self._bound = 0  # descriptions so far that hold only at their place: in a circle, or deep
        self._here = "root"  # the part that is being described
        self._annotations: dict[str, str] = {}
        self._reads_annotations = False
        self._docstrings: dict[str, str] = {}
        self._reads_docstrings = False
        self._files: set[str] = set()
        self._reads_source = False
        self._entered: set[str] = set()  # modules whose statements were looked at

    def finish(self) -> None:
        """Compute the digests of all parts, also of those found on the way."""
        self._tell()
        while self._waiting:
            self._here, describe = self._waiting.popleft()
            self.parts[self._here] = short(*describe())
            self._tell()
        if self._reads_annotations:
            noted = (f"{label}:{text}" for label, text in sorted(self._annotations.items()))
            self.parts["annotations"] = short(*noted)
        if self._reads_docstrings:
            said = (f"{label}:{text}" for label, text in sorted(self._docstrings.items()))
            self.parts["docstrings"] = short(*said)
        if self._reads_source:
            files = (Path(file) for file in self._files)
            self.parts["text"] = short(*sorted(map(digest_file, filter(Path.is_file, files))))

    def token(self, value: object) -> str:
        """Describe a value in one text: equal texts, equal behaviour."""
        if type(value) in EXACT:
            return f"{type(value).__name__}:{value!r}"
        known = self._tokens.get(id(value))
        if known is not None:
            self._bound += known.startswith("again:")
            return known
        if self._depth >= _DEEPEST or self._returns >= _MOST_RETURNS:
            self._bound += 1
            self._limit(f"holds a {type_name(value)} too deep inside for its content to count")
            return f"deep:{type_name(value)}"
        self._depth += 1
        try:
            return self._code_token(value) or self._data_token(value)
        finally:
            self._depth -= 1

    def dependency(self, item: object, of: str) -> str:
        """Describe what a user named as a dependency: a file counts by its content.

        Raises:
            NotFound: It is a path where nothing is.
        """
        if isinstance(item, Path):
            path = self._folder / item
            digest = digest_path(path, item, of)
            self.stillness.note_content(path, state_of_path, state_of_path(path) or "")
            return digest
        if isinstance(item, str) and names_file(item, self._folder):
            said = f"holds the text {item!r}, not the file of that name: write Path({item!r})"
            self.limits.add(Limit(f"depends= of {of}", said))
        if isinstance(item, list | tuple):
            several = cast("Sequence[object]", item)
            if any(isinstance(one, Path) for one in several):
                return str([self.dependency(one, of) for one in several])
        return self.token(cast("object", item))

    # -------------------------------------------------------------------- data

    def _data_token(self, value: object) -> str:
        # A container that holds itself is named by its type from the second time on.
        self._know(value, f"again:{type_name(value)}")
        self.stillness.note(value)
        self._returns += id(value) in self._described
        self._described.add(id(value))
        bound = self._bound
        try:
            said = describe_items(value, self.token) or self._instance(value)
        finally:
            del self._tokens[id(value)]
        if len(said) > _LONGEST:
            said = f"long:{type_name(value)}:{short(said)}"
        if self._bound == bound:
            # What stands in many places is described once: each place would double the work.
            self._know(value, said)
        return said

    def _instance(self, value: object) -> str:
        kind = type(value)
        top = kind.__module__.partition(".")[0]
        if top == "typing" or isinstance(value, types.GenericAlias | types.UnionType):
            parts = [self.token(part) for part in alias_parts(value)]
            return f"{type_name(value)}:{parts or repr(value)}"
        if top in SPOKEN:
            return f"{type_name(value)}:{value!r}"
        if top in AMBIENT and not isinstance(value, MEMORY_FILES):
            return f"instance:{type_name(value)}"
        content = self._content(value)
        if content is not None:
            return content
        state = state_of(value)
        # A type written in C shows in its attributes what was hung on it, not what it is.
        if state is None or (not state and not kind.__flags__ & HEAP_TYPE):
            said = "" if self._whose.module(kind.__module__) == "project" else repr(value)
            said = _PLACE.sub("", said)
            self._untold.append(f"holds a {type_name(value)}, told apart by nothing but its type")
            self._bound += 1  # who meets it again must hear of it, too
            return f"instance:{self.token(kind)}:{'' if _ADDRESS.search(said) else said}"
        said = _PLACE.sub("", repr(value)) if top in TELLING else ""
        return f"instance:{self.token(kind)}:{self.token(state)}{said}"

    def _content(self, value: object) -> str | None:
        """Describe a value that somebody knows by its content, with its class if that is code."""
        digester = digest_memory_file if isinstance(value, MEMORY_FILES) else self._digester
        digest = digester(value) if digester else None
        if digest is None or digester is None:
            return None
        self.stillness.note_content(value, digester, digest)
        kind = self.token(type(value)) if self._whose.is_own(type(value)) else type_name(value)
        held = [self.token(one) for one in code_held_by(value, self._whose.is_own)]
        return f"content:{kind}:{digest}{held or ''}"

    # -------------------------------------------------------------------- code

    def _code_token(self, value: object) -> str | None:
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return self._module(value.__name__)
        if isinstance(value, types.BuiltinFunctionType):
            self._touch(str(value.__module__ or "builtins"))
            owner = owner_of(value)
            of = "" if owner is None else f" of {self.token(owner)}"
            return f"builtin:{value.__module__}.{value.__qualname__}{of}"
        inner = inside(value)
        if inner is None:
            return None
        return f"{type(value).__name__}:{[self.token(item) for item in inner]}"

    def _function(self, function: types.FunctionType) -> str:
        if self._whose.code(function) == "project":
            label = f"{label_of_module(function.__module__)}.{function.__qualname__}"
            return self._part(function, label, lambda: self._function_parts(function))
        self._know(function, f"again:{function.__qualname__}")
        wrapped = cast("object", getattr(function, "__wrapped__", None))
        if not callable(wrapped):
            self._touch(str(function.__globals__.get("__name__", "")))
            held = [self.token(item) for item in callables_held(function)]
            return f"function:{function.__module__}.{function.__qualname__}{held or ''}"
        # A library's decorator around the user's function, with what it was given.
        given = filter(is_data, cells_of(function))
        held = [self.token(item) for item in (wrapped, *given, *callables_held(function))]
        held += self._annotations_read(function, wrapped)
        declared = cast("Iterable[object]", getattr(function, "__depends__", ()))
        of = function.__qualname__
        return f"wrapper:{held}{[self.dependency(item, of) for item in declared]}"

    def _annotations_read(self, wrapper: types.FunctionType, wrapped: object) -> Iterator[str]:
        """Yield the annotations of a function, and what they name, below a library's wrapper.

        Python's own wrappers and Trivet's do not read them.
        """
        place = wrapper.__module__.partition(".")[0]
        is_read = self._whose.code(wrapper) == "package" and place != _OWN_NAME
        if not is_read or not isinstance(wrapped, types.FunctionType):
            return
        for name, note in wrapped.__annotations__.items():
            if isinstance(note, str):
                yield f"{name}:{note}"
                yield from self._follow(read_expression(note), wrapped.__globals__)
            else:
                yield f"{name}:{self.token(note)}"

    def _function_parts(self, function: types.FunctionType) -> Iterator[str]:
        code, names = function.__code__, function.__globals__
        self.stillness.note(function)
        self._files.add(code.co_filename)
        self._docstrings[self._here] = str(function.__doc__)
        source = source_of(code.co_filename)
        yield (source.function(code) if source else None) or bytecode(code)
        yield self.token(function.__defaults__)
        yield self.token(function.__kwdefaults__)
        yield from (self.token(item) for item in cells_of(function))
        yield from (f".{key}={self.token(item)}" for key, item in attributes_of(function).items())
        yield from self._follow(reach_of(code), names)
        noted = source.annotations(code) if source else ""
        if noted:
            self._annotations[self._here] = noted
        nodes = source.nodes(code) if source else []
        yield from self._look(nodes, reach_of(code), names, function.__module__)
        self._enter(function.__module__)

    def _class(self, kind: type) -> str:
        if self._whose.is_own(kind):
            label = f"{label_of_module(kind.__module__)}.{kind.__qualname__}"
            return self._part(kind, label, lambda: self._class_parts(kind))
        self._touch(kind.__module__)
        return f"class:{kind.__module__}.{kind.__qualname__}"

    def _class_parts(self, kind: type) -> Iterator[str]:
        source = source_of_module(kind.__module__)
        self.stillness.note(kind)
        self._enter(kind.__module__)
        self._files.add(file_of(kind.__module__) or "")
        self._docstrings[self._here] = str(kind.__doc__)
        yield (source.class_(kind.__qualname__) if source else None) or ""
        yield from (self.token(base) for base in (*kind.__bases__, type(kind)))
        yield from (f"{name}={self.token(noted)}" for name, noted in noted_in(kind))
        names = vars(sys.modules[kind.__module__]) if kind.__module__ in sys.modules else {}
        for note in vars(kind).get("__annotations__", {}).values():
            if isinstance(note, str):  # what it names counts as if it were not written as text
                yield from self._follow(read_expression(note), names)
        for name, member in sorted(vars(kind).items()):
            if name in FURNITURE or isinstance(member, DESCRIPTORS):
                continue
            if is_data(member):
                yield f"{name}={self.token(member)}"
                continue
            # An object of a library's, such as a compiled function: what its text refers to.
            for statement in source.member(kind.__qualname__, name) if source else ():
                reach = read_statement(statement)[1]
                yield from self._follow(reach, names)

    def _module(self, name: str) -> str:
        """Take a module whole: it was handed on as a value, or imported inside a function."""
        if self._whose.module(name) != "project":
            self._touch(name)
            return f"module:{name}"
        label = f"{label_of_module(name)} (whole)"
        if label not in self.parts:
            self._wait(label, lambda: self._module_parts(name))
        return f"part:{label}"

    def _module_parts(self, name: str) -> Iterator[str]:
        source = source_of_module(name)
        self._files.add(file_of(name) or "")
        yield source.whole() if source else ""
        if source:
            names = vars(sys.modules[name]) if name in sys.modules else {}
            yield from self._follow(source.reach(), names, place=name)
            yield from self._look([source.tree], source.reach(), names, name)
            self._enter(name)
            yield from self._given(name, names)

    def _given(self, module: str, names: Mapping[str, object]) -> Iterator[str]:
        """Yield what a module's names hold that its text does not say: settings, replacements."""
        self.stillness.note(names)
        for key, value in sorted(names.items()):
            is_own = getattr(value, "__module__", None) == module and is_code(value)
            if not key.startswith("__") and not is_own and is_data(value):
                yield f"{key}={self.token(value)}"

    # --------------------------------------------------------------- references

    def _follow(self, reach: Reach, names: Mapping[str, object], place: str = "") -> Iterator[str]:
        """Yield what each reference is bound to, and meet it on the way."""
        self._reads_annotations |= not READS_ANNOTATIONS.isdisjoint(reach.names)
        self._reads_docstrings |= not READS_DOCSTRINGS.isdisjoint(reach.names)
        self._reads_source |= not READS_SOURCE.isdisjoint(reach.names)
        for chain in reach.chains:
            if chain[0] in names:
                yield f"{'.'.join(chain)}={self._resolve(chain, names)}"
            elif chain[0] in vars(builtins) and not is_pythons_own(chain[0]):
                yield f"{'.'.join(chain)}={self._resolve(chain, vars(builtins))}"
        place = str(names.get("__package__") or names.get("__name__") or place)
        for module, taken in reach.imports:
            for found in meant_by_import(module, taken, place):
                yield f"import {found}={self._module(found)}"

    def _resolve(self, chain: tuple[str, ...], names: Mapping[str, object]) -> str:
        name, value = chain[0], names[chain[0]]
        self.stillness.note_name(names, name)
        for below in chain[1:]:
            if not isinstance(value, types.ModuleType):
                break
            if self._whose.module(value.__name__) != "project":
                return self.token(value) + self._replaced(value, chain)
            path = f"{value.__name__}.{below}"
            name, names = below, vars(value)
            self.stillness.note_name(names, name)
            value = names[below] if below in names else sys.modules.get(path)
            if value is None and below not in names:
                # `__dict__`, or a name that the module's own `__getattr__` knows.
                module = cast("str", names["__name__"])
                is_told = below == "__dict__" or "__getattr__" in names
                return self._module(module) if is_told else f"missing:{path}"
        if is_code(value):
            below = subclasses_of(value) if isinstance(value, type) else ()
            found = [self.token(one) for one in below] if "__subclasses__" in chain else ""
            return f"{self.token(value)}{found}"
        owner = str(names.get("__name__", ""))
        label = f"{label_of_module(owner)}.{name}"
        if label not in self.parts:
            self._wait(label, lambda: self._constant_parts(owner, name, value))
        return f"part:{label}"

    def _replaced(self, module: types.ModuleType, chain: tuple[str, ...]) -> str:
        """Return the token of the user's own function that stands in a library's module."""
        value: object = module
        for name in chain[1:]:
            if not isinstance(value, types.ModuleType):
                break
            value = vars(value).get(name)
        if isinstance(value, types.FunctionType) and self._whose.code(value) == "project":
            return self.token(value)
        return ""

    def _constant_parts(self, owner: str, name: str, value: object) -> Iterator[str]:
        content = self._content(value)
        if content is not None:
            yield content
            return
        untold = len(self._untold)
        if is_data(value):
            yield self.token(value)
            if len(self._untold) == untold:
                return
        lives = type(value).__module__.partition(".")[0] in AMBIENT
        statements = _statements_of(owner, name, filled=not lives)
        if any(reach.chains or reach.imports for _, reach in statements):
            del self._untold[untold:]  # they say what is in it
        elif not is_data(value):
            # `connection = None`, and a function that sets it later: nothing says how it was made.
            yield self.token(value)
        for text, reach in statements:
            yield text
            yield from self._follow(reach, vars(sys.modules[owner]), place=owner)

    # ------------------------------------------------------------------- limits

    def _look(
        self, nodes: Sequence[ast.AST], reach: Reach, names: Mapping[str, object], module: str
    ) -> Iterator[str]:
        """Note computed names, and follow those that turn out to be written down."""
        is_suspicious = reach.may_patch or not SUSPICIOUS.isdisjoint(reach.names)
        aliased = any(id(names.get(chain[0])) in WATCHED for chain in reach.chains)
        if not is_suspicious and not aliased:
            return
        if not nodes:
            for name in sorted(UNREADABLE & reach.names):
                self._limit(f"uses {name}, and its source cannot be read")
        looked = look(nodes, lambda chain: self._mean(chain, names))
        for what, line in looked.found:
            self._limit(what, line)
        for name in looked.imports:
            place = str(names.get("__package__") or module)
            for found in meant_by_import(name, (), place):
                yield f"import {found}={self._module(found)}"
        if looked.uses_globals:
            yield f"globals={self._module(module)}"

    def _enter(self, module: str) -> None:
        """Look once at what a module and those that it imports do to libraries."""
        waiting = [module]
        while waiting:
            name = waiting.pop()
            loaded = sys.modules.get(name)
            if loaded is None or name in self._entered or self._whose.module(name) != "project":
                continue
            self._entered.add(name)
            source = source_of_module(name)
            if source:
                self._note_settings(source, name, vars(loaded))
                package = str(vars(loaded).get("__package__") or "")
                for one in source.loadings:
                    waiting.extend(loaded_by(one.module, one.level, one.taken, package))

    def _note_settings(self, source: Source, module: str, names: Mapping[str, object]) -> None:
        label = label_of_module(module)
        found = [one for one in source.settings if self._whose.module(one.top) != "project"]
        statements = tuple(dict.fromkeys(node for one in found for node in one.statements))
        if statements:
            self._wait(f"{label}{SETTINGS}", lambda: self._statement_parts(statements, names))
        patches = [node for node in source.patches if node not in statements]
        for name, line, owner in patches_of(patches, lambda chain: self._mean(chain, names)):
            place = str(getattr(owner, "__module__", getattr(owner, "__name__", "")))
            if self._whose.module(place) != "project":
                self.limits.add(Limit(label, f"replaces {name} in a library", line))

    def _statement_parts(
        self, statements: Iterable[ast.stmt], names: Mapping[str, object]
    ) -> Iterator[str]:
        for text, reach in map(read_statement, statements):
            yield text
            yield from self._follow(reach, names)

    def _mean(self, chain: tuple[str, ...], names: Mapping[str, object]) -> object:
        value = names.get(chain[0], vars(builtins).get(chain[0]))
        for below in chain[1:]:
            value = vars(value).get(below) if isinstance(value, types.ModuleType) else None
        return value

    def _tell(self) -> None:
        for what in self._untold:
            self._limit(what)
        self._untold.clear()

    def _limit(self, what: str, line: int = 0) -> None:
        self.limits.add(Limit(self._here, what, line))

    # -------------------------------------------------------------------- names

    def _touch(self, module: str) -> None:
        """Note the version of the distribution that a module belongs to."""
        top = module.partition(".")[0]
        if top and self._whose.module(top) == "package":
            name, version = distribution_of(top)
            self.parts[f"package {name}"] = version

    def _part(self, item: object, wanted: str, describe: Callable[[], Iterable[str]]) -> str:
        label, number = wanted, 1
        while label in self.parts:
            number += 1
            label = f"{wanted}#{number}"
        self._know(item, f"part:{label}")
        self._wait(label, describe)
        return f"part:{label}"

    def _wait(self, label: str, describe: Callable[[], Iterable[str]]) -> None:
        self.parts[label] = ""
        self._waiting.append((label, describe))

    def _know(self, item: object, token: str) -> None:
        self._tokens[id(item)] = token
        self._kept.append(item)


def _statements_of(module: str, name: str, *, filled: bool) -> tuple[tuple[str, Reach], ...]:
    source = source_of_module(module)
    if source is None or module not in sys.modules:
        return ()
    filling = source.filling(name) if filled else ()
    return tuple(map(read_statement, (*source.binding(name), *filling)))


def short(*texts: str) -> str:
    """Digest some texts in 24 characters."""
    return sha256_hex(*(text.encode(errors="surrogatepass") for text in texts))[:24]
