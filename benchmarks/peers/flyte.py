"""Flyte 2 in its local mode, with its local cache."""

import importlib
from pathlib import Path

import flyte

PRELUDE = 'import flyte\n\nenv = flyte.TaskEnvironment(name="bench")\n'
STEP = '@env.task(cache="auto")\n'
FLOW = """
def main(seed):
    flyte.with_runcontext(mode="local").run(answer, seed=seed)
"""
FLOW_WITH_FILE = """
def main(seed):
    flyte.with_runcontext(mode="local").run(answer, seed=seed, path="data.csv")
"""


def perform(place: Path, seed: int) -> None:
    flyte.init()
    importlib.import_module("pipeline").main(seed)
