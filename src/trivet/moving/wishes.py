"""What an import is asked for."""

import msgspec


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be brought."""

    experiments: tuple[str, ...] = ()
    """Only those of these names; all when empty."""
    is_dry: bool = False
    """Only say what there is to bring."""
    with_files: bool = True
    again: bool = False
    """Look at runs and traces again whose imprints say that they did not change."""
