import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trivet.core.errors import Corrupt, Unavailable, Unsupported
from trivet.workspace.folders import claim_folder, upgrade_folder


def mark(folder: Path) -> object:
    return json.loads((folder / "format.json").read_bytes())


def test_a_folder_is_made_for_its_owner_alone_and_marked(tmp_path: Path) -> None:
    folder = tmp_path / ".trivet"
    assert claim_folder(folder, 1) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert mark(folder) == {"format": 1}
    assert claim_folder(folder, 1) == 1


def test_many_threads_may_make_a_folder_at_once(tmp_path: Path) -> None:
    def claim(number: int) -> int:
        return claim_folder(tmp_path / f"{number // 8}", 1)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(claim, range(160))) == [1] * 160


def test_a_folder_that_another_process_makes_meanwhile_is_no_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists, looked = Path.exists, list[Path]()

    def late(path: Path) -> bool:
        found = exists(path)
        if not looked:
            looked.append(path)
            claim_folder(tmp_path, 1)
            (tmp_path / "ledger").mkdir()
        return found

    monkeypatch.setattr(Path, "exists", late)
    assert claim_folder(tmp_path, 1) == 1
    assert looked == [tmp_path / "format.json"]


def test_an_older_format_is_told_and_its_mark_left_alone(tmp_path: Path) -> None:
    claim_folder(tmp_path, 1)
    assert claim_folder(tmp_path, 2) == 1
    assert mark(tmp_path) == {"format": 1}


def test_a_folder_is_marked_anew_once_it_is_upgraded(tmp_path: Path) -> None:
    claim_folder(tmp_path, 1)
    told: list[int] = []
    upgrade_folder(tmp_path, 2, told.append)
    upgrade_folder(tmp_path, 2, told.append)  # another process that waited for its turn
    assert told == [1]
    assert mark(tmp_path) == {"format": 2}


def test_an_upgrade_that_fails_begins_again_the_next_time(tmp_path: Path) -> None:
    claim_folder(tmp_path, 1)

    def failing(found: int) -> None:
        raise Corrupt(f"found {found}")

    with pytest.raises(Corrupt, match="found 1"):
        upgrade_folder(tmp_path, 2, failing)
    assert mark(tmp_path) == {"format": 1}
    told: list[int] = []
    upgrade_folder(tmp_path, 2, told.append)
    assert told == [1]


def test_one_process_at_a_time_upgrades(tmp_path: Path) -> None:
    claim_folder(tmp_path, 1)

    def another(found: int) -> None:
        assert found == 1
        with pytest.raises(Unavailable, match="another process") as caught:
            upgrade_folder(tmp_path, 2, lambda _: None)
        assert caught.value.hint

    upgrade_folder(tmp_path, 2, another)


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    claim_folder(tmp_path, 7)
    with pytest.raises(Unsupported, match="format 7; this Trivet reads up to 1") as caught:
        claim_folder(tmp_path, 1)
    assert caught.value.code == "newer-format"
    assert "newer Trivet" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"form": 1}', b'{"format": "one"}'])
def test_a_mark_that_cannot_be_read_is_not_guessed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "format.json").write_bytes(content)
    with pytest.raises((Corrupt, Unsupported)):
        claim_folder(tmp_path, 1)


def test_stores_without_a_mark_are_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    with pytest.raises(Corrupt, match=r"no format\.json"):
        claim_folder(tmp_path, 1)
    assert not (tmp_path / "format.json").exists()


def test_a_file_in_the_way_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / ".trivet").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be written") as caught:
        claim_folder(tmp_path / ".trivet", 1)
    assert caught.value.hint
