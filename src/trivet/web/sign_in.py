"""All routes by which people come in: with a password, or by way of a provider."""

from functools import cache

from trivet.access.provider import Provider
from trivet.http.application import Handler
from trivet.http.routes import Route
from trivet.web.login import login_routes
from trivet.web.sessions import session_routes
from trivet.workspace import wiring
from trivet.workspace.doorkeeper import Doorkeeper
from trivet.workspace.workspace import Workspace


def sign_in_routes(workspace: Workspace, keeper: Doorkeeper) -> tuple[Route[Handler], ...]:
    """Build the routes about who one is; the provider is made when somebody first goes there."""

    @cache
    def provider() -> Provider | None:
        return wiring.provider(workspace.settings.sign_in)

    return (*session_routes(workspace, keeper), *login_routes(workspace, provider))
