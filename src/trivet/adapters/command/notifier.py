"""A message as JSON on the standard input of a program; no shell lies between."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trivet.core.errors import Invalid, Unavailable
from trivet.core.ports import Message

_TAIL = 500


class CommandNotifier:
    """Runs a program per message; exit code 0 says that it took it.

    In its environment `TRIVET_NOTIFY_KEY`, `_EVENT` and `_TITLE` say the most important.

    Args:
        arguments: The program and its arguments.
        folder: Where it runs.
    """

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self._arguments = list(arguments)
        self._folder = folder

    def send(self, message: Message, *, timeout_s: float) -> None:
        told = {
            "TRIVET_NOTIFY_KEY": message.key,
            "TRIVET_NOTIFY_EVENT": message.event,
            "TRIVET_NOTIFY_TITLE": message.title.replace("\0", ""),
        }
        program = self._arguments[0]
        try:
            done = subprocess.run(
                self._arguments,
                input=msgspec.json.encode(message),
                cwd=self._folder,
                env={**os.environ, **told},
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(
                f"{program} took longer than {timeout_s:.0f} s",
                code="no-answer",
                hint="It is tried again; raise timeout_s in notify.toml.",
            ) from error
        except OSError as error:
            raise Invalid(
                f"{program} cannot be started: {error.strerror}",
                code="not-taken",
                hint="Check command in notify.toml, then `trivet notify retry KEY`.",
            ) from error
        if done.returncode:
            said = (done.stderr or done.stdout)[-_TAIL:].decode(errors="replace").strip()
            raise Unavailable(
                f"{program} ended with exit code {done.returncode}: {said}",
                code="no-answer",
                hint="It is tried again.",
            )
