import pytest

from trivet.access.guesses import Guesses
from trivet.core.errors import Forbidden


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guesses(clock: Clock) -> Guesses:
    return Guesses(clock)


def spend(guesses: Guesses, user: str, address: str, most: int) -> int:
    """Guess until no more is allowed; return how often it was."""
    for count in range(most):
        try:
            guesses.spend(user, address)
        except Forbidden:
            return count
    return most


def test_who_guesses_too_much_is_told_how_long_to_wait(guesses: Guesses) -> None:
    assert spend(guesses, "anna", "a", 10) == 10
    with pytest.raises(Forbidden) as caught:
        guesses.spend("anna", "a")
    assert caught.value.code == "too-many-guesses"
    assert 1 <= caught.value.detail["retry_after_s"] <= 16


def test_a_guesser_gets_a_few_and_then_some_a_minute(guesses: Guesses, clock: Clock) -> None:
    assert spend(guesses, "anna", "a", 100) == 10
    clock.now += 60
    assert spend(guesses, "anna", "a", 100) == 4
    clock.now += 24 * 3600
    assert spend(guesses, "anna", "a", 100) == 10


def test_one_address_cannot_go_through_all_names(guesses: Guesses) -> None:
    assert sum(spend(guesses, f"user-{n}", "a", 5) for n in range(100)) == 60


def test_many_addresses_cannot_go_on_at_one_name_for_ever(guesses: Guesses, clock: Clock) -> None:
    assert sum(spend(guesses, "anna", f"a-{n}", 10) for n in range(100)) == 100
    clock.now += 60
    assert sum(spend(guesses, "anna", f"b-{n}", 10) for n in range(100)) == 30


def test_who_has_signed_in_from_an_address_is_not_held_up_by_others_guesses(
    guesses: Guesses,
) -> None:
    guesses.spend("anna", "home")
    guesses.succeed("anna", "home")
    for n in range(200):
        spend(guesses, "anna", f"a-{n}", 10)
    assert spend(guesses, "anna", "new", 1) == 0
    assert spend(guesses, "anna", "home", 1) == 1


def test_nobody_is_locked_out_for_good(guesses: Guesses, clock: Clock) -> None:
    for n in range(500):
        spend(guesses, "anna", f"a-{n % 20}", 100)
    clock.now += 20
    assert spend(guesses, "anna", "new", 1) == 1


def test_a_right_password_costs_no_guess(guesses: Guesses) -> None:
    for _ in range(500):
        guesses.spend("anna", "a")
        guesses.succeed("anna", "a")


def test_a_flood_of_names_takes_no_memory_without_end(guesses: Guesses, clock: Clock) -> None:
    for n in range(30_000):
        clock.now += 1.0
        spend(guesses, f"u-{n}", f"a-{n}", 1)
    assert len(guesses._left) <= 20_010
