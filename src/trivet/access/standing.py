"""Who somebody is, and whether what they said still counts after they lost our trust."""

import unicodedata
from collections.abc import Iterator
from datetime import datetime

from trivet.access.facts import WORKSPACE, PasswordSet, TokenIssued, TokenRevoked, User
from trivet.core.facts import Entry, Fact, read
from trivet.core.ports import Ledger
from trivet.core.search import find_all


def same_person(name: str) -> str:
    """Return the form of a name under which its spellings are one person.

    Case, width and composition of letters make no other person of anybody.

    Example:
        >>> same_person("Ada") == same_person("ａｄａ") == "ada"
        True
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def was_revoked(ledger: Ledger, project: str, name: str, said: datetime) -> bool:
    """Say whether somebody was disabled, or a token of theirs revoked, after they said something.

    Whoever revokes a token does not trust what was done with it. One that only expired was
    trusted for as long as it held, and a session that ends is no distrust.

    Args:
        ledger: Where users and tokens are recorded.
        project: In which they said it.
        name: Who said it.
        said: When.
    """
    for entry in _tokens(ledger, project, name):
        token = read(entry, TokenIssued)
        if entry.time > said or token.expires < said or token.purpose == "session":
            continue
        revoked = ledger.find(TokenRevoked.KIND, where={"token": entry.id}, limit=1).entries
        if revoked and revoked[0].time >= said:
            return True
    newest = ledger.find(User.KIND, where={"name": name}, project=WORKSPACE, limit=1).entries
    return any(each.payload is not None and read(each, User).is_disabled for each in newest)


def was_handed_out_by(ledger: Ledger, project: str, name: str, giver: str, since: datetime) -> bool:
    """Say whether somebody made another user, or gave them a token or a password, after a moment.

    Who asks for something and then issues the token by which it is approved approves it alone.

    Args:
        ledger: Where users and tokens are recorded.
        project: In which something was asked for.
        name: Whose token.
        giver: Who may have issued it.
        since: The moment.
    """
    made = (
        *_tokens(ledger, project, name),
        *_of(ledger, User, "name", name, WORKSPACE),
        *_of(ledger, PasswordSet, "user", name, WORKSPACE),
    )
    givers = (entry.actor for entry in made if entry.time > since)
    return any(same_person(each) == same_person(giver) for each in givers)


def _tokens(ledger: Ledger, project: str, name: str) -> Iterator[Entry]:
    """Yield the tokens that somebody has or had: service tokens so called, and a user's own."""
    places = ((field, place) for place in (project, WORKSPACE) for field in ("name", "user"))
    for field, place in places:
        found = _of(ledger, TokenIssued, field, name, place)
        yield from (entry for entry in found if entry.payload is not None)


def _of(ledger: Ledger, kind: type[Fact], field: str, value: str, project: str) -> Iterator[Entry]:
    return find_all(ledger, kind.KIND, where={field: value}, project=project)
