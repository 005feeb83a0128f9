import posixpath
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.tracking.paths import clean_path, folders_of

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\#%"),
    min_size=1,
    max_size=20,
).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=6).map("/".join).filter(lambda path: path[1:2] != ":")


@given(path=PATHS, rounds=st.integers(0, 4))
def test_a_path_is_the_same_however_often_it_was_percent_encoded(path: str, rounds: int) -> None:
    encoded = path
    for _ in range(rounds):
        encoded = quote(encoded, safe="/")
    assert clean_path(encoded) == path
    assert clean_path(f"{encoded}/", is_folder=True) == path


@given(text=st.text(max_size=60) | st.text("./\\%25EFCc:#a", max_size=30))
def test_whatever_is_accepted_stays_below_any_folder_on_any_system(text: str) -> None:
    try:
        path = clean_path(text)
    except Invalid:
        return
    assert clean_path(path) == path
    joined = posixpath.normpath(posixpath.join("/base", path))
    assert joined == f"/base/{path}"
    assert not PurePosixPath(path).is_absolute()
    windows = PureWindowsPath(path)
    assert not windows.drive
    assert not windows.is_absolute()
    assert ".." not in windows.parts


@pytest.mark.parametrize(
    "path",
    [
        "a%00b",
        "a%0ab",
        "%c3%28",
        "%ff",
        "loss%dev.png",
        "dogs%step%0%timestamp%1795%2b1c.png",
        "9%",
    ],
)
def test_percent_signs_that_stand_for_no_text_are_part_of_a_name(path: str) -> None:
    assert clean_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", "a//b", "a/", "./a", "a/.", ".",
        "a\\b", "..\\x", "C:/x", "c:x", "C:", "a#b", "#", "a\0b", "a\nb", "a\x7fb", "a\x85b",
        "\ud800", "%2e%2e/x", "%252e%252e%252fx", "%25252e%25252e/x", "a/%2e%2e/b", "%2Fetc",
        "a%2f%2fb", "a%5cb", "a%23b", "%43:/x", "%2e%2e%2f%17", "%ff/%2e%2e/x", "%00/%252e%252e/x",
        "n" * 256, "ä" * 128, "/".join("a" * 101), "/".join(["n" * 250] * 17),
        "%" + "25" * 20 + "2e",
    ],
)  # fmt: skip
def test_what_is_no_relative_path_of_plain_names_is_refused(path: str) -> None:
    with pytest.raises(Invalid) as caught:
        clean_path(path)
    assert caught.value.code == "bad-path"


@pytest.mark.parametrize(
    "path",
    [
        "a", "a/b.txt", "...", ".hidden", "a..b", "ä/ö.png", "画像/猫.png", "a b", "50%_done",
        "a?b", "a&b=c;d", "x" * 255, "\xe9", "e\u0301", "A/a", "ab:c", "'\"", "~", "-", "CON",
    ],
)  # fmt: skip
def test_names_that_people_give_are_kept_letter_by_letter(path: str) -> None:
    assert clean_path(path) == path


def test_a_folder_may_be_the_uppermost_one() -> None:
    assert clean_path("", is_folder=True) == clean_path("/", is_folder=True) == ""
    for path in ("//", "a//", "/a/", "..", "a/../"):
        with pytest.raises(Invalid):
            clean_path(path, is_folder=True)


def test_the_folders_of_a_path_are_named_from_above() -> None:
    assert list(folders_of("a/b/c.txt")) == ["a", "a/b"]
    assert list(folders_of("c.txt")) == []
