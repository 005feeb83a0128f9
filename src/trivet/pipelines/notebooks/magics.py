"""IPython's own syntax: dropped or unwrapped where that is safe, and refused where it is not."""

import io
import re
import tokenize

import msgspec

_DROPPED = {
    *("matplotlib", "load_ext", "reload_ext", "autoreload", "config", "pylab", "precision"),
    *("xmode", "colors", "pdb", "reset_selective", "who", "whos", "lsmagic", "history"),
}
"""Line magics that set up the notebook itself."""
_UNWRAPPED = {"time", "prun", "memit", "mprun", "lprun"}
"""Magics that run their statement once and report on it."""
_UNWRAPPED_CELLS = {"time", "capture", "prun", "memit"}
_INSTALL = re.compile(
    r"^[!%](?:(?:python[\d.]* -m )?pip3?|conda|mamba|uv pip|uv) +(?:install|add)\b(.*)$"
)
_MAGIC = re.compile(r"^(?P<indent>\s*)(?P<sign>%%?|!)(?P<name>[\w.-]*)(?P<rest>.*)$")
_ASSIGNED = re.compile(r"^\s*[\w.,\s\[\]\"']+=\s*[%!](?![=])")
_HELP = re.compile(r"^\s*(\?{1,2}[\w.*%]+|[\w.*%]+\?{1,2})\s*$")
_OPTIONS = re.compile(r"^(?:\s*-{1,2}\w+(?:[ =](?:[\d.]+))?)*\s*")
_ADVICE_SHELL = "Do it before the notebook runs, or in Python with subprocess.run([...])."


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A cell that cannot be converted, and why."""

    cell: int
    first_line: str
    reason: str
    hint: str = ""


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """A cell's source in plain Python, line for line."""

    source: str
    notes: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    """What the cell would have installed."""
    reasons: tuple[tuple[str, str], ...] = ()
    """Why it cannot be converted, each with a hint; empty when it can."""


def translate(source: str) -> Translation:
    """Turn a cell's source into plain Python.

    Magics that concern the notebook alone are dropped, `%time` and its kin leave their statement
    behind. Each line stays on its line.
    """
    lines = source.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    notes: list[str] = []
    requirements: list[str] = []
    reasons: list[tuple[str, str]] = []
    found = _MAGIC.match(lines[first]) if lines[first].lstrip().startswith("%%") else None
    if found and found["sign"] == "%%":
        if found["name"] not in _UNWRAPPED_CELLS:
            why = f"the cell magic %%{found['name']} runs something else than Python"
            return Translation(source="", reasons=((why, _ADVICE_SHELL),))
        notes.append(f"%%{found['name']} is dropped")
        lines[first] = ""
    inside = _continued_lines("\n".join(lines))
    for number, line in enumerate(lines):
        if number in inside:
            continue
        installs = _INSTALL.match(line.strip())
        if installs:
            requirements += _packages(installs[1])
            notes.append(f"{line.strip()!r} is dropped: put it into your requirements")
            lines[number] = _blank(line)
            continue
        lines[number], note, reason = _line(line)
        notes += [note] if note else []
        reasons += [reason] if reason else []
    return Translation(
        source="\n".join(lines),
        notes=tuple(notes),
        requirements=tuple(requirements),
        reasons=tuple(reasons),
    )


def _line(line: str) -> tuple[str, str, tuple[str, str] | None]:  # noqa: PLR0911  # one way out per kind
    """Return a line in Python, a note, and why it cannot be converted."""
    found = _MAGIC.match(line)
    stripped = line.strip()
    if found is None:
        if _ASSIGNED.match(line):
            sign = "a shell command" if re.search(r"=\s*!", line) else "a magic"
            return "", "", (f"the result of {sign} is assigned: {stripped}", _ADVICE_SHELL)
        if _HELP.match(line):
            return _blank(line), f"{stripped!r} asks for help and is dropped", None
        return line, "", None
    name, rest = found["name"], found["rest"]
    if found["sign"] == "!":
        return "", "", (f"a shell command: {stripped}", _ADVICE_SHELL)
    if name in _UNWRAPPED:
        return found["indent"] + _OPTIONS.sub("", rest, count=1), f"%{name} is dropped", None
    if name in _DROPPED:
        return _blank(line), f"{stripped!r} is dropped", None
    if name in {"env", "set_env"} or name == "cd":
        why = f"%{name} changes the process that the notebook runs in"
        return "", "", (why, "Set it outside the notebook.")
    return "", "", (f"the magic %{name} has no form in plain Python", "Write it in Python.")


def _blank(line: str) -> str:
    """Keep a place where a statement stood, so that a block of it alone stays a block."""
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}pass" if indent else ""


def _packages(rest: str) -> list[str]:
    words = rest.split("#", maxsplit=1)[0].split()
    return [word.strip("'\"") for word in words if not word.startswith("-")]


def _continued_lines(source: str) -> set[int]:
    """Return the lines (from 0) that begin inside a bracket or a string: no magic stands there.

    What the tokenizer cannot read (a shell command has quotes of its own) is blanked first.
    """
    lines = source.split("\n")
    plain = [
        "pass" if re.match(r"^\s*[%!]\w*\s+\S", line) and "%%" not in line[:2] else line
        for line in lines
    ]
    inside = {number for number, line in enumerate(lines, 1) if line.endswith("\\")}
    depth = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO("\n".join(plain)).readline):
            if token.start[0] != token.end[0]:
                inside.update(range(token.start[0], token.end[0]))
            if token.type == tokenize.OP:
                depth += (token.string in "([{") - (token.string in ")]}")
            if token.type == tokenize.NL and depth:
                inside.add(token.start[0])
    except (tokenize.TokenError, IndentationError):
        pass  # what is wrong with it will be said when it is parsed
    return inside
