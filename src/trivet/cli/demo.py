"""`trivet demo`: the whole loop on a year of real flights."""

import sys
from argparse import Namespace
from pathlib import Path

from trivet.cli.command import Answer, Argument, Command
from trivet.cli.errors import FAILED
from trivet.demo.story import PER_DAY, Story
from trivet.demo.summary import summarise


def _demo(options: Namespace) -> Answer:
    story = Story(_folder(options), _tell, per_day=options.per_day)
    evidence = story.run()
    return Answer(evidence, summarise(evidence), 0 if evidence.ok else FAILED)


def _folder(options: Namespace) -> Path:
    if options.folder:
        return Path(options.folder).resolve()
    first = Path(options.project).resolve() / "trivet-demo"
    others = (first.with_name(f"trivet-demo-{number}") for number in range(2, 1000))
    return next(path for path in (first, *others) if not path.exists())


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


demo = Command(
    "Run the whole loop on the real flights that left New York in 2013.",
    "trivet demo --json evidence.json",
    _demo,
    (
        Argument("--folder", "where to make the project (default: ./trivet-demo)"),
        Argument(
            "--per-day",
            "flights of each day that are asked about",
            {"type": int, "default": PER_DAY},
        ),
    ),
    json_to_file=True,
)
