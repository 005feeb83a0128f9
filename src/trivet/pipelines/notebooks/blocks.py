"""Blocks: the statements that become one step, and the names that go in and come out.

Two blocks are made one where something cannot be handed from step to step as a copy: a function, a
value that cannot be stored, two names for one object that is changed, the state of a random
number generator. One single step means exactly what the notebook means, so joining is always safe.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trivet.pipelines.notebooks.mutation import (
    Pair,
    Surroundings,
    changed_names,
    same_objects,
    worked_on,
)
from trivet.pipelines.notebooks.pieces import Piece
from trivet.pipelines.notebooks.scopes import Effect, effect_of

Names = frozenset[str]


@dataclass(frozen=True)
class Group:
    """Statements that belong together, before it is known what goes in and out."""

    pieces: tuple[Piece, ...]
    title: str = ""
    """The mark it begins with; empty when it has none."""

    @property
    def effect(self) -> Effect:
        """What running it does to the names."""
        effect = Effect()
        for piece in self.pieces:
            effect = effect.then(piece.effect)
        return effect

    @property
    def last_cell(self) -> int:
        """The number of its last cell."""
        return self.pieces[-1].cell

    @property
    def last_unit(self) -> int:
        """The part of the notebook behind which its values are looked at."""
        return self.pieces[-1].unit


@dataclass(frozen=True)
class Block:
    """A step to be: its statements, what it is given and what it returns."""

    group: Group
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    changed: tuple[str, ...]
    """Inputs that it may change in place, and returns for this reason."""
    is_effect: bool = False
    """It returns nothing and acts on the world outside."""


@dataclass(frozen=True)
class Knowledge:
    """What is known about the notebook's names."""

    around: Surroundings
    given: tuple[str, ...]
    """Parameters of the flow."""
    constant: Names
    """Names whose values cannot be changed in place: numbers, text."""
    figures: Names = frozenset()
    same: Mapping[int, frozenset[Pair]] = field(default_factory=dict[int, frozenset[Pair]])
    """By unit: names that were seen to share an object behind it."""
    unstorable: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names whose values were seen not to be storable, and their type."""


@dataclass(frozen=True)
class Joined:
    """Why blocks were made one."""

    cells: tuple[int, ...]
    reason: str


class Divider:
    """Divides a notebook's work into blocks.

    Args:
        groups: The statements as they are marked, or cell by cell.
        known: What is known about the names.
    """

    def __init__(self, groups: Sequence[Group], known: Knowledge) -> None:
        self._groups = list(groups)
        self._known = known
        self.joined: list[Joined] = []

    def divide(self) -> tuple[list[Block], tuple[str, ...]]:
        """Return the blocks in order, and the names of the results."""
        self._join_shows()
        while True:
            flow = Flow(self._groups, self._known)
            reasons = dict(flow.obstacles())
            if not reasons:
                break
            self._join(reasons)
        self.joined = _merged(self.joined)
        return flow.blocks(), flow.results()

    def _join_shows(self) -> None:
        """Let what only shows something go with the block before it."""
        kept: list[Group] = []
        waiting: list[Piece] = []
        flow = Flow(self._groups, self._known)
        for number, group in enumerate(self._groups):
            is_show = all(piece.role == "show" for piece in group.pieces)
            if is_show and not group.effect.writes & flow.live[number]:
                if kept:
                    kept[-1] = Group((*kept[-1].pieces, *group.pieces), kept[-1].title)
                else:
                    waiting += group.pieces
                continue
            kept.append(Group((*waiting, *group.pieces), group.title))
            waiting = []
        self._groups = kept or ([Group(tuple(waiting))] if waiting else [])

    def _join(self, reasons: Mapping[int, str]) -> None:
        groups: list[Group] = [self._groups[0]]
        for number, group in enumerate(self._groups[1:]):
            if number not in reasons:
                groups.append(group)
                continue
            last = groups[-1]
            cells = tuple(dict.fromkeys(p.cell for p in (*last.pieces, *group.pieces)))
            self.joined.append(Joined(cells, reasons[number]))
            groups[-1] = Group((*last.pieces, *group.pieces), last.title or group.title)
        self._groups = groups


class Flow:
    """How names flow between groups. A boundary has the number of the group before it."""

    def __init__(self, groups: Sequence[Group], known: Knowledge) -> None:
        self._groups = groups
        self._known = known
        self._effects = [group.effect for group in groups]
        self._pieces = [piece for group in groups for piece in group.pieces]
        nodes = [[piece.node for piece in group.pieces] for group in groups]
        self._changed = [changed_names(item, known.around) - known.constant for item in nodes]
        self._same = [
            same_objects(item, known.around) | known.same.get(group.last_unit, frozenset())
            for item, group in zip(nodes, groups, strict=True)
        ]
        self._variables = frozenset(known.given).union(*(e.writes for e in self._effects))
        self._bound_outside = self._local_definitions()
        self._available, self._sure = self._forward()
        self.live, self._needed = self._backward()

    def obstacles(self) -> Iterator[tuple[int, str]]:
        """Yield the boundaries that cannot stay, each with the reason."""
        for number in range(len(self._groups) - 1):
            crossing = self.live[number] & self._available[number + 1]
            for name in sorted(crossing):
                reason = self._obstacle(name, number)
                if reason:
                    yield number, reason
                    break
        yield from self._obstacles_of_sameness()

    def blocks(self) -> list[Block]:
        """Return the blocks."""
        made: list[Block] = []
        for number, (group, effect) in enumerate(zip(self._groups, self._effects, strict=True)):
            before = self._available[number]
            changed = (self._changed[number] & before) - effect.writes
            outputs = (effect.writes | changed) & self.live[number]
            if outputs:  # a step that returns what it changed in place can be remembered
                kept = effect.reads & before & self._sure[number]
                outputs |= (self._surely_changed(number) & kept) - effect.writes
            outputs = frozenset(n for n in outputs if not n.startswith("<"))
            inputs = (effect.reads | (outputs - effect.bound)) & before
            made.append(
                Block(
                    group=group,
                    inputs=tuple(sorted(inputs, key=self._place)),
                    outputs=tuple(sorted(outputs, key=self._place)),
                    changed=tuple(sorted(changed & outputs, key=self._place)),
                    is_effect=not outputs and not all(p.role == "show" for p in group.pieces),
                )
            )
        return made

    def _surely_changed(self, number: int) -> frozenset[str]:
        """Return the names whose objects a block changes, under whichever name."""
        nodes = [piece.node for piece in self._groups[number].pieces]
        found = worked_on(nodes, self._known.around) - self._known.constant
        partners = {name for pair in self._same[number] if set(pair) & found for name in pair}
        return found | partners

    def results(self) -> tuple[str, ...]:
        """Return the names a notebook was written for: bound last, and used for nothing else."""
        if self._has_result_dict():
            return ("results",)
        own = self._own()
        last = self._names_of_last_cell() & own
        found = [n for n in own if self._is_end(n) or (n in last and self._is_presentable(n))]
        return tuple(sorted(found, key=self._place))

    def _names_of_last_cell(self) -> Names:
        """Return what the last cell that binds anything binds."""
        cells = [p.cell for p in self._pieces if p.role == "work" and p.effect.writes]
        at = cells[-1] if cells else 0
        return frozenset(n for p in self._pieces if p.cell == at for n in p.effect.writes)

    def _own(self) -> Names:
        """Names that are bound by an assignment, not by a loop or an import."""
        found: set[str] = set()
        for node in (n for piece in self._pieces for n in _outer(piece.node)):
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {
                    n.id
                    for target in targets
                    for n in ast.walk(target)
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
                }
        return frozenset(found & self._variables)

    def _is_presentable(self, name: str) -> bool:
        is_sure = not self._sure or name in self._sure[-1]
        known = self._known.figures | self._known.unstorable.keys() | self._bound_outside.keys()
        return is_sure and not name.startswith(("_", "<")) and name not in known

    def _is_end(self, name: str) -> bool:
        if not self._is_presentable(name):
            return False
        last = -1
        for number, piece in enumerate(self._pieces):
            if name in piece.effect.writes | worked_on([piece.node], self._known.around):
                last = number
        later = self._pieces[last + 1 :]
        return all(name not in p.effect.reads for p in later if p.role != "show")

    def _has_result_dict(self) -> bool:
        for piece in self._pieces:
            match piece.node:
                case ast.Assign(
                    targets=[ast.Name(id="results")],
                    value=ast.Dict() | ast.Call(func=ast.Name(id="dict")),
                ) if self._is_presentable("results"):
                    return True
                case _:
                    pass
        return False

    def _place(self, name: str) -> tuple[int, str]:
        given = self._known.given
        if name in given:
            return given.index(name) - len(given), name
        for number, piece in enumerate(self._pieces):
            if name in piece.effect.writes:
                return number, name
        return len(self._pieces), name

    def _obstacle(self, name: str, number: int) -> str:
        if name.startswith("<"):
            return f"{name.strip('<>')} is used in both"
        if name in self._bound_outside:
            return f"{name} is {self._bound_outside[name]}, which no step can return"
        if name in self._known.unstorable:
            kind = self._known.unstorable[name]
            return f"{name} is a {kind}, which cannot be stored between steps"
        if name not in self._sure[number] and name not in self._needed[number]:
            return f"{name} is bound on some paths only"
        return ""

    def _obstacles_of_sameness(self) -> Iterator[tuple[int, str]]:
        for start, pairs in enumerate(self._same):
            for pair in sorted(pairs):
                if set(pair) & (self._known.constant | self._bound_outside.keys()):
                    continue
                if set(pair) <= self._variables:
                    yield from self._obstacles_of_pair(start, pair)

    def _obstacles_of_pair(self, start: int, pair: tuple[str, str]) -> Iterator[tuple[int, str]]:
        for number in range(start + 1, len(self._groups)):
            changed = set(pair) & self._changed[number]
            is_within = pair[0] == pair[1]  # one object that holds another twice
            if not changed:
                continue
            others = changed if is_within or len(changed) == 2 else set(pair) - changed
            for name in sorted(others):
                end = self._last_read(name, number)
                if end is not None:
                    why = f"{pair[0]} and {pair[1]} may be one object, which is changed"
                    yield from ((boundary, why) for boundary in range(start, end))
            if set(pair) & self._effects[number].bound:
                return  # from here on one of them is another object

    def _last_read(self, name: str, number: int) -> int | None:
        """Return the last group, from `number` on, that still reads this very object."""
        found = None
        for later in range(number, len(self._groups)):
            if name in self._effects[later].reads:
                found = later
            if name in self._effects[later].bound:
                break
        is_result = self._is_presentable(name) and name in self._own() and self._is_end(name)
        return max(found or 0, number) if is_result else found

    def _local_definitions(self) -> dict[str, str]:
        """Names of functions, classes and modules that stay inside a step."""
        found: dict[str, str] = {}
        for piece in self._pieces:
            for node in _outer(piece.node):
                match node:
                    case ast.FunctionDef() | ast.AsyncFunctionDef():
                        found[node.name] = "a function"
                    case ast.ClassDef():
                        found[node.name] = "a class"
                    case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda()):
                        found[name] = "a function"
                    case ast.Import() | ast.ImportFrom():
                        bound = effect_of([node]).bound
                        found |= dict.fromkeys(bound, "a module, or from one,")
                    case _:
                        pass
        return found

    def _backward(self) -> tuple[list[Names], list[Names]]:
        live: list[Names] = []
        needed: list[Names] = []
        alive, must = frozenset(self.results()), frozenset[str]()
        for effect in reversed(self._effects):
            live.append(alive & self._variables)
            needed.append(must)
            alive = effect.reads | (alive - effect.bound)
            must = effect.needs | (must - effect.writes)
        return live[::-1], needed[::-1]

    def _forward(self) -> tuple[list[Names], list[Names]]:
        """Return the names bound on some path before each group, and on all paths after it."""
        available, sure = [frozenset(self._known.given)], list[Names]()
        certain = frozenset(self._known.given)
        for effect in self._effects:
            certain = (certain - effect.deleted) | effect.bound
            sure.append(certain)
            available.append(available[-1] | effect.writes)
        return available, sure


def _outer(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a statement without entering the functions and classes in it."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    for child in ast.iter_child_nodes(node):
        yield from _outer(child)


def _merged(joined: Iterable[Joined]) -> list[Joined]:
    """Keep the last word on cells that were joined several times, and every reason once."""
    found: dict[str, Joined] = {}
    for item in joined:
        found[item.reason] = item
    return list(found.values())
