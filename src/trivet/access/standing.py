"""Who somebody is, and whether what they said still counts after their token was revoked."""

import unicodedata
from datetime import datetime

from trivet.access.facts import TokenIssued, TokenRevoked
from trivet.core.facts import read
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
    """Say whether a token that somebody held when they said something was revoked since.

    Whoever revokes a token does not trust what was done with it. A token that only expired was
    trusted for as long as it held.

    Args:
        ledger: Where tokens are recorded.
        project: Whose tokens.
        name: Who said it.
        said: When.
    """
    for entry in find_all(ledger, TokenIssued.KIND, where={"name": name}, project=project):
        if entry.payload is None or entry.time > said or read(entry, TokenIssued).expires < said:
            continue
        revoked = ledger.find(TokenRevoked.KIND, where={"token": entry.id}, limit=1).entries
        if revoked and revoked[0].time >= said:
            return True
    return False


def was_handed_out_by(ledger: Ledger, project: str, name: str, giver: str, since: datetime) -> bool:
    """Say whether somebody issued a token to another name after a moment.

    Who asks for something and then issues the token by which it is approved approves it alone.

    Args:
        ledger: Where tokens are recorded.
        project: Whose tokens.
        name: Whose token.
        giver: Who may have issued it.
        since: The moment.
    """
    found = find_all(ledger, TokenIssued.KIND, where={"name": name}, project=project)
    issuers = (entry.actor for entry in found if entry.time > since)
    return any(same_person(issuer) == same_person(giver) for issuer in issuers)
