"""The front door's `open`: a project's folder, or a server's address."""

import os

from trivet.core.clock import Clock
from trivet.workspace import workspace as by_folder
from trivet.workspace.addresses import URL, is_url, read_address, token_of
from trivet.workspace.workspace import Workspace


def open(  # `trivet.open` is how it is read
    place: str | os.PathLike[str] | None = None,
    *,
    project: str | None = None,
    token: str | None = None,
    actor: str | None = None,
    clock: Clock | None = None,
) -> Workspace:
    """Open the workspace of a project's folder, or report runs to a server.

    Args:
        place: A folder inside a project (one with a `trivet.toml`); or a server's address, such as
            `http://tracking:7878` or `http://tracking:7878/churn`. None: what the environment
            variable `TRIVET_URL` says, otherwise the current folder.
        project: Another project of this folder, or of the server; the folder's own when None, or
            that of the address.
        token: What the server knows; None: what the variable `TRIVET_TOKEN` says.
        actor: In whose name facts are recorded; the operating system's user when None.
        clock: Where rooms that reason about event time get the present from.

    Raises:
        NotFound: There is no project here, or none of this name.
        Invalid: The address is none.
        Unavailable: There is no place on this machine for what is on its way to the server.

    Example:
        >>> import trivet as tv
        >>> ws = tv.open("./churn")  # doctest: +SKIP
        >>> ws.data.names()  # doctest: +SKIP
        ('customers',)
    """
    found = os.environ.get(URL) or "." if place is None else place
    if not is_url(found):
        return by_folder.open(found, project=project, actor=actor, clock=clock)
    # Loaded here, so that a folder is opened as quickly as before.
    from trivet.workspace.remote import RemoteWorkspace  # noqa: PLC0415  # as just said

    address = read_address(str(found)).within(project)
    return RemoteWorkspace(address, token_of(token), actor=actor, clock=clock)
