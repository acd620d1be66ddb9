"""How the documentation is built: ``python -m sphinx -W docs docs/_build``."""

from groupnas import __version__

project = "groupnas"
author = "The groupnas authors"
copyright = "The groupnas authors"
version = release = __version__

extensions = [
    "cyclopts.sphinx_ext",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "jupyter_execute"]

html_theme = "furo"
html_title = "groupnas"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Notebooks are kept without outputs: what a page shows was computed when it was built.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
