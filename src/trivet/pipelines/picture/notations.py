"""A picture in the notations of other tools: Mermaid and Graphviz's DOT."""

import json

from trivet.pipelines.picture.model import Box, Picture

_FILL = {
    "run": "#d6f0e2",
    "remembered": "#d8eaf4",
    "failed": "#f8d7d4",
    "written": "#ffffff",
    "input": "#eef1f4",
    "output": "#eef1f4",
}


def write_mermaid(picture: Picture) -> str:
    """Return the picture as a Mermaid flowchart, which Git forges show in Markdown."""
    names = {box.id: f"n{number}" for number, box in enumerate(picture.boxes)}
    lines = ["---", f"title: {json.dumps(picture.title, ensure_ascii=False)}", "---"]
    lines.append("flowchart TD")
    for box in picture.boxes:
        text = _text(box).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
        begin, end = ("([", "])") if box.state in {"input", "output"} else ("[", "]")
        lines.append(f'  {names[box.id]}{begin}"{text}"{end}:::{box.state}')
    lines += [f"  {names[a.source]} --> {names[a.target]}" for a in picture.arrows]
    used = dict.fromkeys(box.state for box in picture.boxes)
    lines += [f"  classDef {state} fill:{_FILL[state]},stroke:#66727f,color:#111" for state in used]
    return "\n".join(lines) + "\n"


def write_dot(picture: Picture) -> str:
    """Return the picture as a DOT digraph, for Graphviz."""
    lines = ["digraph flow {", f"  label={_quoted(picture.title)}; labelloc=t;"]
    style = "rounded,filled,dashed" if picture.is_preview else "rounded,filled"
    lines.append(f'  node [shape=box, style="{style}", fontname="monospace"];')
    for box in picture.boxes:
        fill = _FILL[box.state]
        lines.append(f'  {_quoted(box.id)} [label={_quoted(_text(box))}, fillcolor="{fill}"];')
    lines += [f"  {_quoted(a.source)} -> {_quoted(a.target)};" for a in picture.arrows]
    return "\n".join([*lines, "}"]) + "\n"


def _text(box: Box) -> str:
    name = f"{box.label} × {box.count:,}" if box.count > 1 else box.label
    text = f"{name} ({box.detail})" if box.detail else name
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
