"""What steps left behind: results by key, and what the last calls of each step were made of.

A small value travels in the step's own fact; the files of a larger one are stored first, and then
the fact that names them. A result whose bytes are gone counts as not known. Facts of steps do not
wait for the disk (`Ledger.commit`, `synced=False`): what a power cut takes is made again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from trivet.core.errors import Conflict, NotFound
from trivet.core.facts import Draft, Entry, Scope, TaskMove, draft, read
from trivet.core.ids import new_id, sha256_hex
from trivet.core.ports import Stores
from trivet.core.search import find_all
from trivet.core.trees import StoredFiles, store_tree
from trivet.pipelines.facts import AssetVersion, EffectBegun, StepCode, StepDone, StepFailed
from trivet.pipelines.materialisers import digest_files
from trivet.pipelines.materialising.pickling import FORMAT as PICKLE
from trivet.pipelines.materialising.values import Form
from trivet.tracking.facts import Output, Run, RunStarted

SMALL_BYTES = 8192
"""A value whose files are no larger is kept in the step's fact."""
_IN_FACT = "sha256:"
_COMPARED = 50
"""So many of a step's latest calls are looked through for the one that is most alike."""


Gathered = tuple[StepDone | StepFailed, Sequence[str]]
"""A call that was remembered or failed, and its parents: recorded together with others."""


class Known(msgspec.Struct, frozen=True):
    """A result that was kept: the identifier of its step, and what that recorded."""

    step: str
    done: StepDone


class Kept(msgspec.Struct, frozen=True):
    """A value that is about to be recorded: where its files are."""

    output: Output
    files: dict[str, bytes] | None


class LastCall(msgspec.Struct, frozen=True):
    """An earlier call of a step in a flow: its code by parts, its arguments by digest."""

    id: str
    done: StepDone
    parts: dict[str, str]


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

    def find(self, key: str) -> Known | None:
        """Return what was kept under a key, None when nothing was."""
        page = self._stores.ledger.find(
            StepDone.KIND, where={"known_by": key}, project=self._scope.project, limit=1
        )
        for entry in page.entries:
            if entry.payload is not None:
                return Known(entry.id, read(entry, StepDone))
        return None

    def load(self, known: StepDone) -> Form | None:
        """Open a kept value's files; None when the bytes were removed.

        Raises:
            Corrupt: The bytes are not what was kept.
        """
        if known.files is not None:
            return Form(known.output.format, known.files)
        return self.load_output(known.output)

    def load_output(self, output: Output) -> Form | None:
        """Read the files of a value that was stored as blobs; None when they were removed.

        Raises:
            Corrupt: The bytes are not what was kept.
        """
        try:
            return Form(output.format, StoredFiles(self._stores.blobs, output.digest))
        except NotFound:
            return None

    def keep(self, name: str, form: Form) -> Kept:
        """Make a value's files ready to be recorded: stored durably or, if small, in the fact."""
        files = {path: data for path, data in form.files.items() if isinstance(data, bytes)}
        size = sum(map(len, files.values()))
        # A pickle is a blob: reading one must be preceded by the check of its digest.
        if size > SMALL_BYTES or len(files) < len(form.files) or form.format == PICKLE:
            return Kept(self.store(name, form), None)
        digest = _IN_FACT + digest_files(files)
        return Kept(Output(name=name, format=form.format, digest=digest, size_bytes=size), files)

    def store(self, name: str, form: Form) -> Output:
        """Store a value's files as blobs, durably."""
        tree = store_tree(self._stores.blobs, form.files)
        return Output(name=name, format=form.format, digest=tree.digest, size_bytes=tree.size_bytes)

    def record_made(
        self,
        done: StepDone,
        *,
        parents: Sequence[str],
        parts: Mapping[str, str],
        lost: str | None,
        before: Sequence[Gathered],
        hold: TaskMove | None,
    ) -> str:
        """Commit a call that made its value; return the fact's identifier.

        A key has one result: its identifier follows from the key and from the result, if any,
        whose bytes were lost. A call that is never remembered has one of its own.

        Args:
            done: The call.
            parents: The run, and the steps whose values it was given.
            parts: What its code is made of.
            lost: The fact whose result this one replaces.
            before: Calls that ended before and are not recorded yet.
            hold: What must be held for the commit.

        Raises:
            Conflict: The run is somebody else's by now (code `fenced`), or another process has
                made this result in the meantime (`other-fact`).
        """
        identifier = _identifier(StepDone.KIND, self._scope.project, done.key, lost or "")
        if done.known_by is None:
            identifier = new_id()
        facts = [draft(fact, parents=of) for fact, of in before]
        if done.code not in self._codes:
            facts.append(self._code(done.code, parts))
        facts.append(draft(done, parents=parents, id=identifier))
        self._commit(f"step {done.step} of {done.flow}", facts, hold)
        self._codes.add(done.code)
        return identifier

    def record_others(self, facts: Sequence[Gathered], hold: TaskMove | None) -> None:
        """Commit calls that were remembered or failed, each with its parents.

        Raises:
            Conflict: The run is somebody else's by now (code `fenced`).
        """
        drafts = [draft(fact, parents=parents) for fact, parents in facts]
        self._commit("steps remembered or failed", drafts, hold)

    def begin_effect(self, effect: EffectBegun, hold: TaskMove | None) -> None:
        """Commit the intention to act, durably, before the act; all before it is durable, too.

        Raises:
            Conflict: The run is somebody else's by now (code `fenced`).
        """
        fact = draft(effect, parents=[effect.run])
        self._commit(f"effect {effect.effect} of {effect.flow} begins", [fact], hold, synced=True)

    def was_begun(self, key: str) -> bool:
        """Say whether an effect of this key was begun before."""
        page = self._stores.ledger.find(
            EffectBegun.KIND, where={"key": key}, project=self._scope.project, limit=1
        )
        return bool(page.entries)

    def last(self, place: str, arguments: Mapping[str, str] | None = None) -> LastCall | None:
        """Return the latest call of a step in a flow, None when there was none.

        Args:
            place: `flow.step`.
            arguments: Content digests by parameter: of the latest calls, the one that shares most
                of them is returned, so that one item of many is compared with itself.
        """
        page = self._stores.ledger.find(
            StepDone.KIND,
            where={"place": place},
            project=self._scope.project,
            limit=1 if arguments is None else _COMPARED,
        )
        calls = [(e.id, read(e, StepDone)) for e in page.entries if e.payload is not None]
        if not calls:
            return None
        wanted = (arguments or {}).items()
        step, done = max(calls, key=lambda call: len(wanted & call[1].arguments.items()))
        return LastCall(step, done, self.parts(done.code))

    def parts(self, code: str) -> dict[str, str]:
        """Return what code of this digest was made of; empty when that is not on record."""
        page = self._stores.ledger.find(
            StepCode.KIND, where={"code": code}, project=self._scope.project, limit=1
        )
        found = [read(entry, StepCode).parts for entry in page.entries if entry.payload]
        return found[0] if found else {}

    def _code(self, code: str, parts: Mapping[str, str]) -> Draft:
        identifier = _identifier(StepCode.KIND, self._scope.project, code)
        return draft(StepCode(code=code, parts=dict(parts)), id=identifier)

    def _commit(
        self, reason: str, facts: Sequence[Draft], hold: TaskMove | None, *, synced: bool = False
    ) -> None:
        tasks = () if hold is None else (hold,)
        self._stores.ledger.commit(self._scope.batch(reason, facts, tasks=tasks), synced=synced)


def steps_of(stores: Stores, project: str, run: str) -> Iterable[StepDone]:
    """Yield the steps of a run in the order they ended."""
    return (done for _, done in step_entries_of(stores, project, run))


def step_entries_of(stores: Stores, project: str, run: str) -> Iterator[tuple[Entry, StepDone]]:
    """Yield the steps of a run in the order they ended, with their entries."""
    for entry in find_all(stores.ledger, StepDone.KIND, where={"run": run}, project=project):
        if entry.payload is not None:
            yield entry, read(entry, StepDone)


def is_made_elsewhere(error: Conflict) -> bool:
    """Say whether another process has recorded the same result first."""
    return error.code == "other-fact"


def pickled_of(stores: Stores, project: str, run: Run) -> tuple[str, ...]:
    """Name the steps and outputs behind a run that were kept as pickles, in the order they were.

    Behind it are the run itself and, to the ends, the runs whose assets it was given.
    """
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [(run.id, run.started, run.finished)]
    while waiting:
        identifier, started, finished = waiting.pop()
        seen.add(identifier)
        where = "" if identifier == run.id else f" in run {identifier}"
        for step in steps_of(stores, project, identifier):
            if step.output.format == PICKLE:
                found[f"what step {step.step!r} returned{where}"] = None
        for output in finished.outputs if finished else ():
            if output.format == PICKLE:
                found[f"output {output.name!r}{where}"] = None
        for asset in started.assets:
            entry = stores.ledger.get(asset)
            if entry is None or entry.payload is None:
                found[f"asset {asset}, whose record was forgotten"] = None
                continue
            version = read(entry, AssetVersion)
            if version.output.format == PICKLE:
                found[f"asset {version.name}@{version.number}"] = None
            if version.run not in seen:
                begun = read(stores.ledger.get(version.run), RunStarted)
                waiting.append((version.run, begun, None))
    return tuple(found)


def parts_that_differ(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of parts that are new, gone or different, sorted."""
    names = before.keys() | after.keys()
    return tuple(sorted(name for name in names if before.get(name) != after.get(name)))


def _identifier(*parts: str) -> str:
    return sha256_hex(*(part.encode() for part in parts))[:32]
