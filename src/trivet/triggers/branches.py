"""Where a branch of a repository stands, asked of the `git` program; nothing is checked out."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from trivet.core.errors import Invalid, NotFound, Unavailable, Unsupported

_TIMEOUT_S = 30.0
_URL = re.compile(r"(https?|ssh|git|file)://[^\s]+")
_SCP = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s:][^\s]*")
_LETTER = r"[^\s\x00-\x1f~^:?*\[\\]"
_BRANCH = re.compile(rf"(?![-/])(?!.*(\.\.|//|@\{{|\.lock$|/$|\.$)){_LETTER}+")
# What points git at a repository other than the one that is asked about.
_MISLEADING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
)


def check_repository(repository: str) -> None:
    """Check where a repository is.

    Raises:
        Invalid: It is neither a path nor a URL that may be asked, or it has a password in it.
    """
    if "://" in repository and not _URL.fullmatch(repository):
        raise Invalid(
            "watch is a URL that git is not asked for; expected https, ssh, git or file",
            code="bad-repository",
            hint="For example https://github.com/ada/flights.git.",
        )
    if re.match(r"https?://[^/]*@", repository):
        raise Invalid(
            "watch has a user or password in its URL; credentials are never stored",
            code="bad-repository",
            hint="Let git find them: a credential helper, or a URL with ssh.",
        )
    if repository.startswith("-") or "::" in repository:
        raise Invalid(
            f"watch {repository!r} is no repository; expected a folder or a URL",
            code="bad-repository",
            hint="The project's own repository is `.`.",
        )


def check_branch(branch: str) -> None:
    """Check a branch's name; empty means the one that is checked out there.

    Raises:
        Invalid: git would not take it.
    """
    if branch and not _BRANCH.fullmatch(branch):
        raise Invalid(
            f"branch {branch!r} is no name of a branch",
            code="bad-branch",
            hint="For example main, without refs/heads/.",
        )


class Repository:
    """A repository under watch.

    Args:
        where: A path from the project's folder, or a URL.
        folder: The project's folder.
    """

    def __init__(self, where: str, folder: Path) -> None:
        self._is_remote = bool(_URL.fullmatch(where) or _SCP.fullmatch(where))
        self._where = where if self._is_remote else str((folder / where).resolve())
        self._folder = folder

    def tip(self, branch: str) -> str:
        """Return the commit at which a branch stands, 40 hexadecimal digits or more.

        Raises:
            NotFound: There is no such repository or branch.
            Unavailable: It did not answer in time.
        """
        wanted = f"refs/heads/{branch}" if branch else "HEAD"
        if not self._is_remote and not Path(self._where).is_dir():
            raise NotFound(
                f"there is no folder {self._where!r}",
                code="no-repository",
                hint="Paths begin in the project's folder.",
            )
        done = _git("ls-remote", "--", self._top(self._where) or self._where, wanted)
        for line in done.splitlines():
            commit, _, name = line.partition("\t")
            if name == wanted:
                return commit
        raise NotFound(
            f"the repository has no branch {branch or 'that is checked out'!r}",
            code="no-branch",
            hint="List them: `git ls-remote --heads`.",
        )

    def changed(self, before: str, after: str, paths: Sequence[str]) -> tuple[str, ...] | None:
        """Return which files below paths differ between two commits, sorted.

        None when nobody can say, because the earlier commit is gone: history was rewritten.
        """
        if not self._is_remote:
            return _differing(self._where, before, after, paths)
        with TemporaryDirectory(prefix="trivet-git-") as scratch:
            _git("init", "--quiet", "--bare", scratch)
            _git("-C", scratch, "remote", "add", "origin", self._where)
            # Names are asked for, so contents are left where they are if the server can do that.
            fetch = ("fetch", "--quiet", "--no-tags", "--depth=1", "--filter=blob:none", "origin")
            _git("-C", scratch, *fetch, after)
            try:
                _git("-C", scratch, *fetch, before)
            except (NotFound, Unavailable):
                return None
            return _differing(scratch, before, after, paths)

    def checked_out(self) -> str | None:
        """Return the commit that the project's runs use, when this is the project's repository."""
        here = self._top(self._where)
        if here is None or here != self._top(str(self._folder)):
            return None
        try:
            return _git("-C", here, "rev-parse", "--verify", "HEAD").strip()
        except NotFound:
            return None

    def _top(self, folder: str) -> str | None:
        """Return the top folder of the repository around a folder; None for one without files."""
        if self._is_remote:
            return None
        try:
            return _git("-C", folder, "rev-parse", "--show-toplevel").strip()
        except (NotFound, Unavailable):
            return None


def _differing(
    folder: str, before: str, after: str, paths: Sequence[str]
) -> tuple[str, ...] | None:
    options = ("--name-only", "--no-renames", "--no-ext-diff", "-z")
    try:
        done = _git("-C", folder, "diff", *options, before, after, "--", *paths)
    except NotFound:
        return None
    return tuple(sorted(name for name in done.split("\0") if name))


def _git(*arguments: str) -> str:
    """Run git without prompts and without anything that a repository's settings could start.

    Raises:
        NotFound: git says no.
        Unavailable: It took longer than 30 s, or the other side did not answer.
        Unsupported: There is no git.
    """
    environment = {k: v for k, v in os.environ.items() if k not in _MISLEADING}
    environment |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "LC_ALL": "C",
    }
    environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=10")
    safe = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.pager=cat")
    try:
        process = subprocess.Popen(
            ["git", *safe, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise Unsupported(
            "the program git cannot be started", code="no-git", hint="Install git."
        ) from error
    try:
        output, trouble = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"git did not answer within {_TIMEOUT_S:.0f} s",
            code="git-timeout",
            hint="Look at the network and at the repository's address.",
        ) from error
    finally:
        # Also what git started: an ssh that waits would hold the pipes open.
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        raise _told(trouble.decode("utf-8", "replace"))
    return output.decode("utf-8", "surrogateescape")


def _told(trouble: str) -> NotFound | Unavailable:
    lines = [line for line in trouble.strip().splitlines() if line.strip()]
    fatal = next((line for line in lines if line.startswith(("fatal:", "ERROR:"))), "")
    said = (fatal or (lines[-1] if lines else "no reason given"))[:300]
    away = ("Could not resolve", "unable to access", "Connection", "Could not read from remote")
    if any(word in trouble for word in away):
        return Unavailable(
            f"the repository did not answer: {said}",
            code="no-repository",
            hint="Look at its address, at the network, and at what git may sign in with.",
        )
    return NotFound(
        f"git said no: {said}",
        code="no-repository",
        hint="Ask it yourself: `git ls-remote REPOSITORY`.",
    )
