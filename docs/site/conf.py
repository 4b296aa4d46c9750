"""Sphinx settings of the documentation site: `make docs`.

The source folder is the root of the repository, so that the links of a page are right both in the repository and on the
site. Nothing is fetched, and no notebook runs: the site shows the outputs that are stored in them.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from generated_pages import type_names  # noqa: E402
from numpydoc.xref import DEFAULT_LINKS  # noqa: E402

from samnb import __version__  # noqa: E402

project = "samnb"
author = "the samnb authors"
copyright = author
version = release = __version__

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb", "generated_pages"]
root_doc = "docs/index"
include_patterns = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CONTEXT.md"),
    *("docs/*.md", "docs/reference/*.md"),
    *("notebooks/*.ipynb", "notebooks/course/*.ipynb", "notebooks/course/*.md"),
    *("samnb/models/tiny/weights/MODEL_CARD.md", "training/*.md", "benchmarks/evaluation_set/README.md"),
]
exclude_patterns = ["**/.ipynb_checkpoints"]

nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
# Widgets need a kernel; beside each stands its picture, which is shown instead.
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
# The list beside a page says add(), not Session.add().
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False
# Types of parameters and results are linked to their classes; those of Python and NumPy have no page here.
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
numpydoc_xref_aliases = {name: name for name in DEFAULT_LINKS} | type_names((ROOT / "docs/reference").glob("*.md"))
default_role = "py:obj"
# What looks like quotes and dashes is code in most places: `samnb lab -- --port 9999`.
smartquotes = False
python_use_unqualified_type_names = True
# `wait()` in a docstring is the method of jobs and of widgets too: the first is linked.
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "ref.python"]

html_theme = "pydata_sphinx_theme"
html_title = "samnb"
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_additional_pages = {"index": "to_home.html"}
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "navigation_with_keys": False,
    "show_nav_level": 1,
    # The methods of a class, too: the page of Session has more than a hundred.
    "show_toc_level": 2,
    "show_prev_next": True,
    "footer_start": [],
    "footer_end": [],
    "header_links_before_dropdown": 7,
}
