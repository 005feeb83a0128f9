"""Asking the process of a subject, from the benchmark's side."""

import json
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.peers.installing import Missing, label_of, place_of

PATIENCE_S = 300


def command_of(name: str, folder: Path, *what: str) -> tuple[list[str], dict[str, str]]:
    """Return a command line and its environment variables for a subject."""
    folder.mkdir(parents=True, exist_ok=True)
    place = place_of(name, folder)
    line = [place.python, "-m", "benchmarks.peers.driver", name, str(folder), *what]
    return line, place.variables


class Talk:
    """A subject's process, open for questions.

    Args:
        name: The subject: `trivet`, or a key of `installing.PEERS`.
        folder: Its scratch folder, made when it is not there.

    Raises:
        Missing: It cannot be installed, does not start, or does not answer.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.label = label_of(name)
        line, variables = command_of(name, folder, "serve")
        self._said = folder / "said.txt"
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                line,
                env=variables,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, count: int, salt: int) -> dict[str, Any]:
        """Run a flow of 1 + count steps; return its `seconds`, `grown_mb` and `peak_mb`."""
        return self._ask([count, salt])

    def seconds(self, count: int, salt: int) -> float:
        return self.run(count, salt)["seconds"]

    def durability(self) -> str:
        """Say what a step that was done survives, as the subject's own settings have it."""
        return self._ask([])["durability"]

    def _ask(self, question: list[int]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        impatience = threading.Timer(PATIENCE_S, self._process.kill)
        impatience.start()
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            impatience.cancel()
        if not answer:
            lines = self._said.read_text("utf-8", "replace").strip().splitlines() or ["no answer"]
            raise Missing(f"{self.label}: {lines[-1][:200]}")
        return json.loads(answer)
