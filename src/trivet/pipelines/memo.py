"""What steps left behind: results by key, and what the last call of each step was made of.

Bytes are stored first; then one commit holds the step's fact and the rows that find it again. A
result whose row was lost is found by the fact, one whose bytes are gone counts as not known.
"""

from collections.abc import Iterable, Mapping

import msgspec

from trivet.core.errors import NotFound
from trivet.core.facts import Scope, ViewPut, draft, read
from trivet.core.ports import Stores, View
from trivet.core.trees import StoredFiles, store_tree
from trivet.pipelines.facts import EffectBegun, StepDone
from trivet.pipelines.pickling import FORMAT as PICKLE
from trivet.pipelines.values import Form
from trivet.tracking.facts import Output, Run

_RESULTS = View(
    name="step_results",
    columns={
        "project": "text",
        "key": "text",
        "step": "text",
        "name": "text",
        "format": "text",
        "digest": "text",
        "size_bytes": "integer",
    },
    key=("project", "key"),
)
_LAST = View(
    name="step_last",
    columns={
        "project": "text",
        "flow": "text",
        "step": "text",
        "key": "text",
        "code": "text",
        "arguments": "text",
    },
    key=("project", "flow", "step"),
)
_CODES = View(
    name="step_codes",
    columns={"project": "text", "code": "text", "parts": "text"},
    key=("project", "code"),
)


class Known(msgspec.Struct, frozen=True):
    """A result that was kept: the step fact and its output."""

    step: str
    output: Output


class LastCall(msgspec.Struct, frozen=True):
    """The last call of a step in a flow: its key, its code by parts, its arguments by digest."""

    key: str
    parts: dict[str, str]
    arguments: dict[str, str]


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A call that ended well, with what `plan` will compare the next one with."""

    done: StepDone
    parents: tuple[str, ...]
    parts: dict[str, str]
    arguments: dict[str, str]


class Memo:
    """Results of steps in one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._scope = scope
        self._codes: set[str] = set()
        self._is_declared = False

    def prepare(self) -> None:
        """Make the views exist; once per object."""
        if not self._is_declared:
            for view in (_RESULTS, _LAST, _CODES):
                self._stores.views.declare(view)
            self._is_declared = True

    def find(self, key: str) -> Known | None:
        """Return what was kept under a key, None when nothing was."""
        where = {"project": self._scope.project, "key": key}
        for row in self._stores.views.find(_RESULTS.name, where=where, limit=1):
            output = Output(
                name=row["name"],
                format=row["format"],
                digest=row["digest"],
                size_bytes=row["size_bytes"],
            )
            return Known(row["step"], output)
        page = self._stores.ledger.find(
            StepDone.KIND, where={"key": key}, project=self._scope.project, limit=1
        )
        for entry in page.entries:
            done = read(entry, StepDone) if entry.payload is not None else None
            if done is not None and done.output is not None:
                return Known(entry.id, done.output)
        return None

    def load(self, output: Output) -> Form | None:
        """Open a kept value's files; None when the bytes were removed.

        Raises:
            Corrupt: The bytes are not what was kept.
        """
        try:
            return Form(output.format, StoredFiles(self._stores.blobs, output.digest))
        except NotFound:
            return None

    def is_recorded(self, known: Known) -> bool:
        """Say whether the ledger holds a step that kept this very value.

        The rows by which results are found are a convenience; facts are what was recorded.
        """
        entry = self._stores.ledger.get(known.step)
        if entry is None or entry.payload is None or entry.kind != StepDone.KIND:
            return False
        output = read(entry, StepDone).output
        return entry.project == self._scope.project and output == known.output

    def keep(self, name: str, form: Form) -> Output:
        """Store a value's files durably."""
        tree = store_tree(self._stores.blobs, form.files)
        return Output(name=name, format=form.format, digest=tree.digest, size_bytes=tree.size_bytes)

    def record(self, call: CallRecord) -> None:
        """Commit a call: the step's fact, and the rows by which it is found and explained."""
        done, project = call.done, self._scope.project
        fact = draft(done, parents=call.parents)
        last = {
            "project": project,
            "flow": done.flow,
            "step": done.step,
            "key": done.key,
            "code": done.code,
            "arguments": msgspec.json.encode(call.arguments).decode(),
        }
        rows = [ViewPut(view=_LAST.name, row=last)]
        if done.code not in self._codes:
            parts = msgspec.json.encode(call.parts).decode()
            row = {"project": project, "code": done.code, "parts": parts}
            rows.append(ViewPut(view=_CODES.name, row=row))
        if done.status == "run" and done.output is not None:
            output = msgspec.structs.asdict(done.output)
            row = {"project": project, "key": done.key, "step": fact.id, **output}
            rows.append(ViewPut(view=_RESULTS.name, row=row))
        reason = f"step {done.step} of {done.flow} {done.status}"
        self._stores.ledger.commit(self._scope.batch(reason, [fact], rows=rows))
        self._codes.add(done.code)

    def begin_effect(self, effect: EffectBegun) -> None:
        """Commit the intention to act, before the act."""
        fact = draft(effect, parents=[effect.run])
        reason = f"effect {effect.effect} of {effect.flow} begins"
        self._stores.ledger.commit(self._scope.batch(reason, [fact]))

    def last(self, flow: str, step: str) -> LastCall | None:
        """Return the last call of a step in a flow, None when there was none."""
        where = {"project": self._scope.project, "flow": flow, "step": step}
        for row in self._stores.views.find(_LAST.name, where=where, limit=1):
            code = {"project": self._scope.project, "code": row["code"]}
            found = self._stores.views.find(_CODES.name, where=code, limit=1)
            parts = next((item["parts"] for item in found), "{}")
            return LastCall(
                row["key"],
                msgspec.json.decode(parts, type=dict[str, str]),
                msgspec.json.decode(row["arguments"], type=dict[str, str]),
            )
        return None


def steps_of(stores: Stores, project: str, run: str) -> Iterable[StepDone]:
    """Yield the steps of a run in the order they ended."""
    after: int | None = None
    while True:
        page = stores.ledger.find(
            StepDone.KIND,
            where={"run": run},
            project=project,
            after=after,
            limit=1000,
            newest_first=False,
        )
        yield from (read(entry, StepDone) for entry in page.entries if entry.payload is not None)
        after = page.after
        if after is None:
            return


def pickled_of(stores: Stores, project: str, run: Run) -> tuple[str, ...]:
    """Name the steps and outputs of a run that were kept as pickles, in the order they were."""
    steps = (
        f"what step {item.step!r} returned"
        for item in steps_of(stores, project, run.id)
        if item.output is not None and item.output.format == PICKLE
    )
    outputs = run.finished.outputs if run.finished else ()
    named = (f"output {item.name!r}" for item in outputs if item.format == PICKLE)
    return tuple(dict.fromkeys((*steps, *named)))


def parts_that_differ(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of parts that are new, gone or different, sorted."""
    names = before.keys() | after.keys()
    return tuple(sorted(name for name in names if before.get(name) != after.get(name)))
