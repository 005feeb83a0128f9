import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.core.ports import Listed
from trivet.triggers.listings import MOST_FILES, Place, compare, in_words, parse_place, stamps_of


@pytest.mark.parametrize(
    ("text", "folder", "pattern", "is_deep"),
    [
        ("incoming", "incoming", None, True),
        ("incoming/*.csv", "incoming", "*.csv", False),
        ("*.csv", ".", "*.csv", False),
        ("/data/in/**/*.csv", "/data/in", "**/*.csv", True),
        ("/*.csv", "/", "*.csv", False),
        ("in/20[0-9][0-9]/x.csv", "in", "20[0-9][0-9]/x.csv", True),
        ("s3://bucket/in/*.csv", "s3://bucket/in", "*.csv", False),
        ("s3://bucket", "s3://bucket", None, True),
    ],
)
def test_a_place_is_a_folder_and_a_pattern(
    text: str, folder: str, pattern: str | None, is_deep: bool
) -> None:
    place = parse_place(text)
    assert (place, place.is_deep) == (Place(folder, pattern), is_deep)


@pytest.mark.parametrize("text", ["s3://*/in", "in/[z-a]*"])
def test_a_place_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_place(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.csv", "a.csv"),
        ("**/*.csv", "a.csv b/c.csv b/d/e.csv"),
        ("**", "a.csv a.txt b/c.csv b/d/e.csv x1.csv.gz"),
        ("*/*.csv", "b/c.csv"),
        ("[!b].csv", "a.csv"),
        ("?.???", "a.csv a.txt"),
        ("x[0-9].*", "x1.csv.gz"),
    ],
)
def test_a_pattern_matches_as_in_a_shell(pattern: str, names: str) -> None:
    files = [Listed(n, 1, "s") for n in ("a.csv", "a.txt", "b/c.csv", "b/d/e.csv", "x1.csv.gz")]
    assert set(stamps_of(files, Place("in", pattern))) == set(names.split())


def test_more_files_than_can_be_compared_are_refused() -> None:
    files = (Listed(f"{number}", 1, "s") for number in range(MOST_FILES + 1))
    with pytest.raises(Invalid, match="more than 100000 files"):
        stamps_of(files, Place("in", None))


listings = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123"))


@given(now=listings, last=listings, acted=listings)
def test_a_file_is_new_once_and_only_when_it_is_whole(
    now: dict[str, str], last: dict[str, str], acted: dict[str, str]
) -> None:
    found = compare(now, last, acted)
    new = {name for name in now if acted.get(name) != now[name]}
    assert set(found.fresh) | set(found.unsettled) == new
    assert not set(found.fresh) & set(found.unsettled)
    assert all(now[name] == last.get(name) for name in found.fresh)
    assert (found.mark is None) is (not found.fresh)
    # Once acted on, nothing of it is new again; what was being written still is.
    after = compare(now, now, found.acted)
    assert set(after.fresh) == set(found.unsettled)
    assert compare(now, None, after.acted).fresh == ()


@given(now=listings, acted=listings)
def test_a_mark_names_files_and_their_state(now: dict[str, str], acted: dict[str, str]) -> None:
    found = compare(now, None, acted)
    again = compare(dict(reversed(now.items())), None, acted)
    assert found.mark == again.mark
    if found.fresh:
        changed = now | {found.fresh[0]: "other"}
        assert compare(changed, None, acted).mark != found.mark


def test_a_few_names_are_shown_and_the_rest_counted() -> None:
    assert in_words(("a", "b")) == "a, b"
    assert in_words(tuple("abcde")) == "a, b, c and 2 more"
