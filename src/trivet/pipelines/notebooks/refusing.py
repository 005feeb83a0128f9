"""What a cell may not contain, because a function could not mean the same."""

import ast
from collections.abc import Iterator

_UNKNOWABLE = {"exec", "eval", "globals", "execfile", "compile"}
_OWN_NAMESPACE = {"locals", "vars", "dir"}
_NOTEBOOK_NAMES = {"In", "Out", "_", "__", "___", "_i", "_ih", "_oh", "_dh"}
_WIDGETS = {"ipywidgets", "IPython.html"}
_RICH = {
    "HTML",
    "Image",
    "Markdown",
    "SVG",
    "Javascript",
    "IFrame",
    "Video",
    "Audio",
    "clear_output",
}
_CALLS = {
    "input": ("it asks a person: input(...)", "Make the answer a constant in the first cell."),
    "get_ipython": ("it speaks to IPython: get_ipython()", "Remove it, or write it in Python."),
    "exit": ("it ends the notebook: exit()", "Raise an error instead."),
    "quit": ("it ends the notebook: quit()", "Raise an error instead."),
}
_ASYNC = "Run it in a function: asyncio.run(main())."

Reason = tuple[str, str]


def reasons_against(statement: ast.stmt, bound: frozenset[str]) -> Iterator[Reason]:
    """Yield why a statement cannot become part of a step, each with a hint.

    Args:
        statement: A statement of a cell's top level.
        bound: Every name that the notebook binds: one of these hides a built-in one.
    """
    yield from _awaits(statement)
    for node in ast.walk(statement):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name not in bound:
                yield from _calls(name, node)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="chdir")):
                yield "it changes the working folder: os.chdir", "Use paths from where it began."
            case ast.Name(id=name, ctx=ast.Load()) if name not in bound:
                if name in _NOTEBOOK_NAMES:
                    yield f"it reads {name}, what the notebook showed last", "Give it a name."
                if name in {"__name__", "__file__"}:
                    yield f"it reads {name}, which is another in a module", "Remove it."
            case ast.Import() | ast.ImportFrom():
                yield from _imports(node)
            case _:
                pass


def _calls(name: str, node: ast.Call) -> Iterator[Reason]:
    if name in _CALLS:
        yield _CALLS[name]
    is_bare = not node.args and not node.keywords
    if name in _UNKNOWABLE or (name in _OWN_NAMESPACE and is_bare):
        yield f"it calls {name}(), which reaches names nobody can list", "Name what it uses."


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[Reason]:
    module = getattr(node, "module", None) or ""
    names = [alias.name for alias in node.names]
    for name in [module, *names] if isinstance(node, ast.ImportFrom) else names:
        if name.partition(".")[0] in _WIDGETS:
            yield f"it uses widgets: {name}", "Replace the widgets by constants."
    if module.startswith("IPython"):
        for name in names:
            if name in _RICH or name == "get_ipython":
                yield f"it shows rich output: {name}", "Keep such cells in a notebook of their own."


def _awaits(statement: ast.stmt) -> Iterator[Reason]:
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        is_async = isinstance(node, ast.comprehension) and bool(node.is_async)
        if is_async or isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield "it awaits at the top level", _ASYNC
            return
        waiting += ast.iter_child_nodes(node)
