"""The data room's service: data is checked, written, and then becomes visible in one commit."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypedDict, Unpack

import msgspec

from trivet.core.catalog import Position
from trivet.core.clock import Clock, SystemClock, as_utc
from trivet.core.errors import Conflict, Corrupt, Invalid, NotFound, Refused
from trivet.core.facts import HeadMove, Scope, draft, read
from trivet.core.gates import Finding, Gate
from trivet.core.ids import check_id, check_name
from trivet.core.ports import ArrowStream, Stores, TableVersion
from trivet.core.trees import StoredFile, read_tree
from trivet.data.comparison import ProfileComparison, compare_profiles
from trivet.data.expectations import judge_tables
from trivet.data.facts import DataCommit, Dataset
from trivet.data.finding import FoundDatasets, find_data
from trivet.data.inheriting import is_made_up
from trivet.data.naming import (
    check_dataset_name,
    check_tags,
    is_identifier,
    name_from_file,
    stored_name,
    suggest,
)
from trivet.data.profile import Profile, profile_table
from trivet.data.sources import Frame, append_rows, as_frame, as_portable, is_same, read_table
from trivet.data.synthetic import fit_copula
from trivet.data.trees import checkout, store_tree

_HEADS: Final = "data/"
_ATTEMPTS: Final = 8


class PublishOptions(TypedDict, total=False):
    """What may be said about a publication besides its content and source."""

    trees: Mapping[str, Path | Mapping[str, bytes]] | None
    """File trees by name: folders, single files, or contents by path."""
    message: str
    """Why, for a person."""
    until: datetime | None
    """Event time up to which the data is complete; aware."""
    gate: Gate | None
    """The checks that the tables must pass, see `quality`."""
    parents: Iterable[str]
    """Identifiers of the facts the data was made from."""
    append: bool
    """The tables are rows to put below those of the latest version; what is not named stays."""
    synthetic: bool
    """The data is made up. Also true when a parent is, or what is appended to."""
    tags: Mapping[str, str]
    """What people want to find it by."""


class _Wish(msgspec.Struct, frozen=True, kw_only=True):
    dataset: str
    source: str
    frames: dict[str, Frame]
    trees: dict[str, Path | Mapping[str, bytes]]
    message: str = ""
    until: datetime | None = None
    gate: Gate | None = None
    parents: tuple[str, ...] = ()
    append: bool = False
    synthetic: bool = False
    tags: dict[str, str] = {}


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """One table on its way into a version."""

    name: str
    whole: Frame
    profile: Profile
    added: Frame | None = None
    """The rows that were appended to `old`; None when the whole table is new."""
    old: TableVersion | None = None
    is_unchanged: bool = False


class DataService:
    """Data sets and their versions, of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        clock: What freshness is measured against; the machine's clock when omitted.
    """

    def __init__(self, stores: Stores, scope: Scope, clock: Clock | None = None) -> None:
        self._stores = stores
        self._scope = scope
        self._clock = clock or SystemClock()

    # ------------------------------------------------------------ publishing

    def publish(
        self,
        dataset: str,
        tables: Mapping[str, ArrowStream],
        *,
        source: str,
        **options: Unpack[PublishOptions],
    ) -> Dataset:
        """Check tables and file trees, write them, and make them the data set's latest version.

        The gate judges before a row is written: what is refused leaves nothing behind. Content
        that equals the latest version's is not published again; that version is returned.

        Args:
            dataset: The data set's name; it comes into being with its first version.
            tables: Anything that speaks Arrow, by the names the tables have in the data set.
            source: Where the data came from, in words for a person.
            options: See `PublishOptions`.

        Raises:
            Invalid: A name is not valid, a table is none, nothing is given, or appended rows do
                not fit.
            Refused: The gate said no; `detail["findings"]` has the reasons.
            Conflict: Somebody else published meanwhile. Appends try again by themselves.
            NotFound: A parent, a file or a folder does not exist.
        """
        wish = _wish_of(dataset, tables, source, options)
        for attempt in range(_ATTEMPTS):
            try:
                return self._publish(wish, may_replace=wish.append or attempt == 0)
            except Conflict as error:
                if error.code != "head-moved":
                    raise
        raise Conflict(
            f"data set {dataset!r} was published by others {_ATTEMPTS} times meanwhile",
            code="busy",
            hint="Try again when fewer writers append to it.",
        )

    def import_file(
        self, path: Path | str, dataset: str | None = None, **options: Unpack[PublishOptions]
    ) -> Dataset:
        """Publish a CSV or Parquet file as a data set with one table, named as the data set.

        Without a name, the file's own is used: `My Data.csv` becomes `my-data`.

        Raises:
            NotFound: There is no such file.
            Invalid: It is no table (see `sources.read_table`), or as in `publish`.
            Refused: The gate said no.
        """
        path = Path(path)
        frame = read_table(path)
        name = name_from_file(path) if dataset is None else dataset
        return self.publish(name, {name: frame}, source=path.name, **options)

    def synthesise(
        self, dataset: Dataset | str, rows: int, *, table: str | None = None, seed: int = 0
    ) -> Dataset:
        """Publish made-up rows that look like a table, as `<data set>-synthetic`.

        They are no anonymised data; see `synthetic` for what they keep, lose and reveal.

        Raises:
            Invalid: The table cannot be fitted, or `rows` is out of range.
            NotFound: There is no such data set or table.
        """
        original = self._resolve(dataset)
        name, _ = original.commit.table(table)
        frame = as_frame(name, self.table(original, name))
        made_up = fit_copula(frame, seed=seed).sample(rows, seed=seed)
        return self.publish(
            f"{original.name}-synthetic",
            {name: made_up},
            source=f"made up from {original.name} with seed {seed}",
            parents=(original.id,),
            synthetic=True,
        )

    # ------------------------------------------------------------ reading

    def search(
        self,
        filter: str = "",  # noqa: A002  # what everybody calls it
        *,
        every_version: bool = False,
        order: str | Sequence[str] = (),
        after: Position | None = None,
        limit: int = 1000,
    ) -> FoundDatasets:
        """Find data sets by their newest versions, or with `every_version` all versions.

        `columns.age IS NOT NULL AND rows > 1000` is a filter; see `finding.find_data`.

        Raises:
            Invalid: The filter or an order does not follow the grammar, or names what no version
                has (code `unknown-column`).
        """
        return find_data(
            self._stores.ledger,
            self._scope.project,
            filter,
            every_version=every_version,
            order=[order] if isinstance(order, str) else order,
            after=after,
            limit=limit,
        )

    def latest(self, name: str) -> Dataset:
        """Return a data set's latest version.

        Raises:
            NotFound: There is no data set of this name in the project.
        """
        found = self._newest(name)
        if found is None:
            raise NotFound(
                f"there is no data set {name!r}",
                code="no-dataset",
                hint=suggest(name, self.names()),
            )
        return found

    def get(self, id: str) -> Dataset:
        """Return a version by its identifier.

        Raises:
            NotFound: The project has no such data commit.
        """
        entry = self._stores.ledger.get(check_id(id))
        if entry is not None and entry.project != self._scope.project:
            entry = None
        return Dataset(id=id, commit=read(entry, DataCommit))

    def versions(self, name: str, limit: int = 100) -> tuple[Dataset, ...]:
        """Return a data set's versions, newest first, at most `limit` (1 to 1,000)."""
        page = self._stores.ledger.find(
            DataCommit.KIND,
            where={"dataset": name},
            project=self._scope.project,
            limit=limit,
        )
        return tuple(
            Dataset(id=entry.id, commit=read(entry, DataCommit))
            for entry in page.entries
            if entry.payload is not None  # a forgotten version has no content to show
        )

    def names(self) -> tuple[str, ...]:
        """Return the names of all data sets of the project, sorted."""
        heads = self._stores.ledger.heads(self._scope.project, _HEADS)
        return tuple(sorted(head.name.removeprefix(_HEADS) for head in heads))

    def table(
        self,
        dataset: Dataset | str,
        table: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> ArrowStream:
        """Return a table's rows; `polars.DataFrame(...)` and every Arrow reader takes them.

        Args:
            dataset: A version, its identifier, or a name (then the latest version).
            table: The table's name; not needed where there is only one.
            columns: Only these columns, in this order.

        Raises:
            NotFound: There is no such data set or table.
            Invalid: A column does not exist, or the table's name is needed.
            Corrupt: The stored bytes do not match what was recorded.
        """
        _, version = self._resolve(dataset).commit.table(table)
        unknown = [name for name in columns or () if name not in version.columns]
        if unknown:
            raise Invalid(
                f"there is no column {unknown[0]!r}",
                code="no-column",
                hint=suggest(unknown[0], version.columns),
            )
        return self._stores.tables.read(version.name, version.version, columns=columns)

    def files(self, dataset: Dataset | str, tree: str | None = None) -> dict[str, StoredFile]:
        """List a file tree: digest and size by path.

        Raises:
            NotFound: There is no such data set or tree.
        """
        return read_tree(self._stores.blobs, self._resolve(dataset).commit.tree(tree).digest)

    def checkout(self, dataset: Dataset | str, folder: Path, tree: str | None = None) -> int:
        """Write a file tree into a new or empty folder; return the number of files.

        Raises:
            NotFound: There is no such data set or tree.
            Invalid: The folder holds something.
        """
        digest = self._resolve(dataset).commit.tree(tree).digest
        return checkout(self._stores.blobs, digest, folder)

    def profile(self, dataset: Dataset | str, table: str | None = None) -> Profile:
        """Return the profile that was taken of a table when it was published.

        Raises:
            NotFound: There is no such data set or table.
            Corrupt: The stored profile does not decode.
        """
        commit = self._resolve(dataset).commit
        name, _ = commit.table(table)
        return self._load_profile(commit.profiles[name])

    def compare(
        self, before: Dataset | str, after: Dataset | str, table: str | None = None
    ) -> ProfileComparison:
        """Compare the profiles of a table in two versions, of one data set or of two.

        Raises:
            NotFound: There is no such version or table.
        """
        return compare_profiles(self.profile(before, table), self.profile(after, table))

    # ------------------------------------------------------------ inside

    def _publish(self, wish: _Wish, *, may_replace: bool) -> Dataset:
        before = self._newest(wish.dataset)
        base = before if wish.append else None
        parts = [self._part(wish, name, before) for name in wish.frames]
        findings = self._judge(wish, parts, base)
        commit = self._write_all(wish, parts, base, findings)
        if before is not None and _is_same_content(before.commit, commit):
            return before
        if not may_replace:
            raise Conflict(
                f"somebody else published data set {wish.dataset!r} meanwhile",
                code="published-meanwhile",
                hint="Look at the latest version, then publish again if yours shall replace it.",
            )
        inherited = [base.id] if base else []
        new = draft(commit, parents=dict.fromkeys([*inherited, *wish.parents]))
        head = HeadMove(name=_HEADS + wish.dataset, to=new.id, expect=before.id if before else None)
        reason = wish.message or f"publish {wish.dataset} from {wish.source}"
        self._stores.ledger.commit(self._scope.batch(reason, [new], heads=[head]))
        return Dataset(id=new.id, commit=commit)

    def _part(self, wish: _Wish, name: str, before: Dataset | None) -> _Part:
        rows = wish.frames[name]
        old = before.commit.named_tables.get(name) if before else None
        if before is None or old is None:
            return _Part(name=name, whole=rows, profile=profile_table(rows))
        whole = append_rows(self._frame(old), rows) if wish.append else rows
        is_unchanged = old.rows == whole.height and is_same(whole, self._frame(old))
        return _Part(
            name=name,
            whole=whole,
            profile=self.profile(before, name) if is_unchanged else profile_table(whole),
            added=append_rows(whole.clear(), rows) if wish.append else None,
            old=old,
            is_unchanged=is_unchanged,
        )

    def _judge(
        self, wish: _Wish, parts: Sequence[_Part], base: Dataset | None
    ) -> tuple[Finding, ...]:
        if wish.gate is None:
            return ()
        frames = {part.name: part.whole for part in parts}
        profiles = {part.name: part.profile for part in parts}
        if base is not None:
            for name, version in base.commit.named_tables.items():
                if name not in frames:  # a check may compare with a table that stays as it is
                    frames[name] = self._frame(version)
                    profiles[name] = self.profile(base, name)
        verdict = judge_tables(wish.gate, frames, profiles=profiles, now=self._clock.now())
        if not verdict.passed:
            reasons = verdict.reasons
            raise Refused(
                f"data set {wish.dataset!r} was not published, gate {wish.gate.name!r} refused: "
                + "; ".join(finding.summary for finding in reasons),
                hint="Mend the data, or the check if it asks too much. Nothing was written.",
                detail={"findings": [msgspec.to_builtins(finding) for finding in reasons]},
            )
        return verdict.findings

    def _write_all(
        self,
        wish: _Wish,
        parts: Sequence[_Part],
        base: Dataset | None,
        findings: tuple[Finding, ...],
    ) -> DataCommit:
        trees = {tree.name: tree for tree in (base.commit.trees if base else ())}
        for name, source in wish.trees.items():
            trees[name] = store_tree(self._stores.blobs, source, name)
        tables = dict(base.commit.named_tables) if base else {}
        profiles = dict(base.commit.profiles) if base else {}
        for part in parts:
            tables[part.name] = self._write(wish.dataset, part)
            profiles[part.name] = self._stores.blobs.put(_encode(part.profile))
        return DataCommit(
            dataset=wish.dataset,
            names=tuple(sorted(tables)),
            tables=tuple(tables[name] for name in sorted(tables)),
            trees=tuple(trees[name] for name in sorted(trees)),
            source=wish.source,
            message=wish.message,
            until=wish.until or (base.commit.until if base else None),
            profiles={name: profiles[name] for name in sorted(profiles)},
            findings=findings,
            synthetic=wish.synthetic
            or (base is not None and base.commit.synthetic)
            or is_made_up(self._stores.ledger, wish.parents),
            tags=wish.tags,
        )

    def _write(self, dataset: str, part: _Part) -> TableVersion:
        if part.old is not None and part.is_unchanged:
            return part.old
        store = self._stores.tables
        name = stored_name(self._scope.project, dataset, part.name)
        newest = store.version(name)
        if part.old and newest and part.added is not None and newest.version == part.old.version:
            written = store.write(name, part.added, mode="append")
            # The store appends to its newest version, which need not be the published one: a
            # writer that crashed or lost may have come between.
            if written.version == part.old.version + 1 and written.rows == part.whole.height:
                return written
        return store.write(name, part.whole)

    def _resolve(self, reference: Dataset | str) -> Dataset:
        if isinstance(reference, Dataset):
            return reference
        return self.get(reference) if is_identifier(reference) else self.latest(reference)

    def _newest(self, name: str) -> Dataset | None:
        head = self._stores.ledger.head(self._scope.project, _HEADS + check_dataset_name(name))
        return self.get(head.target) if head else None

    def _frame(self, version: TableVersion) -> Frame:
        return as_frame(version.name, self._stores.tables.read(version.name, version.version))

    def _load_profile(self, digest: str) -> Profile:
        with self._stores.blobs.open(digest) as blob:
            content = blob.read()
        try:
            return msgspec.json.decode(content, type=Profile)
        except msgspec.DecodeError as error:
            raise Corrupt(
                f"the blob {digest} is no profile: {error}", hint="Run `trivet fsck`."
            ) from error


_encode = msgspec.json.Encoder(order="deterministic").encode


def _wish_of(
    dataset: str, tables: Mapping[str, ArrowStream], source: str, options: PublishOptions
) -> _Wish:
    for option in options.keys() - PublishOptions.__optional_keys__:
        raise Invalid(
            f"publishing has no option {option!r}",
            code="no-option",
            hint=suggest(option, sorted(PublishOptions.__optional_keys__)),
        )
    trees = options.get("trees") or {}
    until = options.get("until")
    if not tables and not trees:
        raise Invalid(
            "tables and trees are both empty; expected at least one of them",
            code="nothing-to-publish",
            hint="Pass tables={name: frame} or trees={name: folder}.",
        )
    return _Wish(
        dataset=check_dataset_name(dataset),
        source=source,
        frames={
            check_name(name, "table"): as_portable(as_frame(name, tables[name]))
            for name in sorted(tables)
        },
        trees={check_name(name, "tree"): trees[name] for name in sorted(trees)},
        message=options.get("message", ""),
        until=as_utc(until, "until") if until else None,
        gate=options.get("gate"),
        parents=tuple(options.get("parents", ())),
        append=options.get("append", False),
        synthetic=options.get("synthetic", False),
        tags=check_tags(options.get("tags", {})),
    )


def _is_same_content(first: DataCommit, second: DataCommit) -> bool:
    def content(commit: DataCommit) -> tuple[object, ...]:
        tables = {name: version.digest for name, version in commit.named_tables.items()}
        trees = {tree.name: tree.digest for tree in commit.trees}
        return tables, trees, commit.until, commit.synthetic, commit.tags

    return content(first) == content(second)
