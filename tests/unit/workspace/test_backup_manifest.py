import json
from pathlib import Path

import msgspec
import pytest

from trivet.core.errors import TrivetError
from trivet.workspace.backup import BackupFile, check_backup, restore
from trivet.workspace.backup import _seal as seal
from trivet.workspace.wiring import digest_file


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "blobs/../../evil",
        "token",
        "trivet.toml",
        "hooks/post-commit",
        "",
        "blobs//x",
        "blobs\\x",
    ],
)
def test_a_backup_that_names_anything_beside_a_workspace_is_refused(
    tmp_path: Path, name: str
) -> None:
    source = tmp_path / "backup"
    (source / "blobs").mkdir(parents=True)
    planted = source / "blobs" / "planted"
    planted.write_bytes(b"planted")
    files = {name: BackupFile(*digest_file(planted))}
    manifest = {
        "format": 1,
        "made": "2026-01-01T00:00:00Z",
        "files": msgspec.to_builtins(files),
        "seal": seal(files),
    }
    (source / "backup.json").write_text(json.dumps(manifest))
    with pytest.raises(TrivetError):
        check_backup(source)
    with pytest.raises(TrivetError):
        restore(source, tmp_path / "project" / ".trivet")
    assert not (tmp_path / "project").exists()
