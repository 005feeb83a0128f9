"""Traces in MLflow's folders, of versions 2.14 to 3."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from trivet.adapters.mlflow.artifacts import LocalArtifacts
from trivet.adapters.mlflow.meta import read_meta
from trivet.adapters.mlflow.trace_items import (
    AssessmentItem,
    held_trace,
    read_assessment,
    read_trace,
)
from trivet.core.errors import Invalid
from trivet.core.moving import HeldFile, HeldTrace

_INFO: Final = "trace_info.yaml"
_FILES: Final = "artifacts"


class TraceFolders:
    """The traces of a folder of MLflow's.

    Args:
        artifacts: Where their files are.
        texts: Reads the files of a folder by their names.
        problems: Where it is said what cannot be read.
    """

    def __init__(
        self,
        artifacts: LocalArtifacts,
        texts: Callable[[Path], Mapping[str, str]],
        problems: list[str],
    ) -> None:
        self._artifacts = artifacts
        self._texts = texts
        self._problems = problems

    def traces(self, experiment: str, place: Path) -> Iterator[HeldTrace]:
        """Yield the traces of an experiment.

        Args:
            experiment: Its identifier.
            place: Its folder.
        """
        parent = place / "traces"
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            if folder.is_symlink() or not (folder / _INFO).is_file():
                continue
            held = self._trace(experiment, folder)
            if held is not None:
                yield held

    def files(self, held: HeldTrace) -> Iterable[HeldFile]:
        """List the files of a trace."""
        return self._artifacts.files(held.location) if held.location else ()

    # ------------------------------------------------------------------- inside

    def _trace(self, experiment: str, folder: Path) -> HeldTrace | None:
        info = self._read(folder / _INFO)
        if info is None:
            return None  # half written; the next import finds it whole
        message: dict[str, Any] = {
            **info,
            "tags": dict(self._texts(folder / "tags")),
            "trace_metadata": dict(self._texts(folder / "request_metadata")),
            "assessments": None,
        }
        try:
            item = read_trace(message, str(folder))
        except Invalid as error:
            self._problems.append(f"{folder} is left out: {error.message}")
            return None
        item.assessments = list(self._assessments(folder / "assessments"))
        held = held_trace(item, experiment)
        # A folder that was moved says where it was; its files are beside what it says.
        location = held.location or str(folder / _FILES)
        return msgspec.structs.replace(
            held,
            id=held.id or folder.name,
            location=location,
            imprint=self._artifacts.imprint(location),
        )

    def _assessments(self, folder: Path) -> Iterator[AssessmentItem]:
        for path in sorted(folder.glob("*.yaml")):
            said = self._read(path)
            if said is None:
                continue
            try:
                yield read_assessment(said, str(path))
            except Invalid as error:
                self._problems.append(f"{path} is left out: {error.message}")

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            return read_meta(path).values
        except (OSError, Invalid) as error:
            self._problems.append(f"{path} is left out: {error}")
            return None
