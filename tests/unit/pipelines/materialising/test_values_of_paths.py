"""Paths that steps return: what they point to is kept, and comes back as a copy."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.pipelines.materialising.values import Form, Values

values = Values()


def there_and_back(value: object) -> Any:
    return values.load(values.save(value, "a value"))


def digest(value: object) -> str:
    return values.digest(value, "a value")


def test_a_file_comes_back_as_a_read_only_copy_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("<p>")
    form = values.save({"report": path}, "x")
    again: Any = values.load(form)
    copy = again["report"]
    assert copy != path
    assert (copy.name, copy.read_text()) == ("report.html", "<p>")
    assert not copy.stat().st_mode & 0o222
    assert digest(copy) == digest(path)
    assert values.save(path, "x").format == "path"


def test_a_folder_comes_back_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "a.bin").write_bytes(os.urandom(100))
    (folder / "sub" / "deep" / "b.txt").write_text("ü")
    copy = there_and_back(folder)
    assert copy.name == "model"
    assert (copy / "a.bin").read_bytes() == (folder / "a.bin").read_bytes()
    assert (copy / "sub" / "deep" / "b.txt").read_text() == "ü"
    assert not (copy / "sub").stat().st_mode & 0o222
    assert digest(copy) == digest(folder)
    (folder / "a.bin").write_bytes(b"")
    assert digest(copy) != digest(folder)


def test_what_is_changed_later_does_not_change_what_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1")
    copy = there_and_back(path)
    path.write_text("2")
    assert copy.read_text() == "1"
    path.unlink()
    assert copy.read_text() == "1"


def test_an_empty_folder_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    copy = there_and_back(tmp_path / "empty")
    assert (copy.name, list(copy.iterdir())) == ("empty", [])


def test_what_is_not_there_or_no_plain_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="'absent'"):
        values.save(tmp_path / "absent", "x")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "link").symlink_to("/etc/passwd")
    with pytest.raises(Invalid, match="'link'"):
        values.save(tmp_path / "f", "x")
    with pytest.raises(Invalid, match="'link'"):
        values.save(tmp_path / "f" / "link", "x")
    (tmp_path / "project" / ".trivet").mkdir(parents=True)
    with pytest.raises(Invalid, match="whole disk"):
        values.save(tmp_path / "project", "x")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", ".", "a/../../x"])
def test_a_crafted_name_leads_nowhere(name: str) -> None:
    kind = b"file\n" + name.encode()
    with pytest.raises((Corrupt, Invalid)):
        values.load(Form("path", {"kind": kind, "content/x": b"1"}))
    if name:
        with pytest.raises((Corrupt, Invalid)):
            values.load(Form("path", {"kind": b"file\nx", f"content/{name}": b"1"}))


def test_copies_live_as_long_as_the_process(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.txt").write_text("1")
    code = (
        "import sys; from pathlib import Path;"
        "from trivet.pipelines.materialising.values import Values;"
        f"v = Values(); c = v.load(v.save(Path({str(tmp_path / 'f')!r}), 'x'));"
        "assert (c / 'a.txt').read_text() == '1'; print(c)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not Path(done.stdout.strip()).parent.exists()
