"""What is tied to what: a fact's parents and children, and what programs said of their runs.

Where a program reported something that is no parent of a fact (its data sets, its commit, the run
that it says a model is from), the tie is followed all the same, and drawn like any other.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final

import msgspec

from trivet.core.catalog import Compare, Document, Either, Every, Order, Search
from trivet.core.facts import Entry, read
from trivet.core.ports import Stores
from trivet.core.search import find_all, walk
from trivet.models.documents import VERSIONS
from trivet.models.facts import LoggedVersion, ModelVersion, Version
from trivet.models.names import head_of, name_of
from trivet.models.references import Finder
from trivet.monitoring.facts import WindowClosed
from trivet.releases.facts import ReleasePlan
from trivet.serving.facts import PREDICTIONS
from trivet.serving.records import decode_prediction
from trivet.tracking.facts import RunFinished, RunStarted
from trivet.tracking.reporting.experiments import RUNS
from trivet.tracking.reporting.facts import Input, RunObserved, RunOpened, RunReported
from trivet.tracking.reporting.logged_facts import LoggedModelChanged, LoggedModelMade
from trivet.workspace.lineage.graph import Node
from trivet.workspace.lineage.labels import TOLD, node_of

PREDICTION: Final = "prediction:"
"""What the key of a prediction begins with; its identifier and its release's follow."""
_PAGE: Final = 1000
_COMMIT: Final = "tags.mlflow.source.git.commit"
_SOURCE: Final = "tags.mlflow.source.name"
_MOST_COUNTED: Final = 2_000_000

Ties = Callable[[Entry], Iterable[Node]]


class Links:
    """Finds what is tied to a node, in one project.

    Args:
        stores: Where everything is.
        project: Whose facts.
    """

    def __init__(self, stores: Stores, project: str) -> None:
        self._stores = stores
        self._ledger = stores.ledger
        self._project = project
        self._finder = Finder(stores, project)
        self._up: dict[str, Ties] = {
            RunStarted.KIND: self._made_run,
            RunOpened.KIND: self._opened_run,
            LoggedVersion.KIND: self._logged_version,
            LoggedModelMade.KIND: self._logged_model,
            ReleasePlan.KIND: self._release,
        }
        self._down: dict[str, Ties] = {
            RunStarted.KIND: self._of_run,
            RunOpened.KIND: self._of_opened,
            LoggedVersion.KIND: self._of_version,
            ModelVersion.KIND: self._of_version,
            LoggedModelMade.KIND: self._of_logged_model,
            ReleasePlan.KIND: self._of_release,
        }

    def up(self, node: Node) -> list[Node]:
        """Return what a node was made of."""
        entry = self._entry(node.key)
        if entry is not None:
            find = self._up.get(entry.kind, self._parents)
            return _distinct(find(entry), node)
        is_answer = node.key.startswith(PREDICTION)
        return list(self._facts([node.key.rpartition(":")[2]])) if is_answer else []

    def down(self, node: Node) -> list[Node]:
        """Return what was made of a node, or uses it."""
        entry = self._entry(node.key)
        if entry is not None:
            find = self._down.get(entry.kind, self._children)
            return _distinct(find(entry), node)
        return _distinct(self._of_named(node.key), node)

    def node(self, key: str) -> Node | None:
        """Return the node of a fact of this project; a run's end is its run."""
        entry = self._entry(key)
        return None if entry is None else node_of(self._told(entry))

    # ---------------------------------------------------------------- upwards

    def _parents(self, entry: Entry) -> Iterator[Node]:
        for parent in entry.parents:
            found = self._entry(parent)
            if found is not None and (told := self._told(found)).kind in TOLD:
                yield node_of(told)

    def _made_run(self, entry: Entry) -> Iterator[Node]:
        yield from self._parents(entry)
        ending = self._ledger.find(RunFinished.KIND, parent=entry.id, limit=1).entries
        for later in ending:
            yield from self._parents(later)  # data that it read on its way
        if entry.payload is None:
            return
        run = read(entry, RunStarted)
        code, lock = run.code, run.environment
        yield _code(code.tree, code.commit, is_dirty=code.dirty)
        detail = f"Python {lock.python}, {lock.packages} distributions"
        yield Node(key=f"environment:{lock.lock}", kind="environment", label=detail)

    def _opened_run(self, entry: Entry) -> Iterator[Node]:
        for item in self._inputs(entry.id):
            yield input_node(item)
        for report in self._reports(entry.id):
            for link in report.models_in:
                yield from self._facts([link.model.removeprefix("m-")])
        yield from self._code_of(entry.id)

    def _code_of(self, run: str) -> Iterator[Node]:
        seen = self._ledger.find(RunObserved.KIND, where={"run": run}, limit=1).entries
        if seen and seen[0].payload is not None:
            code = read(seen[0], RunObserved).code
            yield _code(code.tree, code.commit, is_dirty=code.dirty)
            return
        for document in self._stores.catalog.get(RUNS, [run]):
            found = document.attributes
            if _COMMIT in found or _SOURCE in found:
                commit, source = str(found.get(_COMMIT, "")), str(found.get(_SOURCE, ""))
                key = f"code:{commit or source}"
                yield Node(key=key, kind="code", label=commit[:12] or source, detail=source)

    def _logged_version(self, entry: Entry) -> Iterator[Node]:
        if entry.payload is None:
            return
        version = read(entry, LoggedVersion)
        if version.source.startswith("models:/") and not version.source.startswith("models:/m-"):
            yield from self._referred(version.source)
        named = (version.logged_model or "").removeprefix("m-"), version.run or ""
        # A logged model leads to its run; the run itself is a second way only without one.
        yield from self._facts([named[0] or named[1]])

    def _logged_model(self, entry: Entry) -> Iterator[Node]:
        if entry.payload is not None and (run := read(entry, LoggedModelMade).run):
            yield from self._facts([run])

    def _release(self, entry: Entry) -> Iterator[Node]:
        if entry.payload is not None:
            plan = read(entry, ReleasePlan)
            yield from self._facts([variant.model for variant in plan.variants])

    # -------------------------------------------------------------- downwards

    def _children(self, entry: Entry) -> Iterator[Node]:
        after: int | None = None
        while True:
            page = self._ledger.find(parent=entry.id, after=after, limit=_PAGE)
            for child in page.entries:
                if child.project == self._project and (told := self._told(child)).kind in TOLD:
                    yield node_of(told)
            after = page.after
            if after is None:
                return

    def _of_run(self, entry: Entry) -> Iterator[Node]:
        yield from self._children(entry)
        for ending in self._ledger.find(RunFinished.KIND, parent=entry.id).entries:
            yield from self._children(ending)

    def _of_opened(self, entry: Entry) -> Iterator[Node]:
        made = find_all(
            self._ledger, LoggedModelMade.KIND, where={"run": entry.id}, project=self._project
        )
        models = list(made)
        yield from map(node_of, models)
        known = {f"m-{each.id}" for each in models}
        for document in self._versions(Compare("run_id", "=", entry.id)):
            if document.attributes.get("model_id") not in known:
                yield from self._facts([document.notes["fact"]])

    def _of_logged_model(self, entry: Entry) -> Iterator[Node]:
        for document in self._versions(Compare("model_id", "=", f"m-{entry.id}")):
            yield from self._facts([document.notes["fact"]])
        for child in self._ledger.find(RunReported.KIND, parent=entry.id, limit=_PAGE).entries:
            yield from self._facts([read(child, RunReported).run])
        for child in find_all(
            self._ledger,
            LoggedModelChanged.KIND,
            where={"model": f"m-{entry.id}"},
            project=self._project,
        ):
            if child.payload is not None:
                yield from self._facts([m.run for m in read(child, LoggedModelChanged).measured])

    def _of_version(self, entry: Entry) -> Iterator[Node]:
        yield from self._children(entry)
        for head in self._ledger.heads(self._project, "model/"):
            _, at, alias = head.name.rpartition("@")
            if at and head.target == entry.id:
                label = f"{name_of(head.name)}@{alias}"
                yield Node(key=f"alias:{label}", kind="alias", label=label)
        if entry.payload is None or entry.kind != LoggedVersion.KIND:
            return
        version = read(entry, LoggedVersion)
        for document in self._versions(
            Compare("source_path", "=", f"models:/{version.name}/{version.version}")
        ):
            yield from self._facts([document.notes["fact"]])

    def _of_release(self, entry: Entry) -> Iterator[Node]:
        plan = read(entry, ReleasePlan)
        count = self._predictions.get(entry.id, 0)
        if count:
            yield Node(
                key=f"predictions:{entry.id}",
                kind="predictions",
                label=f"{count:,} predictions",
                detail=f"by {plan.endpoint} #{plan.generation}",
            )
        windows = self._ledger.find(WindowClosed.KIND, parent=entry.id, limit=_PAGE)
        if windows.entries:
            more = "" if windows.after is None else "more than "
            yield Node(
                key=f"windows:{entry.id}",
                kind="monitoring",
                label=f"{more}{len(windows.entries):,} windows",
                detail=f"of {plan.endpoint} #{plan.generation}",
            )
        for node in self._children(entry):
            if node.kind != "release":  # the next one is no use of this one
                yield node

    def _of_named(self, key: str) -> Iterator[Node]:
        """Return what used something that is no fact: a data set of a program, code."""
        kind, _, rest = key.partition(":")
        if kind == "input":
            name, _, digest = rest.rpartition("@")
            yield from self._facts(document.id for document in self._runs_given(name, digest))

    # ------------------------------------------------------------------- inside

    @cached_property
    def _predictions(self) -> Counter[str]:
        """How many predictions each release answered, shadows included."""
        counts: Counter[str] = Counter()
        for number, (_, record) in enumerate(self._stores.log.read(PREDICTIONS)):
            if number >= _MOST_COUNTED:
                break
            counts[decode_prediction(record).release] += 1
        return counts

    def _entry(self, key: str) -> Entry | None:
        if len(key) != 32 or not set(key) <= set("0123456789abcdef"):
            return None
        entry = self._ledger.get(key)
        return entry if entry is not None and entry.project == self._project else None

    def _told(self, entry: Entry) -> Entry:
        """Return the run of a run's end; else the entry itself."""
        if entry.kind != RunFinished.KIND or not entry.parents:
            return entry
        return self._ledger.get(entry.parents[0]) or entry

    def _facts(self, ids: Iterable[str]) -> Iterator[Node]:
        for identifier in ids:
            entry = self._entry(identifier)
            if entry is not None:
                yield node_of(entry)

    def _referred(self, source: str) -> Iterator[Node]:
        name, _, number = source.removeprefix("models:/").rpartition("/")
        head = self._ledger.head(self._project, head_of(name)) if number.isdecimal() else None
        if head is not None:
            found = (v for v in self._all_of(name) if v.number == int(number))
            yield from self._facts(version.id for version in found)

    def _all_of(self, name: str) -> Iterable[Version]:
        return self._finder.versions(self._finder.subject(name).registered)

    def _versions(self, where: Compare) -> Iterator[Document]:
        wanted = Search(
            collection=VERSIONS,
            groups=(self._project,),
            where=where,
            order=(Order("name"), Order("version_number")),
            limit=_PAGE,
        )
        return walk(self._stores.catalog, wanted)

    def _inputs(self, run: str) -> tuple[Input, ...]:
        for document in self._stores.catalog.get(RUNS, [run]):
            return msgspec.convert(document.notes.get("inputs", []), tuple[Input, ...])
        return ()

    def _reports(self, run: str) -> Iterator[RunReported]:
        found = find_all(self._ledger, RunReported.KIND, where={"run": run}, project=self._project)
        return (read(entry, RunReported) for entry in found if entry.payload is not None)

    def _runs_given(self, name: str, digest: str) -> Iterator[Document]:
        """Yield the runs of this project that were given a data set, by the programs' own words."""
        names = self._stores.catalog.names(RUNS, "datasets.")
        places = sorted({each.split(".")[1] for each in names})
        same = tuple(
            Every(
                (
                    Compare(f"datasets.{place}.name", "=", name),
                    Compare(f"datasets.{place}.digest", "=", digest),
                )
            )
            for place in places
        )
        for document in walk(
            self._stores.catalog, Search(collection=RUNS, where=Either(same), limit=_PAGE)
        ):
            if document.group.startswith(f"{self._project}/"):
                yield document


def input_node(item: Input) -> Node:
    """Return the node of a data set that a program says it was given."""
    words = ", ".join(filter(None, (item.context, item.source_type, item.digest)))
    return Node(key=f"input:{item.name}@{item.digest}", kind="data", label=item.name, detail=words)


def _code(tree: str, commit: str | None, *, is_dirty: bool) -> Node:
    words = f"commit {commit[:12]}" if commit else "no commit"
    changed = " with uncommitted changes" if is_dirty else ""
    return Node(
        key=f"code:{tree}", kind="code", label=f"sources {tree[:15]}…", detail=words + changed
    )


def _distinct(nodes: Iterable[Node], but: Node) -> list[Node]:
    found: Mapping[str, Node] = {node.key: node for node in nodes}
    return [node for key, node in found.items() if key != but.key]
