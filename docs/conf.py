"""How the documentation is built: ``make docs``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tools.site.extension, which is in no wheel

_project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

project = "fluidauth"
author = "the fluidauth developers"
copyright = author  # noqa: A001  # Sphinx calls it so
release = version = _project["version"]

extensions = [
    "myst_parser",  # pages in Markdown, which the host of the repository shows as well
    "sphinx.ext.autodoc",
    "sphinx_click",  # the command line, made from its commands
    "sphinx_copybutton",
    "sphinx_llm.txt",  # llms.txt, and each page as Markdown, for language models
    "tools.site.extension",  # tables made from the code and from the marks of the tests
]

myst_heading_anchors = 4

# Types with a name of their own: a signature shows the name, and not all that it stands for.
ALIASES = (
    *("ASGIApp", "WSGIApplication", "Environ", "StartResponse", "Scope", "Message", "Receive", "Send"),
    *("Connect", "Headers", "KeyState", "OnStoreError", "OurStore", "Secret", "UserKey", "UserOf"),
    *("Redis", "RenewalReason", "EventName", "AnyOAuth"),
)
FOREIGN = ["asyncio", "collections", "contextlib", "datetime", "os", "pathlib", "ssl", "types"]
FOREIGN += ["django", "fastapi", "flask", "litestar", "quart", "redis", "starlette"]
INTERNAL = r"fluidauth\.(keys\.(key|named|follower)|integrations\.django\.base|testing\.proxy)\..*"
autodoc_type_aliases = {name: name for name in ALIASES}
autodoc_member_order = "groupwise"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True  # or pages would show what os.environ is on the machine that builds them
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

nitpicky = True  # a name in a docstring that leads nowhere is a warning, and a warning fails the build
nitpick_ignore_regex = [
    ("py:.*", rf"({'|'.join(FOREIGN)})\..*"),  # other projects, whose pages this build does not fetch
    ("py:.*", rf"(.*\.)?({'|'.join(ALIASES)}|TypeAliasForwardRef)"),
    ("py:.*", INTERNAL),  # in the signatures of what is public, and nobody needs to know them
]

llms_txt_description = _project["description"]
llms_txt_full_build = True
llms_txt_suffix_mode = "replace"
llms_txt_nested_enabled = False

html_theme = "furo"
html_title = "fluidauth"
html_baseurl = _project["urls"]["Documentation"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False  # the pages in Markdown are there instead
html_theme_options = {
    "source_repository": _project["urls"]["Source"],
    "source_branch": "main",
    "source_directory": "docs/",
}
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
