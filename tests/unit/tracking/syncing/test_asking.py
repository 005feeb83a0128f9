"""Questions to a server."""

from typing import cast

import pytest

from trivet.core.courier import Courier
from trivet.core.errors import Invalid
from trivet.tracking.syncing.asking import ask
from trivet.tracking.syncing.wire import PageThere, Wish


def test_what_is_no_text_is_not_asked_for() -> None:
    nobody = cast("Courier", None)
    with pytest.raises(Invalid, match=r"has '\\udcff' at 8, which is no character"):
        ask(nobody, "POST", "/sync/search", PageThere, Wish(filters=("name = '\udcff'",)))
