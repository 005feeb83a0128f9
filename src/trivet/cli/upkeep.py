"""`trivet doctor`, `fsck`, `backup` and `restore`: keeping a workspace sound."""

import sys
from argparse import Namespace
from pathlib import Path

from trivet.cli.command import Answer, Argument, Command
from trivet.cli.errors import EXIT_CODES, FAILED
from trivet.cli.output import size, table
from trivet.core.errors import Corrupt
from trivet.workspace.backup import back_up
from trivet.workspace.backup import restore as restore_backup
from trivet.workspace.doctor import examine
from trivet.workspace.fsck import check_stores
from trivet.workspace.rebuilding import make_catalog_anew
from trivet.workspace.settings import FILE, FOLDER
from trivet.workspace.workspace import open as open_workspace


def _doctor(options: Namespace) -> Answer:
    symptoms = examine(Path(options.project).resolve())
    rows = [(mark, s.about, s.finding, s.advice) for s in symptoms for mark in [_MARKS[s.level]]]
    text = table(("", "about", "finding", "what to do"), rows)
    sick = any(symptom.level == "wrong" for symptom in symptoms)
    return Answer(symptoms, text, FAILED if sick else 0)


_MARKS = {"fine": "ok", "look": "??", "wrong": "NO"}


def _fsck(options: Namespace) -> Answer:
    def tell(part: str) -> None:
        if not options.json:
            print(f"checking {part} ...", file=sys.stderr)

    if options.rebuild_catalog:
        return _rebuild(options)
    with open_workspace(options.project) as ws:
        report = check_stores(ws.stores, tell)
    lines = [
        (
            f"{report.facts} facts in {report.links} links of the chain, {report.blobs} blobs and "
            f"{report.tables} table versions named by facts"
        )
    ]
    if report.is_sound:
        lines.append("nothing is damaged")
        return Answer(report, "\n".join(lines))
    rows = [(d.store, d.name, d.problem, d.hint) for d in report.damages]
    lines.append(table(("store", "what", "problem", "what to do"), rows))
    return Answer(report, "\n".join(lines), EXIT_CODES[Corrupt])


def _rebuild(options: Namespace) -> Answer:
    def tell(part: str) -> None:
        if not options.json:
            print(f"{part} ...", file=sys.stderr)

    with open_workspace(options.project) as ws:
        report = make_catalog_anew(ws.opened, ws.scope.actor, tell)
    lines = [
        f"{report.facts} facts make {report.documents} documents",
        f"{report.added} were missing, {report.changed} said something else",
        f"{report.removed} were too many, {report.columns} blocks of columns were damaged",
        f"{report.files} artifacts were listed otherwise than facts say",
        *report.troubles,
    ]
    return Answer(report, "\n".join(lines), EXIT_CODES[Corrupt] if report.troubles else 0)


def _backup(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        manifest = back_up(ws.opened, Path(options.target).resolve())
    total = sum(file.size_bytes for file in manifest.files.values())
    text = f"{len(manifest.files)} files, {size(total)}, in {options.target}"
    return Answer({"target": options.target, "files": len(manifest.files), "bytes": total}, text)


def _restore(options: Namespace) -> Answer:
    # After a lost disk there may be no project yet: the stores go where one will be.
    folder = Path(options.project).resolve() / FOLDER
    manifest = restore_backup(Path(options.source).resolve(), folder)
    text = f"{len(manifest.files)} files restored to {folder}; every byte was checked"
    if not (folder.parent / FILE).exists():
        text += f"\nput the project's own files, {FILE} first, beside it: they are not in a backup"
    return Answer({"folder": str(folder), "files": len(manifest.files)}, text)


doctor = Command("Say what is wrong here, and what to do about it.", "trivet doctor", _doctor)
fsck = Command(
    "Check every byte of every store, and the links between them.",
    "trivet fsck",
    _fsck,
    (
        Argument(
            "--rebuild-catalog",
            "make what searches find again from facts and points, while everything runs",
            {"action": "store_true"},
        ),
    ),
)
backup = Command(
    "Copy the workspace into a new folder while everything runs.",
    "trivet backup /mnt/backups/churn-monday",
    _backup,
    (Argument("target", "a folder that is not there yet"),),
)
restore = Command(
    "Restore a backup; every byte is checked first, and nothing is overwritten.",
    "trivet restore /mnt/backups/churn-monday",
    _restore,
    (Argument("source", "the backup's folder"),),
)
