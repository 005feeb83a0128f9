"""What every `Listing` does. Subclass `ListingContract` and say how a place is filled."""

from collections.abc import Mapping

import pytest

from trivet.core.errors import Invalid, NotFound
from trivet.core.ports import Listing

FILES = {
    "a.csv": b"1",
    "b.txt": b"22",
    "deep/er/c.csv": b"333",
    "deep/ä €.csv": b"",
    "x y.csv": b"4",
}


class ListingContract:
    """The suite. Subclasses give the fixtures `listing` and `place`, and the methods below."""

    malformed: tuple[str, ...] = ()
    """Places that are refused."""

    def put(self, place: str, name: str, content: bytes) -> None:
        """Make a file or object below a place, whole at once."""
        raise NotImplementedError

    def remove(self, place: str, name: str) -> None:
        """Remove it."""
        raise NotImplementedError

    @pytest.fixture
    def listing(self) -> Listing:
        """Make the adapter."""
        raise NotImplementedError

    @pytest.fixture
    def place(self) -> str:
        """Name a place that exists and is empty."""
        raise NotImplementedError

    def fill(self, place: str, files: Mapping[str, bytes] = FILES) -> None:
        """Make several."""
        for name, content in files.items():
            self.put(place, name, content)

    def test_an_empty_place_has_nothing(self, listing: Listing, place: str) -> None:
        assert list(listing.list(place)) == []

    def test_everything_below_is_listed_with_its_size(self, listing: Listing, place: str) -> None:
        self.fill(place)
        found = {item.name: item.size_bytes for item in listing.list(place)}
        assert found == {name: len(content) for name, content in FILES.items()}

    def test_without_depth_only_what_lies_in_it(self, listing: Listing, place: str) -> None:
        self.fill(place)
        found = {item.name for item in listing.list(place, deep=False)}
        assert found == {"a.csv", "b.txt", "x y.csv"}

    def test_a_place_may_be_a_folder_of_another(self, listing: Listing, place: str) -> None:
        self.fill(place)
        assert [item.name for item in listing.list(f"{place}/deep/er")] == ["c.csv"]

    def test_what_did_not_change_is_listed_the_same(self, listing: Listing, place: str) -> None:
        self.fill(place)
        first = sorted(listing.list(place), key=lambda item: item.name)
        assert sorted(listing.list(place), key=lambda item: item.name) == first

    def test_a_change_of_content_changes_the_stamp_or_size(
        self, listing: Listing, place: str
    ) -> None:
        self.fill(place)
        before = {item.name: item for item in listing.list(place)}
        self.put(place, "a.csv", b"9")
        after = {item.name: item for item in listing.list(place)}
        assert {name for name in before if before[name] != after[name]} == {"a.csv"}

    def test_what_was_removed_is_gone(self, listing: Listing, place: str) -> None:
        self.fill(place)
        self.remove(place, "b.txt")
        assert "b.txt" not in {item.name for item in listing.list(place)}

    def test_hidden_names_are_left_out(self, listing: Listing, place: str) -> None:
        self.fill(place, {".a.csv.part": b"1", ".tmp/b.csv": b"1", "c.csv": b"1"})
        assert [item.name for item in listing.list(place)] == ["c.csv"]

    def test_more_than_a_page_is_listed(self, listing: Listing, place: str) -> None:
        names = {f"{number:04}.csv" for number in range(1100)}
        self.fill(place, dict.fromkeys(names, b"x"))
        assert {item.name for item in listing.list(place)} == names

    def test_a_place_that_does_not_exist_is_said(self, listing: Listing, missing: str) -> None:
        with pytest.raises(NotFound) as caught:
            list(listing.list(missing))
        assert caught.value.hint

    def test_a_malformed_place_is_refused(self, listing: Listing) -> None:
        for place in self.malformed:
            with pytest.raises(Invalid) as caught:
                list(listing.list(place))
            assert caught.value.hint

    @pytest.fixture
    def missing(self) -> str:
        """Name a place that does not exist."""
        raise NotImplementedError
