"""The entry point: finds the command, loads its module, runs it, prints the answer.

Nothing but the table below is loaded for `trivet --help`.
"""

import os
import sys
from collections.abc import Sequence

READER_GONE = 141
"""128 and SIGPIPE, as a shell reports a program whose reader went away."""

COMMANDS = {
    "init": ("trivet.cli.project:init", "make a project from a template and your data"),
    "adopt": ("trivet.cli.adopting:adopt", "turn a notebook into a pipeline, and prove it"),
    "run": ("trivet.cli.pipelines:run", "run a flow"),
    "logs": ("trivet.cli.logs:logs", "show what a run printed, or follow it"),
    "graph": ("trivet.cli.graph:graph", "draw a flow, or what a run of it did"),
    "backfill": ("trivet.cli.backfill:backfill", "run a flow for each of many days or names"),
    "sync": ("trivet.cli.syncing:sync", "send a server what programs reported offline"),
    "up": ("trivet.cli.up:up", "start API, serving and runners, supervised, on loopback"),
    "demo": ("trivet.cli.demo:demo", "run the whole loop on a year of real flights"),
    "compare": ("trivet.cli.compare:compare", "compare runs: figures, curves, code, data"),
    "importance": ("trivet.cli.importance:importance", "say which parameters mattered"),
    "why": ("trivet.cli.why:why", "say what made a prediction, or why a step is run again"),
    "lineage": ("trivet.cli.lineage:lineage", "say what something came from, and went into"),
    "replay": ("trivet.cli.serving:replay", "run a prediction again and compare bit for bit"),
    "release": ("trivet.cli.releases:release", "serve a model, move a rollout, or go back"),
    "score": ("trivet.cli.serving:score", "predict a whole file with a registered model"),
    "login": ("trivet.cli.login:login", "sign in at a server elsewhere"),
    "logout": ("trivet.cli.login:logout", "end the token of a server elsewhere"),
    "doctor": ("trivet.cli.upkeep:doctor", "say what is wrong here and what to do about it"),
    "fsck": ("trivet.cli.upkeep:fsck", "check every byte of every store"),
    "gc": ("trivet.cli.collecting:gc", "remove for good what rules let go, and unused bytes"),
    "backup": ("trivet.cli.upkeep:backup", "copy the workspace while everything runs"),
    "restore": ("trivet.cli.upkeep:restore", "restore a backup into a new folder"),
}
"""Commands of the whole: name to `module:attribute` and summary."""

ROOMS = {
    "runs": ("trivet.cli.runs", "what was run, and how it went"),
    "experiments": ("trivet.cli.experiments", "places for runs that are compared"),
    "assets": ("trivet.cli.assets", "named results of flows, and their versions"),
    "notify": ("trivet.cli.notify", "messages about runs, and whether they arrived"),
    "access": ("trivet.cli.access", "tokens, of programs and of users"),
    "users": ("trivet.cli.users", "people and programs, and their roles"),
    "projects": ("trivet.cli.projects", "the projects that one server serves"),
    "data": ("trivet.cli.data", "data sets and their versions"),
    "tracking": ("trivet.cli.tracking", "a server for what programs track, and notes"),
    "retention": ("trivet.cli.retention", "for how long things are kept"),
    "pipelines": ("trivet.cli.pipelines", "flows and steps"),
    "import": ("trivet.cli.importing", "runs of MLflow, TensorBoard and W&B come in"),
    "export": ("trivet.cli.exporting", "runs go out to a server of MLflow"),
    "models": ("trivet.cli.models", "packages, verdicts, the registry"),
    "releases": ("trivet.cli.releases", "decisions to serve"),
    "serving": ("trivet.cli.serving", "predictions and labels"),
    "monitoring": ("trivet.cli.monitoring", "windows and alerts"),
    "triggers": ("trivet.cli.triggers", "rules that ask for runs"),
}
"""Rooms: name to module (which has a `VERBS` group) and summary."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # `trivet ... | head` has read enough. Python would complain when it flushes at exit, so
        # what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    return code


def _run(words: Sequence[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_overview())
        return 0
    if words[0] in {"-V", "--version"}:
        from trivet import __version__

        print(f"trivet {__version__}")
        return 0
    from trivet.cli.dispatch import dispatch

    return dispatch(words, COMMANDS, ROOMS)


def _overview() -> str:
    lines = [
        "usage: trivet COMMAND ...        trivet ROOM VERB ...",
        "",
        "Trivet keeps facts about data, models and code, and turns the whole loop.",
        "",
        "commands:",
        *(f"  {name:<11} {summary}" for name, (_, summary) in COMMANDS.items()),
        "",
        "rooms (see `trivet ROOM --help`):",
        *(f"  {name:<11} {summary}" for name, (_, summary) in ROOMS.items()),
        "",
        "Every command has --help with an example, and --json.",
    ]
    return "\n".join(lines)
