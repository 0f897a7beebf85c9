"""The fingerprint of a model: a hash over the files that are loaded, and over no others."""

import hashlib
import json
import re
from collections.abc import Callable
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
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
UNPACKING = 1
"""Version of how a GGUF file is unpacked; raised when its weights come out otherwise."""


def fingerprint_folder(folder: str | Path, cache: Path | None = None) -> str:
    """SHA-256 over a checkpoint's configuration, tokenizer, templates and weights.

    Code in the folder is never run, so it is not covered. Hashing 15 GB takes some ten seconds,
    so the result is kept in `cache` (a folder) under the files' names, sizes and times.

    Raises:
        InputError: there are no weights, or not all that their index names.
    """
    return _fingerprint(Path(folder), loaded_files(Path(folder)), cache)


def fingerprint_gguf(file: str | Path, cache: Path | None = None) -> str:
    """Hash of a GGUF file and of how it is unpacked, kept as that of a folder is."""
    file = Path(file)
    content = _kept(file.parent, [file], cache, lambda: sha256(file))
    return hashlib.sha256(f"gguf {UNPACKING}\0{content}".encode()).hexdigest()


def fingerprint_adapter(folder: str | Path, cache: Path | None = None) -> str:
    """SHA-256 over the configuration and the weights of an adapter, kept as that of a folder is."""
    folder = Path(folder)
    return _fingerprint(folder, [folder / name for name in ADAPTER], cache)


def _fingerprint(folder: Path, files: list[Path], cache: Path | None) -> str:
    def computed() -> str:
        whole = hashlib.sha256()
        names = [file.relative_to(folder).as_posix() for file in files]
        with ThreadPoolExecutor() as threads:
            for name, content in zip(names, threads.map(sha256, files), strict=True):
                whole.update(f"{name}\0{content}\n".encode())
        return whole.hexdigest()

    return _kept(folder, files, cache, computed)


def _kept(folder: Path, files: list[Path], cache: Path | None, compute: Callable[[], str]) -> str:
    """A hash over files of a folder: the kept one, or as computed, and kept then."""
    kept = cache / f"{_state(folder, files)}.sha256" if cache else None
    if kept and kept.is_file():
        known = kept.read_bytes().strip()
        if re.fullmatch(rb"[0-9a-f]{64}", known):
            return known.decode()
    computed = compute()
    if kept:
        write_text(kept, computed)
    return computed


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
