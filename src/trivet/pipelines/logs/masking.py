"""What never enters a stored line.

Values of secret variables, passwords in addresses, and the control sequences by which a line could
act on the terminal that shows it later.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress

_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|KEY", re.IGNORECASE)
_SHORTEST = 6
"""Shorter values (`1`, `true`) are words of ordinary lines; masking them would hide nothing."""
_MASK = "***"
_PASSWORD_IN_ADDRESS = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)")
_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, movements
    r"|\x1b[\]P^_X].*?(?:\x07|\x1b\\|$)"  # titles, links, device strings
    r"|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class Mask:
    """Replaces secrets in text.

    Args:
        environment: The variables; those with a telling name (TOKEN, SECRET, PASSWORD, KEY, ...)
            and a value of at least six characters are secrets, each line of a longer value too.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = (value for name, value in environment.items() if _SECRET_NAME.search(name))
        parts = {line.strip() for value in values for line in value.splitlines()}
        # The longest first: one secret may begin with another.
        found = sorted((part for part in parts if len(part) >= _SHORTEST), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, found))) if found else None

    def __call__(self, text: str) -> str:
        """Return the text with secrets masked."""
        if self._secrets is not None:
            text = self._secrets.sub(_MASK, text)
        if "://" in text:
            text = _PASSWORD_IN_ADDRESS.sub(rf"\g<1>{_MASK}", text)
        return text


def without_secrets(text: str) -> str:
    """Return lines of text with this process's secrets masked, and without terminal sequences."""
    return plain(Mask(environment_now())(text))


def environment_now() -> dict[str, str]:
    """Copy this process's environment, which a thread of a flow may be changing in this moment."""
    while True:
        with suppress(KeyError, RuntimeError):
            return dict(os.environ)


def plain(text: str) -> str:
    r"""Return lines of text without terminal sequences.

    Example:
        >>> plain("one\r\n\x1b[31mtwo")
        'one\ntwo'
    """
    return "\n".join(map(without_controls, text.split("\n")))


def without_controls(text: str) -> str:
    r"""Return one line without terminal sequences; of what was overwritten the last stays.

    Example:
        >>> without_controls("10 %\r\x1b[32m20 %\x1b[0m")
        '20 %'
    """
    if "\r" in text:
        text = text.rstrip("\r").rpartition("\r")[2]
    if "\x1b" in text:
        text = _SEQUENCES.sub("", text)
    return _CONTROLS.sub("", text)
