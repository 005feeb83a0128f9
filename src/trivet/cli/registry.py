"""`trivet models alias`, `deprecate`, `comment`, `delete` and `history`: versions of all kinds."""

from argparse import Namespace
from collections.abc import Iterable

import msgspec

from trivet.cli.approvals import requests_table
from trivet.cli.choosing import open_chosen
from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import table
from trivet.cli.warned import told_warnings
from trivet.core.errors import Invalid, NotFound
from trivet.models.approvals import Approval
from trivet.models.chronicle import Chronicle, Event
from trivet.models.facts import AliasMove
from trivet.models.moving import warn_of_deprecation
from trivet.models.references import Subject
from trivet.models.remarks import Comment, Deprecation
from trivet.models.standing import deprecation_of
from trivet.workspace.registering import registry_doors
from trivet.workspace.workspace import Workspace


def _alias(options: Namespace) -> Answer:
    with told_warnings(), open_chosen(options) as ws:
        version = ws.models.finder.version(options.model)
        if not options.reason.strip():
            raise Invalid("the reason is empty", code="no-reason", hint="Say why it moves.")
        if version.is_packaged:
            model = ws.models.get(version.id)
            force = options.force or ""
            ws.models.set_alias(version.name, options.alias, model, options.reason, force=force)
            return Answer(model, f"{version.name}@{options.alias} is {model.label} now")
        names, _ = registry_doors(ws.stores, ws.scope)
        names.set_alias(
            version.name,
            options.alias,
            version.number,
            reason=options.reason,
            force=options.force or "",
        )
        warn_of_deprecation(ws.stores.ledger, ws.scope.project, version.id, version.label)
    return Answer(version, f"{version.name}@{options.alias} is {version.label} now")


class _Said(msgspec.Struct, frozen=True):
    subject: str
    label: str
    deprecation: Deprecation | None


def _deprecate(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        deprecations = ws.models.deprecations
        if options.undo:
            subject = deprecations.lift(options.model, options.why or "")
            said = _Said(subject.id, subject.label, None)
            return Answer(said, f"{subject.label} is deprecated no longer")
        if not options.why:
            raise Invalid("--why is not given", code="bad-arguments", hint="Say why.")
        found = deprecations.deprecate(
            options.model,
            options.why,
            instead=options.instead or "",
            force=options.force or "",
        )
        subject = ws.models.finder.subject(options.model)
    return Answer(_Said(subject.id, subject.label, found), f"{subject.label} is {found}")


def _comment(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        comments = ws.models.comments
        if options.withdraw:
            found = comments.withdraw(options.subject)
        elif not options.text:
            return _comments(ws, options.subject)
        elif options.edit:
            found = comments.edit(options.subject, options.text)
        else:
            found = comments.write(options.subject, options.text)
    word = "withdrawn" if options.withdraw else "reworded" if options.edit else "written"
    return Answer(found, f"comment {found.id} {word}")


def _comments(ws: Workspace, reference: str) -> Answer:
    found = ws.models.comments.about(ws.models.finder.subject(reference).id)
    rows = [(each.id, f"{each.time:%Y-%m-%d %H:%M}", each.by, _shown(each)) for each in found]
    return Answer(found, table(("comment", "time", "by", "text"), rows, empty="no comments"))


def _shown(comment: Comment) -> str:
    if comment.is_withdrawn:
        return "(withdrawn)"
    edits = f" (edited {len(comment.earlier)} times)" if comment.earlier else ""
    return f"{comment.text}{edits}"


def _delete(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        subject = ws.models.finder.subject(options.model)
        names, versions = registry_doors(ws.stores, ws.scope)
        if subject.version is not None:
            versions.delete(subject.version.name, subject.version.number)
        elif options.all:
            names.delete(subject.registered.name)
        else:
            raise Invalid(
                f"{options.model!r} names a model with all its versions",
                code="bad-arguments",
                hint="Name a version, as name:3; or say --all.",
            )
    return Answer({"deleted": subject.label}, f"{subject.label} is deleted; its records stay")


class _History(msgspec.Struct, frozen=True):
    moves: tuple[AliasMove, ...]
    requests: tuple[Approval, ...]
    events: tuple[Event, ...]
    comments: tuple[Comment, ...]
    deprecation: Deprecation | None


def _history(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        subject, alias = _asked(ws, options.name)
        name = subject.registered.name if subject else options.name.rpartition("@")[0]
        chronicle = Chronicle(ws.stores.ledger, ws.scope.project)
        aliases = (alias,) if alias else chronicle.alias_names(name or options.name)
        found = _History(
            moves=_moves(ws, name or options.name, aliases, subject),
            requests=_requests(ws, options.name, name or options.name, alias, subject),
            events=chronicle.of(subject) if subject and not alias else (),
            comments=ws.models.comments.about(subject.id) if subject else (),
            deprecation=ws.models.deprecations.of(subject) if subject else None,
        )
    return Answer(found, _told(found, has_alias=bool(alias)))


def _asked(ws: Workspace, text: str) -> tuple[Subject | None, str]:
    """Return what a reference means: a model, a version, or an alias, which may be gone."""
    name, at, alias = text.rpartition("@")
    finder = ws.models.finder
    try:
        if at and not alias.isdecimal():
            return finder.subject(name), alias
        return finder.subject(text), ""
    except NotFound:
        # What was deleted, and what was only ever asked for, has a history, too.
        return None, alias if at else ""


def _moves(
    ws: Workspace, name: str, aliases: tuple[str, ...], subject: Subject | None
) -> tuple[AliasMove, ...]:
    moves = [move for each in aliases for move in ws.models.history(name, each)]
    if subject is not None and subject.version is not None:
        moves = [m for m in moves if subject.label in {m.label, m.before}]
    return tuple(sorted(moves, key=lambda move: move.time, reverse=True))


def _requests(
    ws: Workspace, text: str, name: str, alias: str, subject: Subject | None
) -> tuple[Approval, ...]:
    version = subject.id if subject and subject.version else None
    return tuple(
        each
        for each in ws.models.approvals.requests()
        if each.requested.name == name
        and (not alias or each.requested.place == text)
        and version in {None, each.requested.model}
    )


def _told(found: _History, *, has_alias: bool) -> str:
    parts: list[str] = [str(found.deprecation)] if found.deprecation else []
    if has_alias or not found.events:
        rows = [
            (f"{m.time:%Y-%m-%d %H:%M}", m.alias, m.before or "-", m.label or "-", m.by, m.reason)
            for m in found.moves
        ]
        heads = ("time", "alias", "before", "after", "by", "reason")
        parts.append(table(heads, rows, empty="no alias ever moved"))
    else:
        rows = [(f"{e.time:%Y-%m-%d %H:%M}", e.by, e.what, e.about, e.text) for e in found.events]
        parts.append(table(("time", "by", "what", "about", "how"), rows))
    if found.requests:
        parts.append(requests_table(found.requests, ""))
    return "\n\n".join(parts)


def notes_of(ws: Workspace, versions: Iterable[str]) -> dict[str, Deprecation]:
    """Return what is deprecated of these versions, by their facts."""
    ledger, project = ws.stores.ledger, ws.scope.project
    said = {version: deprecation_of(ledger, project, version) for version in versions}
    return {version: found for version, found in said.items() if found is not None}


_MODEL = Argument("model", "`name:version` or `name@alias`")
_FORCE = Argument("--force", "why, although a protected alias is concerned", {"metavar": "WHY"})

VERBS: Group = {
    "alias": Command(
        "Point an alias at a version.",
        'trivet models alias churn:2 champion --reason "approved by Ada"',
        _alias,
        (
            Argument("model", "`name`, `name:version` or `name@alias`"),
            Argument("alias", "the alias"),
            Argument("--reason", "why", {"required": True}),
            _FORCE,
        ),
    ),
    "deprecate": Command(
        "Advise against a version, or a model: it is said wherever the version is shown or used.",
        'trivet models deprecate churn:3 --why "learned from a broken feed" --instead churn:4',
        _deprecate,
        (
            Argument("model", "`name:version`, `name@alias`, or `name` for the whole model"),
            Argument("--why", "the reason"),
            Argument("--instead", "what to use: a version or a model", {"metavar": "MODEL"}),
            _FORCE,
            Argument("--undo", "take it back", {"action": "store_true"}),
        ),
    ),
    "comment": Command(
        "Comment on a version or a model; without a text, list the comments.",
        'trivet models comment churn:3 "weak on customers younger than 20"',
        _comment,
        (
            Argument("subject", "`name:version` or `name`; with --edit or --withdraw a comment"),
            Argument("text", "the comment", {"nargs": "?"}),
            Argument("--edit", "reword this comment of yours", {"action": "store_true"}),
            Argument("--withdraw", "withdraw this comment of yours", {"action": "store_true"}),
        ),
    ),
    "delete": Command(
        "Delete a version that nothing serves; its records and its number stay.",
        "trivet models delete churn:2",
        _delete,
        (
            _MODEL,
            Argument("--all", "give the name up with all its versions", {"action": "store_true"}),
        ),
    ),
    "history": Command(
        "Show what was recorded: versions, moves of aliases, approvals, comments, deprecations.",
        "trivet models history churn@champion",
        _history,
        (Argument("name", "`name`, `name:version` or `name@alias`"),),
    ),
}
