"""The files of a bundle, as they are put into it."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from persona_geometry.bundle.card import card
from persona_geometry.bundle.contents import (
    CARD,
    CHECKSUMS,
    CONFIG,
    PINS,
    checksums,
    input_names,
    result_files,
)
from persona_geometry.bundle.crate import METADATA, metadata
from persona_geometry.bundle.portable import (
    check_clean,
    machine_paths,
    with_names,
    without_paths,
)
from persona_geometry.published import read_run
from persona_geometry.rsa.gates import verdict
from persona_geometry.rsa.results import read_alignment
from persona_geometry.study.sections import Bundle


def bundle_files(
    folder: Path,
    repository: Path,
    config: Mapping[str, Any],
    tables: Sequence[str],
    bundle: Bundle,
    model: str,
) -> dict[str, bytes]:
    """Name to content of every file of a finished study's bundle.

    Args:
        folder: results/{study}.
        repository: the checkout, which has the pins.
        config: as it is in effect.
        tables: files that people wrote for the study, as the config names them.
        bundle: the config's section.
        model: what was measured, in a sentence; empty where RDMs were read.

    Raises:
        InputError: something of this machine would be in it.
    """
    alignment, run = read_alignment(folder / "alignment.json"), read_run(folder / "run.json")
    names = input_names(tables)
    paths = machine_paths({"config": config, "run": run["config"]})
    portable = with_names(config, {**paths, **names})
    title = f"persona-geometry: {alignment['study']}"
    day = time.strftime("%Y-%m-%d", time.gmtime((folder / "run.json").stat().st_mtime))

    files = {name: path.read_bytes() for name, path in result_files(folder).items()}
    files |= {name: Path(path).read_bytes() for path, name in names.items()}
    files |= {f"pins/{name}": (repository / "envs" / name).read_bytes() for name in PINS}
    files[CONFIG] = yaml.safe_dump(portable, allow_unicode=True, sort_keys=False).encode()
    files[CARD] = card(alignment, run, model, bundle, [*files, CARD, CHECKSUMS]).encode()
    files = {name: without_paths(name, content, paths) for name, content in files.items()}

    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files[METADATA] = metadata(files, sums, title, verdict(alignment["gates"]), day, bundle, run)
    sums[METADATA] = hashlib.sha256(files[METADATA]).hexdigest()
    files[CHECKSUMS] = checksums(sums).encode()
    for name, content in files.items():
        check_clean(name, content, (Path.cwd(), repository, Path.home()))
    return files
