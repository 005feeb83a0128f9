"""The doorkeeper: who knocks at a server's door, remembered until anything about access changes.

Every change by any process moves the version of the access record, and asking for it costs a few
microseconds: what was remembered is dropped at the first request after a token was revoked, a user
disabled or a role taken away.
"""

import asyncio
import secrets
import threading
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from typing import Final

from trivet.access.guesses import Guesses
from trivet.access.permissions import Principal, RoleName
from trivet.access.service import Known, bad_token
from trivet.access.tokens import PREFIX, read_or_create_token, token_digest
from trivet.core.clock import Clock, to_micros
from trivet.core.errors import NotFound, TrivetError, Unavailable
from trivet.http.guards import Knock
from trivet.workspace.workspace import Workspace

_MOST_KNOWN: Final = 10_000
_USED_MICROS: Final = 60_000_000
"""How exact the time is at which a token was last used, in microseconds."""
_CHECKERS: Final = 2
"""Passwords that are looked at together: each takes a core and 32 MiB for a fifth of a second."""
_MOST_WAITING: Final = 50
_PASSWORD_S: Final = 900.0
"""How long a right password is remembered, in seconds: every request of some clients has one."""


class Doorkeeper:
    """Knows who holds which token or password: the folder's own, then those that were issued.

    Args:
        workspace: Whose users and tokens count.
        trust_s: For how long the record is not asked again, in seconds: by so much a change may
            be seen too late. 0 asks at every request.
    """

    def __init__(self, workspace: Workspace, *, trust_s: float = 0.0) -> None:
        self._workspace = workspace
        self._access = workspace.access
        self._clock: Clock = workspace.clock
        self._own_project = workspace.scope.project
        own = read_or_create_token(workspace.opened.folder / "token")
        self._own = token_digest(own)
        self._owner = Principal(name=workspace.scope.actor, role="owner", proof="folder")
        self._version: str | None = None
        self._trust_s = trust_s
        self._look_at = 0.0
        self._known: dict[tuple[str, str], Known] = {}
        self._people: dict[tuple[str, str], Principal] = {}
        self._projects: dict[str, bool] = {}
        self._guesses = Guesses()
        self._key = secrets.token_bytes(32)
        self._passwords: dict[bytes, tuple[float, str]] = {}
        self._checking: dict[bytes, asyncio.Future[str]] = {}
        # Threads of their own: whoever guesses keeps nobody waiting who does something else.
        self._checkers = ThreadPoolExecutor(_CHECKERS, thread_name_prefix="passwords")
        self._waiting = 0
        self._used = _LastUsed(workspace)

    def principal_of(self, knock: Knock) -> Principal | Awaitable[Principal]:
        """Return who knocks, at once for whoever is remembered or shows a token.

        Raises:
            Forbidden: What they show is not valid (`bad-token`).
            NotFound: The path names a project that is not there, or in which they are nobody.
        """
        self._look()
        if knock.way == "own":
            return self._placed(knock, self._owner)
        if knock.way == "basic" and not knock.secret.startswith(PREFIX):
            return self._of_password(knock)
        return self._placed(knock, self._of_token(knock))

    def close(self) -> None:
        """Write down what is still to be written about tokens."""
        self._checkers.shutdown()
        self._used.close()

    async def leave(self) -> None:
        """Close, while the loop goes on."""
        await asyncio.to_thread(self.close)

    def _look(self) -> None:
        if self._trust_s:
            now = time.monotonic()
            if now < self._look_at:
                return
            self._look_at = now + self._trust_s
        try:
            version = self._access.version()
        except Unavailable:
            # Nobody can have written to what nobody can read: what is remembered still holds.
            return
        if version != self._version:
            self._known.clear()
            self._people.clear()
            self._projects.clear()
            self._passwords.clear()
            self._version = version

    def _of_token(self, knock: Knock) -> Principal:
        digest = token_digest(knock.secret)
        # Digests are compared, not tokens: what a timing could reveal of one is of no use.
        if digest == self._own:
            if knock.way == "cookie":
                raise bad_token()
            return self._owner
        project = knock.project or self._own_project
        known = self._known.get((digest, project))
        now = to_micros(self._clock.now())
        if known is None:
            known = self._access.known(knock.secret, project)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[digest, project] = known
        # A browser's cookie is good for nothing else, and nothing else for a cookie.
        if known.expires_micros <= now or (known.purpose == "session") is not (
            knock.way == "cookie"
        ):
            raise bad_token()
        self._used.note(known.token, now)
        return known.principal

    def _of_password(self, knock: Knock) -> Principal | Awaitable[Principal]:
        words = f"{len(knock.user)}:{knock.user}{knock.secret}".encode("utf-8", "surrogateescape")
        # Keyed with what this process alone has, and has in memory alone.
        proof = blake2b(words, key=self._key, digest_size=32).digest()
        found = self._passwords.get(proof)
        if found is not None and found[0] > time.monotonic():
            return self._placed(knock, self._user(found[1], knock.project))
        return self._check_password(knock, proof)

    async def _check_password(self, knock: Knock, proof: bytes) -> Principal:
        before = self._version
        # Many workers of one program begin at once with the same password: it is looked at once.
        checking = self._checking.get(proof)
        if checking is None:
            checked = self.check_password(knock.user, knock.secret, knock.address)
            checking = self._checking[proof] = asyncio.ensure_future(checked)
            checking.add_done_callback(lambda _: self._checking.pop(proof, None))
        name = await asyncio.shield(checking)
        if len(self._passwords) >= _MOST_KNOWN:
            self._passwords.clear()
        if self._version == before:  # what was right before a change need not be right after it
            self._passwords[proof] = (time.monotonic() + _PASSWORD_S, name)
        return self._placed(knock, self._user(name, knock.project))

    async def check_password(self, user: str, password: str, address: str) -> str:
        """Return the name of the user whose password this is.

        Raises:
            Forbidden: It is not (`bad-token`), or too many were tried (`too-many-guesses`).
            Unavailable: Too many are waiting to be looked at.
        """
        if self._waiting >= _MOST_WAITING:
            raise Unavailable("too many passwords are waiting to be looked at", code="busy")
        self._guesses.spend(user, address)
        self._waiting += 1
        try:
            check = self._access.users.check_password
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._checkers, check, user, password)
        finally:
            self._waiting -= 1
        self._guesses.succeed(user, address)
        return found.name

    def _user(self, name: str, project: str | None) -> Principal:
        place = project or self._own_project
        found = self._people.get((name, place))
        if found is None:
            users = self._access.users
            user = users.get(name)
            if user.is_disabled:
                raise bad_token()
            role = users.role(user, place)
            found = Principal(name=name, role=role, user=name, proof="password")
            if len(self._people) >= _MOST_KNOWN:
                self._people.clear()
            self._people[name, place] = found
        return found

    def role_in(self, knock: Knock, project: str) -> RoleName | None:
        """Return the role, in some project, of whoever was let in with this."""
        if knock.way == "own":
            return self._owner.role
        if knock.way == "basic" and not knock.secret.startswith(PREFIX):
            users = self._access.users
            return users.role(users.get(knock.user), project)
        there = Knock(knock.secret, knock.way, project=project)
        return self._of_token(there).role

    def _placed(self, knock: Knock, principal: Principal) -> Principal:
        """Return the principal when the project of the path is there for them."""
        project = knock.project
        if project is not None and (principal.role is None or not self._has(project)):
            raise no_project()
        return principal

    def _has(self, project: str) -> bool:
        found = self._projects.get(project)
        if found is None:
            found = self._access.projects.has(project)
            if len(self._projects) >= _MOST_KNOWN:
                self._projects.clear()
            self._projects[project] = found
        return found


def no_project() -> NotFound:
    """Return the error for a project that is not there, or not for whoever asks: it is the same."""
    return NotFound(
        "there is no such project, or you have no role in it",
        code="no-project",
        hint="Ask an admin: `trivet projects list` and `trivet users list` tell what there is.",
    )


class _LastUsed:
    """When tokens were last used: written once a minute at most, and nobody waits for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._access = workspace.access
        self._noted: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._lock = threading.Lock()
        self._writer: ThreadPoolExecutor | None = None

    def note(self, token: str, at_micros: int) -> None:
        if at_micros - self._noted.get(token, -_USED_MICROS) < _USED_MICROS:
            return
        if len(self._noted) >= _MOST_KNOWN:
            self._noted.clear()
        self._noted[token] = at_micros
        with self._lock:
            self._waiting[token] = at_micros
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, thread_name_prefix="last-used")
            self._writer.submit(self._write)

    def close(self) -> None:
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            writer.shutdown()

    def _write(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if waiting:
            with suppress(TrivetError):  # a time that is missing harms nobody
                self._access.note_used(waiting)
