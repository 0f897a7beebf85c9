"""The links of docs/ and of the READMEs beside it, as the repository has them, made a site's.

A link to a file that is a page leads there; one to any other file of the repository becomes its
text. A link to nothing is a warning, which ends a strict build.
"""

import logging
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "profiles/README.md": "profiles.md",
    "config/README.md": "configuration.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Pages that stand elsewhere in the repository, and where in the site."""
PLACES = {page: source for source, page in PAGES.items()}
LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")
CODE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)

log = logging.getLogger("mkdocs.hooks.links")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand elsewhere."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Turn the repository's links into the site's."""
    place = page.file.src_uri
    source = PLACES.get(place, f"docs/{place}")
    parts = CODE.split(markdown)
    parts[::2] = [LINK.sub(lambda found: _link(found, source, place), part) for part in parts[::2]]
    return "".join(parts)


def _link(found: re.Match[str], source: str, place: str) -> str:
    text, target, anchor = found["text"], found["target"], found["anchor"] or ""
    if not target or re.match(r"[a-z]+:", target):
        return found[0]
    path = os.path.normpath(PurePosixPath(source).parent / target)
    if not (ROOT / path).exists():
        log.warning("%s links to %s, which is not there", source, target)
        return found[0]
    page = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
    if page is None or (ROOT / path).is_dir() or page.endswith(".py"):
        return text.strip("[]")
    return f"{text}({os.path.relpath(page, PurePosixPath(place).parent)}{anchor})"
