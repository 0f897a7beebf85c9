"""The fingerprint of a checkpoint: a hash over the files that are loaded, and over no others."""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from persona_geometry.files import sha256, write_text
from persona_geometry.model.checkpoint import INDEX, weight_files
from persona_geometry.model.tokenizer_files import TEMPLATES, TOKENIZERS

LOADED = (
    "config.json",
    "generation_config.json",
    "*processor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *TOKENIZERS,
    *TEMPLATES,
)


def fingerprint_folder(folder: str | Path, cache: Path | None = None) -> str:
    """SHA-256 over a checkpoint's configuration, tokenizer, templates and weights.

    Code in the folder is never run, so it is not covered. Hashing 15 GB takes some ten seconds,
    so the result is kept in `cache` (a folder) under the files' names, sizes and times.

    Raises:
        InputError: there are no weights, or not all that their index names.
    """
    folder = Path(folder)
    files = loaded_files(folder)
    names = [file.relative_to(folder).as_posix() for file in files]
    kept = cache / f"{_state(folder, files)}.sha256" if cache else None
    if kept and kept.is_file():
        known = kept.read_bytes().strip()
        if re.fullmatch(rb"[0-9a-f]{64}", known):
            return known.decode()
    whole = hashlib.sha256()
    with ThreadPoolExecutor() as threads:
        for name, content in zip(names, threads.map(sha256, files), strict=True):
            whole.update(f"{name}\0{content}\n".encode())
    if kept:
        write_text(kept, whole.hexdigest())
    return whole.hexdigest()


def loaded_files(folder: Path) -> list[Path]:
    """Every file of a checkpoint that a run loads, by name."""
    files = {file for pattern in LOADED for file in folder.glob(pattern) if file.is_file()}
    weights = weight_files(folder)
    files.update(weights)
    if len(weights) > 1 or weights[0].name != "model.safetensors":
        files.add(folder / INDEX)
    return sorted(files)


def _state(folder: Path, files: list[Path]) -> str:
    """What changes when a file is written, even one of the same size and modification time."""
    stats = [(file.name, file.stat()) for file in files]
    text = json.dumps(
        [str(folder.resolve()), [(n, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for n, s in stats]]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:20]
