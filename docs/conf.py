"""How the documentation is built: ``python -m sphinx -W docs docs/_build``."""

from __future__ import annotations

import re
from importlib import import_module
from types import SimpleNamespace
from typing import Any, get_type_hints

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from pydantic import BaseModel
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import stringify_annotation

from groupnas import __version__
from groupnas.cli.app import app as groupnas_app

project = "groupnas"
author = "The groupnas authors"
copyright = "The groupnas authors"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "jupyter_execute"]
default_role = "code"  # help texts of commands set commands in single backticks
smartquotes = False  # makes one dash of two, which options begin with

html_theme = "furo"
html_math_renderer = "mathml"
html_title = "groupnas"
html_static_path = ["_static"]
html_copy_source = False
html_css_files = ["groupnas.css"]
html_js_files = ["groupnas.js"]
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "github-dark"  # an option of the theme

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# What docstrings name and users do not meet.
_WITHIN = """
__call__ ArrayT BatchLocator Behind Ended EntryPoint Evaluate Grouped Kernel KindT
KroneckerFactors LandmarkTarget Locator MaskedLayer NetworkT PageRun Piece RuleT RunFolder
SampleErrors Scorer SearchTold Source Stage StrategySettings SubsetReport Table ThingT Timing
Trainer Trials TrialsJob assignment cache choose curves drawing history kernel_format
neighbours_among training with_mean
"""
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|numpy|os|pathlib|pydantic|torch|typing|typing_extensions)\..*"),
    # Imported for type checkers only, so that they keep their short names.
    (r"py:class", r"Figure|Path|Tensor|nn\.Module"),
    # Types that have a name within their module.
    (
        r"py:class",
        r"Answer|Channels|Form|MaskInit|MaskPlace|Patches|PointLoss|Precision|Propose|Side|Size|SplitBy|StrPath",
    ),
    (r"py:.*", rf"([a-z_]+\.)*({'|'.join(_WITHIN.split())})"),
]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Notebooks are kept without outputs: what a page shows was computed when it was built.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300


class Command(SphinxDirective):
    """``.. command:: search``: what ``groupnas search --help`` says."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # commands change, and the page does not
        command, name = groupnas_app, ""
        for name in self.arguments[0].split():
            command = command[name]
        text = command.generate_docs("rst", recursive=False).partition("::\n\n")[2]
        text = re.sub(r"^\.\. contents::.*\n( +:.*\n)*", "", text, flags=re.MULTILINE)
        usage, _, text = text.partition("\n")
        description, bold, options = text.partition("**")
        # Cyclopts names the program that runs: "search -m sphinx [OPTIONS]".
        usage = re.sub(rf"^ *{name}( -m \S+)?", f"groupnas {self.arguments[0]}", usage)
        return self.parse_text_to_nodes(f"{description}\n\nUsage: ``{usage}``\n\n{bold}{options}")


class Names(SphinxDirective):
    """``.. names:: MODULE.NAME``: a constant, and the names that it holds."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        module, _, name = self.arguments[0].rpartition(".")
        names = ", ".join(f"``{entry}``" for entry in getattr(import_module(module), name))
        return self.parse_text_to_nodes(f".. py:data:: {self.arguments[0]}\n\n   {names}\n")


def keep_colons(_: Sphinx, what: str, *rest: Any) -> None:
    """Napoleon takes what comes before a colon in an attribute's first line for its type."""
    if what in ("attribute", "data", "property"):
        rest[-1][:0] = ["..", ""]  # an empty comment


def set_types(_: Sphinx, what: str, name: str, documented: Any, __: Any, lines: list[str]) -> None:
    """Set attributes' types beside their names, and the ranges of settings below."""
    if what not in ("class", "exception"):
        return
    fields = documented.model_fields if issubclass(documented, BaseModel) else {}

    def entry(found: re.Match[str]) -> str:
        attribute, text, type_ = found.groups()
        field = fields.get(attribute)
        if field is not None:
            holder = SimpleNamespace(__annotations__={"it": field.annotation})
            type_ = stringify_annotation(get_type_hints(holder)["it"], "smart")
            text += "".join(f"   {rule}\n\n" for rule in _ranges(field.metadata))
        return f".. attribute:: {attribute}\n   :type: {type_}\n{text}"

    pattern = r"^\.\. attribute:: (\w+)\n((?:(?!\.\. attribute).*\n)*?) +:type: (.*)$"
    lines[:] = re.sub(pattern, entry, "\n".join(lines), flags=re.MULTILINE).split("\n")


def _ranges(metadata: list[Any]) -> list[str]:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [
        f"{word} {getattr(rule, key):g}"
        for key, word in words.items()
        for rule in metadata
        if getattr(rule, key, None) is not None
    ]
    return [f"*{', '.join(limits)}*"] if limits else []


def find_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Docstrings and annotations name what their module imports, by its last name alone."""
    if node.get("refdomain") != "py":
        return None
    objects: dict[str, Any] = env.domains.python_domain.objects
    target = node["reftarget"]
    for end in (target, target.rpartition(".")[2]):  # Task.batch; else batch
        found = {e.node_id: e for name, e in objects.items() if name.endswith("." + end)}
        if found:
            break
    if len(found) != 1:
        return None
    (entry,) = found.values()
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, target)


def set_dashes(_: Sphinx, document: nodes.document, __: str) -> None:
    """Between a parameter and what it means; Sphinx leaves that to ``smartquotes``."""
    for text in list(document.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" \u2013 "))


def write_math(translator: Any, node: nodes.math | nodes.math_block) -> None:
    """As MathML, which browsers know by themselves: no script, no network."""
    block = isinstance(node, nodes.math_block)
    text = tex2mathml(node.astext(), as_block=block)
    translator.body.append(f'<div class="math">{text}</div>' if block else text)
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_directive("command", Command)
    app.add_directive("names", Names)
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon, at 500
    app.connect("autodoc-process-docstring", set_types, priority=600)
    app.connect("doctree-resolved", set_dashes)
    app.connect("missing-reference", find_by_last_name)
