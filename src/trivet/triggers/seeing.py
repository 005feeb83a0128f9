"""Looking at the world for one trigger: what there is to act on. Nothing is recorded here."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from trivet.core.errors import NotFound, Unsupported
from trivet.core.facts import Scope, read
from trivet.core.ports import Listing, Stores
from trivet.data.facts import DataCommit
from trivet.monitoring.facts import Alert, AlertResolved
from trivet.pipelines.facts import AssetVersion
from trivet.triggers.branches import Repository
from trivet.triggers.facts import TriggerSet
from trivet.triggers.listings import compare, in_words, parse_place, stamps_of
from trivet.triggers.record import keep_listing
from trivet.triggers.rules import Notes, Past, Sight, cron_mark, due_mark, take_note, too_late

_ALERTS = 100
_MOST_DIFFS = 64


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What triggers look at besides the stores."""

    folder: Path = Path()
    """The project's folder."""
    listings: Mapping[str, Listing] = {}
    """By cause: `files` and `bucket`."""


class Lookout:
    """Sees for triggers.

    Args:
        stores: Alerts, data versions, listings that were acted on.
        scope: Project and actor.
        world: Folders, buckets and repositories.
    """

    def __init__(self, stores: Stores, scope: Scope, world: World) -> None:
        self._ledger = stores.ledger
        self._blobs = stores.blobs
        self._scope = scope
        self._world = world
        self._diffs: dict[tuple[str, str, str, tuple[str, ...]], tuple[str, ...] | None] = {}

    def see(self, rule: TriggerSet, past: Past, now: datetime, notes: Notes) -> tuple[Sight, Notes]:
        """Look at the world for a trigger.

        Returns:
            What there is to act on, and what to remember until the next look.

        Raises:
            TrivetError: What it watches cannot be looked at.
        """
        match rule.cause:
            case "schedule":
                sight = due_mark(float(rule.watch), past.fired, rule.since, now)
                sight = too_late(rule, sight, now)
            case "cron":
                sight = too_late(rule, cron_mark(rule, past.fired, now), now)
            case "alert":
                sight = self._see_alert(rule)
            case "data":
                sight = self._see_data(rule, past.seen or rule.seen)
            case "asset":
                sight = self._see_asset(rule, past.seen or rule.seen)
            case "git":
                sight = self._see_branch(rule, past)
            case "files" | "bucket":
                sight, notes = self._see_files(rule, past, notes)
            case "hand":
                sight = Sight(mark=None, summary="fires by hand alone")
        return sight, take_note(notes, sight, past, now)

    def standing(self, rule: TriggerSet) -> str | None:
        """Return what stands now and so is nothing new, in the form of `TriggerSet.seen`.

        Raises:
            TrivetError: What it watches cannot be looked at.
        """
        match rule.cause:
            case "data":
                return self._newest(f"data/{rule.watch}")
            case "asset":
                return self._newest(f"asset/{rule.watch}")
            case "git":
                return Repository(rule.watch, self._world.folder).tip(rule.branch)
            case "files" | "bucket":
                return keep_listing(self._blobs, self._list(rule))
            case _:
                return None

    def _see_alert(self, rule: TriggerSet) -> Sight:
        page = self._ledger.find(
            Alert.KIND,
            where={"endpoint": rule.watch},
            project=self._scope.project,
            limit=_ALERTS,
        )
        words = f"{' or '.join(rule.kinds)} alert" if rule.kinds else "alert"
        for entry in page.entries:
            alert = read(entry, Alert)
            if rule.kinds and alert.kind not in rule.kinds:
                continue
            ended = self._ledger.find(AlertResolved.KIND, where={"alert": entry.id}, limit=1)
            if ended.entries:
                what = f"the last {words} about {rule.watch} is resolved"
                return Sight(mark=None, summary=what)
            return Sight(mark=entry.id, summary=f"alert: {alert.summary}")
        return Sight(mark=None, summary=f"no {words} about {rule.watch}")

    def _see_data(self, rule: TriggerSet, acted: str | None) -> Sight:
        newest = self._newest(f"data/{rule.watch}")
        if newest is None or newest in {acted, rule.seen}:
            return Sight(mark=None, summary=f"data set {rule.watch} has no newer version")
        commit = read(self._ledger.get(newest), DataCommit)
        summary = f"new data: {commit.source}"
        if rule.min_rows:
            grown = _rows(commit) - self._rows_of(acted)
            if grown < rule.min_rows:
                why = f"{grown} rows came since the last run; {rule.min_rows} are asked for"
                return Sight(mark=newest, summary=summary, but=why, seen=newest)
            summary = f"{summary}, {grown} rows more than at the last run"
        return Sight(mark=newest, summary=summary, seen=newest)

    def _newest(self, head: str) -> str | None:
        found = self._ledger.head(self._scope.project, head)
        return found.target if found else None

    def _rows_of(self, version: str | None) -> int:
        if version is None:
            return 0
        try:
            return _rows(read(self._ledger.get(version), DataCommit))
        except NotFound:  # forgotten
            return 0

    def _see_asset(self, rule: TriggerSet, acted: str | None) -> Sight:
        newest = self._newest(f"asset/{rule.watch}")
        if newest is None or newest in {acted, rule.seen}:
            return Sight(mark=None, summary=f"asset {rule.watch} has no newer version")
        version = read(self._ledger.get(newest), AssetVersion)
        summary = f"new version {version.number} of asset {rule.watch}, by run {version.run}"
        return Sight(mark=newest, summary=summary, seen=newest)

    def _see_branch(self, rule: TriggerSet, past: Past) -> Sight:
        acted = past.seen or rule.seen
        repository = Repository(rule.watch, self._world.folder)
        tip = repository.tip(rule.branch)
        branch = rule.branch or "HEAD"
        if tip == acted:
            return Sight(mark=None, summary=f"{branch} stands at {tip[:10]} as before")
        moved = f"{branch} moved to {tip[:10]}"
        if rule.paths and acted is not None:
            changed = self._changed(repository, rule, acted, tip)
            if changed == ():
                paths = ", ".join(rule.paths)
                return Sight(mark=None, summary=f"{moved}, nothing changed below {paths}")
            moved += f", changed: {in_words(changed)}" if changed else ", its history was rewritten"
        here = repository.checked_out()
        if here is not None:
            moved += f"; the run uses what is checked out, {here[:10]}"
        # A branch can be moved back: the same commit after another firing is news again.
        return Sight(mark=f"{tip}-{past.after}", summary=moved, seen=tip)

    def _changed(
        self, repository: Repository, rule: TriggerSet, before: str, after: str
    ) -> tuple[str, ...] | None:
        # Asked once for each pair: while a limit holds, every look would ask the other side again.
        key = (rule.watch, before, after, rule.paths)
        if key not in self._diffs:
            if len(self._diffs) >= _MOST_DIFFS:
                self._diffs.clear()
            self._diffs[key] = repository.changed(before, after, rule.paths)
        return self._diffs[key]

    def _see_files(self, rule: TriggerSet, past: Past, notes: Notes) -> tuple[Sight, Notes]:
        here, acted = self._list(rule), past.seen or rule.seen
        is_whole = rule.cause == "bucket"  # objects appear when they are complete
        found = compare(here, None if is_whole else notes.listing, self._load(acted))
        notes = notes if is_whole else msgspec.structs.replace(notes, listing=here)
        waiting = f"{len(found.unsettled)} still being written: {in_words(found.unsettled)}"
        if found.mark is None:
            words = waiting if found.unsettled else f"no new files in {rule.watch}"
            return Sight(mark=None, summary=words), notes
        words = f"new files: {in_words(found.fresh)}"
        words += f"; {waiting}" if found.unsettled else ""
        mark = f"{found.mark}-{past.after}"  # a file can be restored with its time
        return Sight(mark=mark, summary=words, listing=found.acted), notes

    def _list(self, rule: TriggerSet) -> dict[str, str]:
        listing = self._world.listings.get(rule.cause)
        if listing is None:
            raise Unsupported(
                f"this installation cannot look at {rule.cause}",
                code="no-listing",
                hint="Open the workspace with trivet.open.",
            )
        place = parse_place(rule.watch)
        return stamps_of(listing.list(place.folder, deep=place.is_deep), place)

    def _load(self, acted: str | None) -> dict[str, str]:
        if acted is None:
            return {}
        try:
            with self._blobs.open(acted) as file:
                return msgspec.json.decode(file.read(), type=dict[str, str])
        except NotFound:
            return {}


def _rows(commit: DataCommit) -> int:
    return sum(table.rows for table in commit.tables)
