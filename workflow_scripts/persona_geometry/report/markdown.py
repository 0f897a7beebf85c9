"""Sentences and tables in Markdown, and the same as a page that a browser shows."""

from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

from persona_geometry.files import write_text

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif; }}
table {{ display: block; overflow-x: auto; border-collapse: collapse; }}
th, td {{ padding: 0.2rem 0.6rem; border-bottom: 1px solid #8884; text-align: left; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def as_page(markdown: str) -> str:
    """Markdown as a self-contained page, titled by its first heading."""
    first = markdown.lstrip().partition("\n")[0]
    body = MarkdownIt("commonmark").enable("table").render(markdown)
    return PAGE.format(title=escape(first.lstrip("# ")), body=body)


def write_markdown(path: str | Path, markdown: str) -> None:
    """Write Markdown, and the page beside it, whose name ends in .html."""
    write_text(path, markdown)
    write_text(Path(path).with_suffix(".html"), as_page(markdown))
