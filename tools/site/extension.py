"""An extension of Sphinx: parts of pages that are made from the code, and small corrections."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from fluidauth.engine import settings

from .tables import TABLES


class Made(SphinxDirective):
    """A part of a page that is made from the code; its class is its name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        made = self.parse_text_to_nodes("\n".join(TABLES[name]()), allow_section_headings=True)
        if any(isinstance(node, nodes.section) for node in made):
            return made
        return [nodes.container("", *made, classes=[name])]


def find_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """Resolve a name without its module, as in docstrings, if one documented object has it."""
    if node.get("refdomain") != "py":
        return None
    domain: Any = env.get_domain("py")
    target = f".{node['reftarget']}"
    named = {
        (entry.docname, entry.node_id)
        for name, entry in domain.objects.items()
        if f".{name}".endswith(target) and not entry.aliased
    }
    if len(named) != 1:
        return None
    ((page, anchor),) = named
    address = f"{app.builder.get_relative_uri(node['refdoc'], page)}#{anchor}"
    return nodes.reference("", "", text, internal=True, refuri=address)


def tidy_signature(
    app: Sphinx,
    what: str,
    name: str,
    it: object,
    options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Show the names of types, and the values of our own defaults."""
    forward = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")
    signature, returned = (text and forward.sub(r"\1", text) for text in (signature, returned))
    if signature:
        signature = re.sub(
            r"settings\.([A-Z_]+)\b", lambda match: repr(getattr(settings, match[1])), signature
        )
    return signature, returned


def leave_out_nameless(app: Sphinx, context: object, lines: list[str]) -> None:
    """Drop an argument of a command that is there only to be refused, and so has no name."""
    if lines and lines[0].strip() == ".. option::":
        lines.clear()


def fit_markdown(app: Sphinx, page: nodes.document, name: str) -> None:
    """Mend what pages in Markdown would lose: stars, links within a page, pictures."""
    if app.builder.format != "markdown":
        return
    for star in list(page.findall(nodes.abbreviation)):
        star.replace_self(nodes.Text(star.astext()))
    for link in page.findall(nodes.reference):
        if anchor := link.get("refid"):
            link["refuri"] = f"#{anchor}"
            del link["refid"]
    for picture in page.findall(nodes.image):
        to_root = posixpath.relpath(".", posixpath.dirname(name) or ".")
        picture["uri"] = f"{to_root}/_images/{posixpath.basename(picture['uri'])}"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("made", Made)
    app.connect("missing-reference", find_by_last_name)
    app.connect("autodoc-process-signature", tidy_signature)
    app.connect("sphinx-click-process-arguments", leave_out_nameless)
    app.connect("doctree-resolved", fit_markdown)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
