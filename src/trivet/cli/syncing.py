"""`trivet sync`: send to a server what programs reported while it was out of reach."""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping

import msgspec

from trivet.cli.command import Answer, Argument, Command
from trivet.cli.errors import EXIT_CODES, FAILED
from trivet.cli.output import size, table
from trivet.core.errors import Forbidden, Invalid, Unavailable
from trivet.tracking.syncing.sending import Tally
from trivet.workspace.addresses import URL, Address, read_address, token_of
from trivet.workspace.sending import How, Sending, send_folder, send_spools, spooled_urls
from trivet.workspace.workspace import open as open_workspace

_EVERY_S = 1.0


def _sync(options: Namespace) -> Answer:
    address = _address(options.url or os.environ.get(URL) or "", options.spooled_for)
    said = [] if address is None else [*_sendings(options, address)]
    code = 0
    failed = [each for each in said if each.state == "failed"]
    if failed:
        is_forbidden = all(each.is_forbidden for each in failed)
        code = EXIT_CODES[Forbidden if is_forbidden else Unavailable]
    elif not options.dry_run and any(each.state == "waiting" for each in said):
        code = FAILED
    text = "\n".join((_text(said, is_dry=options.dry_run), *_kept(said, options)))
    return Answer(msgspec.to_builtins(said), text, code)


def _address(url: str, spooled_for: str | None) -> Address | None:
    """Return where to send; None when nothing is spooled for anybody."""
    if url:
        return read_address(url)
    if spooled_for is not None:
        raise Invalid(
            f"what waits for {spooled_for} is to go elsewhere, and no address says where",
            code="no-url",
            hint=f"Name it: `trivet sync URL --spooled-for {spooled_for}`.",
        )
    urls = spooled_urls()
    if len(urls) > 1:
        raise Invalid(
            f"something waits for {len(urls)} addresses; expected one of {', '.join(urls)}",
            code="no-url",
            hint="Name it, with its own token in TRIVET_TOKEN: the token of one server is "
            "shown to no other.",
        )
    return read_address(urls[0]) if urls else None


def _sendings(options: Namespace, address: Address) -> Iterator[Sending]:
    how = How(
        is_dry=options.dry_run,
        give_up=tuple(options.give_up),
        progress=None if options.json else _Progress(),
    )
    token = token_of(None)
    only, to = address, None
    if options.spooled_for is not None:
        only, to = read_address(options.spooled_for), address
    yield from send_spools(only, token, to=to, how=how)
    if options.folder is not None:
        with open_workspace(options.folder) as ws:
            yield send_folder(ws, address, token, how)


class _Progress:
    """Says on stderr, now and then, how much was sent."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, tallies: Mapping[str, Tally]) -> None:
        if time.monotonic() - self._said < _EVERY_S:
            return
        self._said = time.monotonic()
        points = sum(tally.points for tally in tallies.values())
        sent = sum(tally.size_bytes for tally in tallies.values())
        text = f"sent of {len(tallies)} runs: {points:,} points, {size(sent)} of files"
        print(text, file=sys.stderr, flush=True)


def _text(said: list[Sending], *, is_dry: bool) -> str:
    verb = "to send" if is_dry else "sent"
    rows = [
        (run, each.url, tally.entries, tally.points, tally.files, size(tally.size_bytes), why)
        for each in said
        if each.state != "failed"
        for run, tally in each.runs.items()
        for why in ["given up" if run in each.given_up else tally.waiting or "-"]
    ]
    heads = ("run", "server", f"reports {verb}", "points", "files", "bytes", "waits because")
    lines = [table(heads, rows, empty="nothing to send" if is_dry else "nothing was sent")]
    for each in said:
        if each.state == "failed":
            lines.append(f"{each.place}: {each.trouble}")
            lines += [f"  {run} waits: {_size_of(tally)}" for run, tally in each.runs.items()]
    given_up = {run: why for each in said for run, why in each.given_up.items()}
    lines += [f"given up, and never sent: {run} ({why})" for run, why in given_up.items()]
    live = sum(each.state == "live" for each in said)
    if live:
        lines.append(f"{live} programs run and send by themselves")
    elsewhere = [each.place for each in said if each.state == "elsewhere"]
    if elsewhere:
        lines.append(f"programs of other machines left something; sync there: {elsewhere[0]} …")
    return "\n".join(lines)


def _kept(said: list[Sending], options: Namespace) -> Iterator[str]:
    """Yield what to say of runs that were to be given up and were not."""
    gone = {run for each in said for run in each.given_up}
    for run in options.give_up:
        if options.dry_run:
            yield f"not given up, as nothing is sent: {run}"
        elif run not in gone:
            yield f"not given up, as no server refused anything of it: {run}"


def _size_of(tally: Tally) -> str:
    return (
        f"{tally.entries} reports, {tally.points:,} points, {tally.files} files "
        f"({size(tally.size_bytes)})"
    )


sync = Command(
    "Send to a server what programs reported while it was out of reach.",
    "trivet sync http://tracking:7878",
    _sync,
    (
        Argument(
            "url",
            "the server; without it that of TRIVET_URL, or the only one that something waits "
            "for. Its token is taken from TRIVET_TOKEN",
            {"nargs": "?"},
        ),
        Argument("--dry-run", "say what would be sent, and send nothing", {"action": "store_true"}),
        Argument(
            "--spooled-for",
            "send what waits for this address instead: the server has moved",
            {"metavar": "URL"},
        ),
        Argument(
            "--give-up",
            "offer no more what the server refuses of this run; may be repeated",
            {"metavar": "RUN", "action": "append", "default": []},
        ),
        Argument(
            "--folder",
            "send the runs in this project's folder, too; they stay there",
            {"metavar": "FOLDER"},
        ),
    ),
)
