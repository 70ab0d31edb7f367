"""The settings of the documentation; `scripts/docs` builds it."""

import importlib.metadata
import logging
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]  # imgloc is documented as it is in this checkout
os.environ.setdefault("JAX_PLATFORMS", "cpu")

project = "imgloc"
author = "The imgloc authors"
release = importlib.metadata.version("imgloc")
html_title = "imgloc"
html_show_copyright = False
smartquotes = False  # docstrings quote code
add_module_names = False  # the heading above has the name of the module

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton", "api_reference", "command_help", "source_role"]
exclude_patterns = ["_build", "extensions"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
# A pattern in a toctree may stand for pages to come; a page that is in no toctree is still an error.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(lambda record: getattr(record, "subtype", "") != "empty_glob")

nb_execution_mode = "force"  # of notebooks, which are pages with a kernel in their head: the tutorials
nb_execution_in_temp = True  # the tutorials write run folders
nb_execution_timeout = 600
nb_execution_raise_on_error = True

python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # a method without a docstring, such as `setup` of a module, is not part of the reference
autodoc_default_options = {"no-value": True}  # api_reference shows values as they are written

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"
