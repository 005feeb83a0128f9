"""Notebooks as Jupyter saves them, built from short texts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trivet.pipelines.notebooks.facts import Adopted
from trivet.pipelines.notebooks.service import Wishes, adopt_notebook

Page = str | tuple[str, ...]
"""A cell: code, words when it begins with `#md `, or code and its tags."""


def cell(page: Page, number: int) -> dict[str, Any]:
    source, *tags = (page,) if isinstance(page, str) else page
    count = next((int(tag[1:]) for tag in tags if tag.startswith("#")), number)
    tags = [tag for tag in tags if not tag.startswith("#")]
    if source.startswith("#md "):
        lines = source.removeprefix("#md ").splitlines(keepends=True)
        return {"cell_type": "markdown", "metadata": {}, "source": lines}
    return {
        "cell_type": "code",
        "metadata": {"tags": tags} if tags else {},
        "source": source.splitlines(keepends=True),
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["old\n"]}],
        "execution_count": count,
    }


def notebook(pages: tuple[Page, ...], nbformat: int = 4, language: str = "python") -> bytes:
    kernel = {"display_name": "Kernel", "language": language, "name": "python3"}
    content = {
        "cells": [cell(page, number) for number, page in enumerate(pages, 1)],
        "metadata": {"kernelspec": kernel, "language_info": {"name": language}},
        "nbformat": nbformat,
        "nbformat_minor": 5,
    }
    return json.dumps(content, ensure_ascii=False).encode()


class Desk:
    """A folder with notebooks in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, *pages: Page, name: str = "analysis.ipynb", **options: Any) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(notebook(pages, **options))
        return path

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def adopt(self, *pages: Page, name: str = "analysis.ipynb", **wishes: Any) -> Adopted:
        return adopt_notebook(self.save(*pages, name=name), self.folder, Wishes(**wishes))

    def sketch(self, *pages: Page, **wishes: Any) -> Adopted:
        """Convert without running or writing anything."""
        return self.adopt(*pages, check=False, dry_run=True, **wishes)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(folder)


@pytest.fixture
def run_source() -> Callable[[str], dict[str, Any]]:
    def run(source: str) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": "adopted"}
        exec(compile(source, "<module>", "exec"), names)  # noqa: S102  # what was written
        return names

    return run
