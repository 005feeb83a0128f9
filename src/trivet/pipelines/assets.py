"""Assets: the named results of flows, each content of them a version of its own.

An asset is called `flow.output`. A run that ends well makes a new version of it when its content
is another than that of the newest one; the version is recorded with the run's end, in one commit.
Figures are no assets: they are the run's metrics.
"""

from collections.abc import Iterable
from typing import NoReturn, cast

from trivet.core.errors import NotFound
from trivet.core.facts import Draft, Entry, HeadMove, HeadMoved, Scope, draft, read
from trivet.core.ports import Stores
from trivet.core.search import find_all
from trivet.data.naming import suggest
from trivet.pipelines.facts import AssetVersion, KnownAsset
from trivet.pipelines.inputs import ASSET
from trivet.pipelines.materialising.readers import STRANGER, Reader
from trivet.pipelines.materialising.values import Values
from trivet.pipelines.memo import Memo
from trivet.tracking.facts import Output, Run

_HEADS = "asset/"


class Assets:
    """The catalogue of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        memo: Reads the bytes of outputs.
        values: Makes values of them.
    """

    def __init__(self, stores: Stores, scope: Scope, memo: Memo, values: Values) -> None:
        self._ledger = stores.ledger
        self._scope = scope
        self._memo = memo
        self._values = values

    def all(self) -> tuple[KnownAsset, ...]:
        """Return the newest version of every asset, by name."""
        heads = self._ledger.heads(self._scope.project, _HEADS)
        entries = (self._ledger.get(head.target) for head in heads)
        return tuple(_known(entry) for entry in entries if entry and entry.payload is not None)

    def find(self, label: str) -> KnownAsset:
        """Return one version.

        Args:
            label: `flow.output` for the newest, `flow.output@3` for the third.

        Raises:
            NotFound: There is no such asset or version; the hint names what comes near.
        """
        label = label.removeprefix(ASSET)
        newest = self._newest(label)
        if newest is not None:
            return newest
        name, at, number = label.rpartition("@")
        newest = self._newest(name) if at and number.isascii() and number.isdigit() else None
        if newest is None:
            self._refuse(label)
        return self._numbered(newest, int(number))

    def versions(self, name: str) -> tuple[KnownAsset, ...]:
        """Return all versions of an asset, newest first.

        Raises:
            NotFound: There is no such asset.
        """
        name = name.removeprefix(ASSET)
        newest = self._newest(name)
        if newest is None:
            self._refuse(name)
        found = find_all(
            self._ledger,
            AssetVersion.KIND,
            where={"name": name},
            project=self._scope.project,
            newest_first=True,
        )
        return tuple(_known(entry) for entry in found if entry.payload is not None)

    def value(self, asset: KnownAsset, reader: Reader = STRANGER) -> object:
        """Return the value of a version.

        Raises:
            NotFound: Its bytes were removed, or it is a pickle and the reader did not consent.
            Corrupt: The stored bytes are not what was recorded.
        """
        form = self._memo.load_output(asset.version.output)
        if form is None:
            raise NotFound(
                f"the bytes of asset {asset.label} were removed",
                code="no-bytes",
                hint=f"Run the flow again: {asset.version.name.partition('.')[0]}.",
            )
        return self._values.load(form, reader)

    def advance(
        self, run: Run, outputs: Iterable[Output]
    ) -> tuple[tuple[Draft, ...], tuple[HeadMove, ...], tuple[str, ...]]:
        """Make the versions that a run's outputs give, and the moves of heads that go with them.

        Outputs whose content is that of the newest version give none.

        Returns:
            Both, and what is to be told: two flows of one name make versions of one asset.
        """
        facts: list[Draft] = []
        moves: list[HeadMove] = []
        notes: list[str] = []
        entry = run.started.code.entry
        for output in outputs:
            name = f"{run.started.name}.{output.name}"
            head = self._ledger.head(self._scope.project, _HEADS + name)
            before = self._ledger.get(head.target) if head else None
            last = read(before, AssetVersion) if before and before.payload is not None else None
            if last is not None:
                made = last.output
                if last.entry != entry:
                    notes.append(_of_two_flows(name, last.entry, entry))
                if (made.format, made.digest) == (output.format, output.digest):
                    continue
            # Of one that was forgotten the number is, too; each version has moved the head once.
            number = last.number + 1 if last else self._moves_of(name) + 1
            version = AssetVersion(name=name, number=number, entry=entry, run=run.id, output=output)
            fact = draft(version, parents=[run.id])
            facts.append(fact)
            expect = before.id if before else None
            moves.append(HeadMove(name=_HEADS + name, to=fact.id, expect=expect))
        return tuple(facts), tuple(moves), tuple(notes)

    def _moves_of(self, name: str) -> int:
        where, project = {"name": _HEADS + name}, self._scope.project
        return sum(1 for _ in find_all(self._ledger, HeadMoved.KIND, where=where, project=project))

    def _newest(self, name: str) -> KnownAsset | None:
        head = self._ledger.head(self._scope.project, _HEADS + name)
        return None if head is None else _known(self._ledger.get(head.target))

    def _numbered(self, newest: KnownAsset, number: int) -> KnownAsset:
        if number == newest.version.number:
            return newest
        for asset in self.versions(newest.version.name):
            if asset.version.number == number:
                return asset
        raise NotFound(
            f"asset {newest.version.name!r} has no version {number}",
            code="no-asset",
            hint=f"The newest is {newest.version.number}; see `trivet assets history "
            f"{newest.version.name}`.",
        )

    def _refuse(self, label: str) -> NoReturn:
        heads = self._ledger.heads(self._scope.project, _HEADS)
        known = [head.name.removeprefix(_HEADS) for head in heads]
        flow, _, _ = label.partition(".")
        own = [name for name in known if name.startswith(f"{flow}.")]
        hint = suggest(label.partition("@")[0], own or known) if known else "No run has made one."
        if not own:
            hint += f" Run the flow that returns it: `trivet run {flow}`." if flow else ""
        raise NotFound(f"no asset {label!r}", code="no-asset", hint=hint)


def _of_two_flows(name: str, before: str, now: str) -> str:
    return (
        f"asset {name!r} was made by {before} before and is made by {now} now: flows of one name "
        "share their assets; rename one of them if they are not the same flow"
    )


def _known(entry: Entry | None) -> KnownAsset:
    version, found = read(entry, AssetVersion), cast("Entry", entry)
    return KnownAsset(id=found.id, made_at=found.time, version=version)
