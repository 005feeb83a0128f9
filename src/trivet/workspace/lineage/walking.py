"""Walking from what was asked about, up to where it came from and down to where it went."""

from collections import deque
from collections.abc import Callable
from typing import Final

from trivet.core.clock import from_micros
from trivet.core.errors import Invalid, NotFound
from trivet.core.ports import Stores
from trivet.drawing.layout import Arrow
from trivet.models.references import Finder
from trivet.serving.facts import PREDICTIONS, Prediction
from trivet.serving.records import decode_prediction, holds_id
from trivet.tracking.reporting.facts import Input
from trivet.workspace.lineage.graph import Direction, Lineage, Node
from trivet.workspace.lineage.links import PREDICTION, Links, input_node

MOST_NODES: Final = 500
_HEADS: Final = ("data/", "asset/")


def trace_lineage(
    stores: Stores,
    project: str,
    reference: str,
    *,
    direction: Direction = "both",
    limit: int = MOST_NODES,
) -> Lineage:
    """Return what something came from, and what came from it.

    Args:
        stores: Where everything is.
        project: Whose facts.
        reference: A model (`churn:3`, `churn@champion`), a data set (`customers`), a data set of a
            program (`name@digest`), a logged model (`m-…`), a run, a prediction, or the identifier
            of any fact.
        direction: `up`, `down`, or `both`.
        limit: At most so many nodes each way, 1 to 10,000.

    Raises:
        NotFound: Nothing has this reference.
        Invalid: The limit is out of range.
    """
    if not 1 <= limit <= 10_000:
        raise Invalid(f"limit is {limit}; expected 1 to 10,000", code="bad-limit")
    links = Links(stores, project)
    start = _Start(stores, project, links).find(reference)
    nodes: dict[str, Node] = {start.key: start}
    arrows: dict[Arrow, None] = {}
    complete = True
    if direction != "down":
        complete &= _walk(start, links.up, nodes, arrows, limit, is_up=True)
    if direction != "up":
        complete &= _walk(start, links.down, nodes, arrows, limit, is_up=False)
    return Lineage(
        start=start.key,
        direction=direction,
        nodes=tuple(nodes.values()),
        arrows=tuple(arrows),
        is_complete=complete,
    )


def _walk(
    start: Node,
    ties: Callable[[Node], list[Node]],
    nodes: dict[str, Node],
    arrows: dict[Arrow, None],
    limit: int,
    *,
    is_up: bool,
) -> bool:
    """Add what is reached from a node; False when the limit kept some away."""
    reached, queue = {start.key}, deque([start])
    complete = True
    while queue:
        node = queue.popleft()
        for other in ties(node):
            if other.key not in reached and len(reached) > limit:
                complete = False
                continue
            ends = (other.key, node.key) if is_up else (node.key, other.key)
            arrows[Arrow(*ends)] = None
            nodes.setdefault(other.key, other)
            if other.key not in reached:
                reached.add(other.key)
                queue.append(other)
    return complete


class _Start:
    """Finds what a person means by a reference."""

    def __init__(self, stores: Stores, project: str, links: Links) -> None:
        self._stores = stores
        self._project = project
        self._links = links

    def find(self, reference: str) -> Node:
        ways = (self._fact, self._model, self._head, self._input, self._prediction)
        for way in ways:
            found = way(reference)
            if found is not None:
                return found
        raise NotFound(
            f"nothing is called {reference!r}",
            code="no-reference",
            hint="Name a model as churn:3, a data set by its name, or copy an identifier.",
        )

    def _fact(self, reference: str) -> Node | None:
        return self._links.node(reference.removeprefix("m-"))

    def _model(self, reference: str) -> Node | None:
        try:
            version = Finder(self._stores, self._project).version(reference)
        except NotFound:
            return None
        return self._links.node(version.id)

    def _head(self, reference: str) -> Node | None:
        for prefix in _HEADS:
            head = self._stores.ledger.head(self._project, prefix + reference)
            if head is not None:
                return self._links.node(head.target)
        return None

    def _input(self, reference: str) -> Node | None:
        name, at, digest = reference.removeprefix("input:").rpartition("@")
        node = input_node(Input(name=name, digest=digest)) if at else None
        return node if node is not None and self._links.down(node) else None

    def _prediction(self, reference: str) -> Node | None:
        if len(reference) != 32:
            return None
        for _, record in self._stores.log.read(PREDICTIONS):
            if holds_id(record, reference):
                return self._answered(decode_prediction(record))
        return None

    def _answered(self, prediction: Prediction) -> Node:
        return Node(
            key=f"{PREDICTION}{prediction.id}:{prediction.release}",
            kind="prediction",
            label=prediction.id,
            detail=f"by {prediction.endpoint}, variant {prediction.variant}",
            time=from_micros(prediction.time_us),
        )
