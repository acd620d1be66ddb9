"""One self-contained HTML page for one run or several: ``groupnas report``."""

from groupnas.report.page.collect import collect
from groupnas.report.page.render import PAGE, Written, render, write_page

__all__ = ["PAGE", "Written", "collect", "render", "write_page"]
