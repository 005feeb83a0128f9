"""Builds notebooks as Jupyter saves them."""

import json
from pathlib import Path
from typing import Any


def code(source: str, *tags: str, count: int | None = None) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)} if tags else {},
        "source": source.splitlines(keepends=True),
        "outputs": [],
        "execution_count": count,
    }


def words(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source.splitlines(keepends=True)}


def notebook(*cells: dict[str, Any] | str, nbformat: int = 4) -> bytes:
    made = [code(cell) if isinstance(cell, str) else cell for cell in cells]
    for number, cell in enumerate(made, 1):
        if cell["cell_type"] == "code" and cell["execution_count"] is None:
            cell["execution_count"] = number
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return json.dumps(
        {
            "cells": made,
            "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
            "nbformat": nbformat,
            "nbformat_minor": 5,
        }
    ).encode()


def save(folder: Path, name: str, *cells: dict[str, Any] | str) -> Path:
    path = folder / name
    path.write_bytes(notebook(*cells))
    return path
