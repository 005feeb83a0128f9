"""Change notes are named and written as `changes/README.md` asks."""

import re
import tomllib
from pathlib import Path


def test_every_change_note_has_a_known_kind_and_says_something(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    kinds = {kind["directory"] for kind in project["tool"]["towncrier"]["type"]}
    for path in (root / "changes").iterdir():
        if path.name in {"README.md", ".gitkeep"}:
            continue
        named = re.fullmatch(r"\+[a-z0-9]+(?:-[a-z0-9]+)*\.([a-z]+)\.md", path.name)
        assert named, f"{path.name}: name it +SLUG.KIND.md"
        assert named[1] in kinds, f"{path.name}: the kind is one of {sorted(kinds)}"
        text = path.read_text("utf-8").strip()
        assert text.endswith("."), f"{path.name}: one sentence or two, ended by a full stop"
        assert len(text) <= 400, f"{path.name}: one sentence or two; the docs hold the rest"
