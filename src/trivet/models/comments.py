"""Comments on versions and models: written, reworded and withdrawn; every wording stays."""

from typing import Final

from trivet.core.errors import Forbidden, Invalid, NotFound
from trivet.core.facts import Entry, Scope, draft, read
from trivet.core.ids import check_id
from trivet.core.ports import Stores
from trivet.core.search import find_all
from trivet.models.references import Finder
from trivet.models.remarks import Comment, Commented, Wording

_MOST: Final = 20_000


class Comments:
    """The comments of one project.

    Args:
        stores: Where they are recorded.
        scope: Project and actor.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._ledger = stores.ledger
        self._scope = scope
        self._finder = Finder(stores, scope.project)

    def write(self, reference: str, text: str) -> Comment:
        """Comment on a version, or with a name alone on a model, in one's own name.

        Raises:
            NotFound: There is no such version or model.
            Invalid: The text is empty or has more than 20,000 characters.
        """
        subject = self._finder.subject(reference)
        said = draft(Commented(subject=subject.id, text=_text(text)), parents=[subject.id])
        self._ledger.commit(self._scope.batch(f"comment on {subject.label}", [said]))
        return self.get(said.id)

    def edit(self, comment: str, text: str) -> Comment:
        """Give one's own comment another wording; the earlier one stays on record.

        Raises:
            NotFound: There is no such comment.
            Forbidden: It is somebody else's (code `not-yours`).
            Invalid: The text will not do, or it was withdrawn.
        """
        return self._reword(comment, _text(text), is_withdrawn=False)

    def withdraw(self, comment: str) -> Comment:
        """Withdraw one's own comment; what it said stays on record.

        Raises:
            NotFound, Forbidden, Invalid: As `edit`.
        """
        return self._reword(comment, "", is_withdrawn=True)

    def get(self, comment: str) -> Comment:
        """Return a comment as it stands.

        Raises:
            NotFound: There is none of this identifier in this project.
        """
        entry = self._ledger.get(check_id(comment, "comment"))
        if entry is None or entry.project != self._scope.project or entry.payload is None:
            raise _no_comment(comment)
        if entry.kind != Commented.KIND or read(entry, Commented).comment is not None:
            raise _no_comment(comment)
        return self._comment(entry)

    def about(self, subject: str) -> tuple[Comment, ...]:
        """Return the comments on a version or a model, by its fact, the oldest first."""
        found = find_all(
            self._ledger,
            Commented.KIND,
            where={"subject": subject},
            project=self._scope.project,
        )
        first = (entry for entry in found if entry.payload is not None)
        return tuple(
            self._comment(entry) for entry in first if read(entry, Commented).comment is None
        )

    # ------------------------------------------------------------------- inside

    def _reword(self, comment: str, text: str, *, is_withdrawn: bool) -> Comment:
        known = self.get(comment)
        if known.by != self._scope.actor:
            raise Forbidden(
                f"the comment {comment} is {known.by}'s",
                code="not-yours",
                hint="Write one of your own.",
            )
        if known.is_withdrawn:
            raise Invalid(f"the comment {comment} was withdrawn", code="withdrawn")
        later = Commented(
            subject=known.subject, text=text, comment=comment, is_withdrawn=is_withdrawn
        )
        word = "withdraw" if is_withdrawn else "reword"
        batch = self._scope.batch(f"{word} a comment", [draft(later, parents=[comment])])
        self._ledger.commit(batch)
        return self.get(comment)

    def _comment(self, entry: Entry) -> Comment:
        later = find_all(
            self._ledger,
            Commented.KIND,
            where={"comment": entry.id},
            project=self._scope.project,
        )
        said = (entry, *(e for e in later if e.payload is not None and e.actor == entry.actor))
        wordings = [(each, read(each, Commented)) for each in said]
        earlier = (Wording(text=text.text, time=each.time) for each, text in wordings[:-1])
        _, now = wordings[-1]
        return Comment(
            id=entry.id,
            subject=now.subject,
            by=entry.actor,
            time=entry.time,
            text=now.text,
            is_withdrawn=now.is_withdrawn,
            earlier=tuple(earlier),
        )


def _text(text: str) -> str:
    plain = text.strip()
    if not 0 < len(plain) <= _MOST:
        raise Invalid(
            f"the comment has {len(plain)} characters; expected 1 to {_MOST:,}",
            code="bad-comment",
            hint="Write something; what is longer belongs into a file.",
        )
    return plain


def _no_comment(comment: str) -> NotFound:
    return NotFound(
        f"no comment {comment}", code="no-comment", hint="`trivet models history` names them."
    )
