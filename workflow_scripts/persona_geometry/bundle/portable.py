"""Nothing of the machine in what leaves it: no folder, no key."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from persona_geometry.errors import InputError

PATHS = frozenset(
    {
        *("personas", "prompts", "path", "gguf", "adapter", "chat_template", "covariates"),
        *("outcomes", "file", "directions", "files"),
    }
)
"""Keys of a config, and of its record in run.json, that name files or folders."""
TEXTS = frozenset((".json", ".md", ".html", ".tsv", ".yaml", ".svg", ".txt"))
SECRET = re.compile(rb"\b(hf|rpa|sk|ghp|github_pat)_[A-Za-z0-9_]{20,}|\bAKIA[0-9A-Z]{16}\b")
SECRET_VARIABLES = re.compile(r"TOKEN|API_KEY|SECRET|PASSWORD")
LEAST_SECRET = 8


def machine_paths(config: Any) -> dict[str, str]:
    """Paths in a config that lead out of its checkout, each with the name that stands for it."""
    found: dict[str, str] = {}

    def look(value: Any, is_path: bool) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                look(inner, key in PATHS)
        elif isinstance(value, list):
            for inner in value:
                look(inner, is_path)
        elif is_path and isinstance(value, str) and _leads_out(value):
            found[value] = PurePath(value).name

    look(config, False)
    return found


def _leads_out(path: str) -> bool:
    return "{" not in path and (path.startswith(("/", "~")) or ".." in PurePath(path).parts)


def with_names(config: Any, names: Mapping[str, str], is_path: bool = False) -> Any:
    """A config in which every path that has a name in the bundle is that name."""
    if isinstance(config, Mapping):
        return {key: with_names(inner, names, key in PATHS) for key, inner in config.items()}
    if isinstance(config, list):
        return [with_names(inner, names, is_path) for inner in config]
    return names.get(config, config) if is_path and isinstance(config, str) else config


def without_paths(name: str, content: bytes, paths: Mapping[str, str]) -> bytes:
    """A file's content, where it is a text, with names in the place of the machine's paths."""
    if PurePath(name).suffix in TEXTS:
        for path in sorted(paths, key=len, reverse=True):
            content = content.replace(path.encode(), paths[path].encode())
    return content


def check_clean(name: str, content: bytes, folders: Iterable[str | Path]) -> None:
    """Refuse content that names a folder of this machine, or holds what looks like a key.

    Args:
        name: of the file.
        content: of it.
        folders: that must not be named, such as the home folder; the root is passed over.

    Raises:
        InputError: it does.
    """
    for folder in map(str, folders):
        if len(PurePath(folder).parts) > 1 and re.search(
            re.escape(folder.encode()) + rb"(?![\w-])", content
        ):
            raise InputError(
                f"{name} names the folder {folder} of this machine, which no bundle may hold: "
                f"write paths in the config relative to the checkout, and run the workflow again."
            )
    keys = [os.environ[v] for v in os.environ if SECRET_VARIABLES.search(v)]
    if SECRET.search(content) or any(
        len(key) >= LEAST_SECRET and key.encode() in content for key in keys
    ):
        raise InputError(
            f"{name} holds what looks like a key or token, which no bundle may hold: remove it "
            f"from the study's config and tables, and run the workflow again."
        )
