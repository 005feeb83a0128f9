import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.access.passwords import DUMMY, check_password, new_verifier, verifies
from trivet.core.errors import Corrupt, Invalid

PASSWORD = "correct horse battery staple"


def test_a_password_verifies_and_another_does_not() -> None:
    verifier = new_verifier(PASSWORD)
    assert verifies(verifier, PASSWORD)
    assert not verifies(verifier, PASSWORD + "r")
    assert not verifies(verifier, "")


def test_two_verifiers_of_one_password_differ_and_neither_holds_it() -> None:
    one, two = new_verifier(PASSWORD), new_verifier(PASSWORD)
    assert one != two
    assert PASSWORD not in one
    assert one.split("$")[:4] == ["scrypt", "15", "8", "3"]  # 32 MiB, as OWASP's sheet has it


def test_the_same_letters_from_another_keyboard_are_the_same_password() -> None:
    assert verifies(new_verifier("cafe\u0301 am Rhein 7"), "caf\u00e9 am Rhein 7")


def test_no_password_is_that_of_nobody() -> None:
    assert not verifies(DUMMY, PASSWORD)
    assert not verifies(DUMMY, "")


@pytest.mark.parametrize(
    "verifier", ["", "x", "scrypt$15$8$3$??$x", "scrypt$a$8$3$AAAA$x", "$".join("abcdefg")]
)
def test_what_is_no_verifier_is_damage_and_not_a_wrong_password(verifier: str) -> None:
    with pytest.raises(Corrupt):
        verifies(verifier, PASSWORD)


@pytest.mark.parametrize(
    "password",
    [
        *("short", "aaaaaaaaaaaa", "abababababab", "anna anna anna", "anna12345678"),
        *("trv_" + "x1y2z3" * 5, "word " * 300),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_password(password, "anna")
    assert caught.value.code == "bad-password"
    assert password not in caught.value.message


@settings(max_examples=3, deadline=None)
@given(st.text(min_size=1, max_size=30))
def test_whatever_can_be_typed_can_be_a_password(password: str) -> None:
    assert verifies(new_verifier(password), password)
