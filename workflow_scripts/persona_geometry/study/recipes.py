"""Recipes: what determines each stored result, and the key that names it.

A key is a hash of everything a result depends on and of nothing else: no persona or prompt
name, no order, no shard size. Keys are known before anything is computed, so the DAG can be
drawn from them, and equal keys of two studies are one result.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona_geometry.files import sha256, write_atomically
from persona_geometry.study.config import Study
from persona_geometry.study.tables import Prompt

METHOD = 2
"""Version of the measuring code; raised when a change to it changes stored numbers."""


def digest(**parts: Any) -> str:
    """Hash named parts to 20 hexadecimal digits (80 bits)."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Item:
    """One prompt's work: a shared response, and a cell for each persona.

    Attributes:
        prompt: the prompt.
        key: names the item; every cell and pair of it lives under this key.
        response: key of the shared response.
        cells: persona name to cell key, in the study's order.
    """

    prompt: Prompt
    key: str
    response: str
    cells: dict[str, str]


def model_key(study: Study, fingerprint: str) -> str:
    """Key of a model as it is run: its weights and tokenizer, precision and attention kernel."""
    return digest(
        kind="model",
        fingerprint=fingerprint,
        dtype=study.model.dtype,
        attention=study.model.attention,
    )


def items(study: Study, fingerprint: str) -> list[Item]:
    """The recipes of a study, one item a prompt, in the order of the prompt table."""
    model = model_key(study, fingerprint)
    system_role = study.model.system_role
    return [_item(study, model, system_role, prompt) for prompt in study.prompts]


def _item(study: Study, model: str, system_role: str, prompt: Prompt) -> Item:
    response = digest(
        kind="response",
        method=METHOD,
        model=model,
        backend=study.generation.backend,
        max_new_tokens=study.generation.max_new_tokens,
        system_role=system_role,
        system=study.response_system_prompt,
        user=prompt.text,
    )
    item = digest(
        kind="item",
        response=response,
        end_of_turn=study.scoring.end_of_turn,
        retokenize=study.scoring.retokenize,
    )
    cells = {p.name: digest(kind="cell", item=item, system=p.system_prompt) for p in study.personas}
    return Item(prompt, item, response, cells)


def fingerprint_folder(folder: str | Path, cache: Path | None = None) -> str:
    """SHA-256 over a checkpoint's configuration, tokenizer and weight files.

    Hashing 15 GB takes some ten seconds, so the result is kept in `cache` (a folder) under the
    files' names, sizes and modification times.
    """
    folder = Path(folder)
    files = sorted(
        f
        for f in folder.iterdir()
        if f.suffix in {".json", ".safetensors", ".bin", ".model"}
        or f.name in {"merges.txt", "chat_template.jinja"}
    )
    stats = digest(
        folder=str(folder.resolve()),
        files=[(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files],
    )
    kept = cache / f"{stats}.sha256" if cache else None
    if kept and kept.is_file():
        return kept.read_text().strip()
    whole = hashlib.sha256()
    with ThreadPoolExecutor() as threads:
        for file, content in zip(files, threads.map(sha256, files), strict=True):
            whole.update(f"{file.name}\0{content}\n".encode())
    fingerprint = whole.hexdigest()
    if kept:
        write_atomically(kept, fingerprint.encode())
    return fingerprint


def fingerprint(study: Study, cache: Path | None = None) -> str:
    """Fingerprint of a study's model: of its files, or of its name and pinned commit."""
    if study.model.path is not None:
        return fingerprint_folder(study.model.path, cache)
    return study.model.source
