"""The page around a report: one HTML file that needs no network and no script."""

import base64
import hashlib
from importlib.resources import files

from trivet.drawing.markup import Markup, element


def render_page(title: str, body: Markup) -> str:
    """Return a whole HTML document with the stylesheet of all reports inside."""
    style = (files("trivet.drawing") / "report.css").read_text("utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def page_section(name: str, title: str, content: Markup) -> Markup:
    """Return a section with its heading; `name` is unique on the page."""
    heading = element("h2", title, id=f"{name}-heading")
    return element("section", heading, content, id=name, aria_labelledby=f"{name}-heading")


def _policy(style: str) -> str:
    """Allow this very stylesheet and nothing else: no script, no picture, no form, no request."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    allowed = f"style-src 'sha256-{digest}'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
