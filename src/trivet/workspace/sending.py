"""Sending spools, and the runs of a project's folder, to servers: now, or again and again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from trivet.core.errors import Forbidden, TrivetError
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.sampling import last_step
from trivet.tracking.syncing.sending import Sender, Tally
from trivet.workspace import wiring
from trivet.workspace.addresses import Address, reach, read_address
from trivet.workspace.spools import PROJECT, Label, is_from_here, labels, taken
from trivet.workspace.workspace import Workspace

SCOPE: Final = Scope(project=PROJECT, actor="spool")
State = Literal["sent", "waiting", "live", "elsewhere", "failed"]
Progress = Callable[[Mapping[str, Tally]], None]


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one spool, or of a project's folder."""

    place: str
    """Its folder."""
    url: str
    state: State
    """`sent`: the server has all of it. `waiting`: it did not take all, or was not asked (in a dry
    run). `live`: its program runs and sends by itself. `elsewhere`: another machine's program made
    it. `failed`: the server could not be asked."""
    runs: dict[str, Tally] = {}
    """What was sent, by run; where nothing was, what is to be sent."""
    trouble: str = ""
    is_forbidden: bool = False
    """Whether the server answered, and did not take the token."""
    given_up: dict[str, str] = {}
    """Why the server refused what is not offered again, by run."""


class How(msgspec.Struct, frozen=True, kw_only=True):
    """How something is sent."""

    is_dry: bool = False
    """Count what would be sent, and send nothing."""
    give_up: tuple[str, ...] = ()
    """Runs of which nothing is offered again that the server refuses now."""
    progress: Progress | None = None
    """Told of what was sent."""


_PLAIN: Final = How()


class _Where(NamedTuple):
    folder: str
    address: Address
    token: str


def send_spools(
    only: Address,
    token: str,
    *,
    to: Address | None = None,
    how: How = _PLAIN,
) -> Iterator[Sending]:
    """Send what programs that are gone have left; spools that are sent whole are removed.

    Args:
        only: Spools for this server alone: a token is shown to nobody else.
        token: What the server knows.
        to: Where the server is now, when it has moved.
        how: Whether really, and what is given up.
    """
    for folder, label in labels():
        if only.covers(read_address(label.url)):
            address = _moved(read_address(label.url), only, to)
            where = _Where(str(folder), address, token)
            yield _send_spool(label, where, how)


def spooled_urls() -> list[str]:
    """Return the addresses for which something is spooled, each once."""
    return sorted({label.url for _, label in labels()})


def last_step_left(run: str) -> int:
    """Return the last step of a run in what programs that are gone have left; -1 for none."""
    return max((_last_step_in(*each, run) for each in labels()), default=-1)


def send_folder(workspace: Workspace, address: Address, token: str, how: How = _PLAIN) -> Sending:
    """Send the runs that programs reported into a project's folder; they stay there, too.

    Raises:
        Unavailable: The server does not answer.
        Forbidden: The token is not taken.
    """
    where = _Where(str(workspace.folder), address, token)
    return _send(workspace.stores, workspace.scope, where, how)


def _last_step_in(folder: Path, label: Label, run: str) -> int:
    if not is_from_here(label):
        return -1
    with taken(folder, label) as spool:
        if spool is None:
            return -1
        with suppress(TrivetError), closing(spool.open()) as opened:  # a damaged one says nothing
            return last_step(Metrics(opened.stores).latest(run))
    return -1


def _moved(address: Address, before: Address, now: Address | None) -> Address:
    """Return where something goes that was for an address of a server that is elsewhere now."""
    if now is None:
        return address
    return Address(server=now.server, path=now.path + address.path.removeprefix(before.path))


def _send_spool(label: Label, where: _Where, how: How) -> Sending:
    url = where.address.url
    if not is_from_here(label):
        return Sending(place=where.folder, url=url, state="elsewhere")
    with taken(Path(where.folder), label) as spool:
        if spool is None:
            return Sending(place=where.folder, url=url, state="live")
        opened = spool.open()
        try:
            sending = _send(opened.stores, SCOPE, where, how)
        except TrivetError as error:
            trouble = f"{error.message}. {error.hint}".strip()
            runs = _pending(opened.stores, SCOPE, url)
            return Sending(
                place=where.folder,
                url=url,
                state="failed",
                runs=runs,
                trouble=trouble,
                is_forbidden=isinstance(error, Forbidden),
            )
        finally:
            opened.close()
        if sending.state == "sent":
            spool.remove()
        return sending


def _send(stores: Stores, scope: Scope, where: _Where, how: How) -> Sending:
    url = where.address.url
    if how.is_dry:
        runs = _pending(stores, scope, url)
        return Sending(place=where.folder, url=url, state="waiting", runs=runs)
    courier, _ = reach(where.address, where.token)
    try:
        sender = Sender(stores, scope, courier, server=url, progress=how.progress)
        runs = sender.send()
        given_up = sender.give_up(how.give_up)
        sender.give_signs()
    finally:
        courier.close()
    state: State = "waiting" if sender.waits else "sent"
    return Sending(place=where.folder, url=url, state=state, runs=runs, given_up=given_up)


def _pending(stores: Stores, scope: Scope, url: str) -> dict[str, Tally]:
    nobody = wiring.courier(url, "")  # asked for nothing, it connects to nothing
    return Sender(stores, scope, nobody, server=url).pending()
