import stat
from pathlib import Path

import pytest

from trivet.access.tokens import new_token, read_or_create_token, token_digest
from trivet.core.errors import Corrupt


def test_the_token_file_is_the_owner_s_alone_and_stays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = read_or_create_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_create_token(path) == token
    assert [item.name for item in tmp_path.iterdir()] == ["token"]


def test_a_file_that_holds_something_else_is_not_taken_for_a_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("hello")
    with pytest.raises(Corrupt):
        read_or_create_token(path)


def test_tokens_differ_and_so_do_their_digests() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == len({token_digest(token) for token in tokens}) == 100
