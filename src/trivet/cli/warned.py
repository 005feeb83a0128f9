"""Warnings of the rooms, as a person at a terminal reads them."""

import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from trivet.models.remarks import DeprecatedModel


@contextmanager
def told_warnings() -> Generator[None]:
    """Say on the terminal's error stream what is deprecated; other warnings go their own way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecatedModel)
        yield
    for warning in caught:
        if issubclass(warning.category, DeprecatedModel):
            print(f"warning: {warning.message}", file=sys.stderr)
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
