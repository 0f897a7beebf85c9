"""Finding a model: in a folder, or on the Hugging Face hub.

Runs on the machine that starts the workflow, so that weights are downloaded once, and a model
that cannot be had is known before a GPU is asked for.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from persona_geometry.errors import InputError

WEIGHT_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


def cached_snapshot(name: str, revision: str) -> Path | None:
    """Folder of a hub model in the local cache, or None; needs neither network nor imports.

    The cache is where HF_HUB_CACHE, or else HF_HOME, says.
    """
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
    folder = cache / f"models--{name.replace('/', '--')}" / "snapshots" / revision
    return folder if (folder / "config.json").is_file() else None


def known_config(settings: dict[str, Any]) -> dict[str, Any] | None:
    """A model's config.json, where it is on this machine already."""
    if "path" in settings:
        folder: Path | None = Path(settings["path"])
    else:
        folder = cached_snapshot(settings["name"], settings["revision"])
    return json.loads((folder / "config.json").read_text()) if folder else None


def finding_message(settings: dict[str, Any]) -> str:
    """What finding the model will take, for the dry run."""
    if "path" in settings:
        return f"Read the model in {settings['path']}"
    name, revision = settings["name"], settings["revision"]
    if cached_snapshot(name, revision):
        return f"Find {name} at {revision[:12]} in the local cache"
    return f"Download {name} at {revision[:12]} from the hub, once, on this machine"


def describe_model(settings: dict[str, Any], report: Callable[[str], None]) -> dict[str, Any]:
    """Find a model and say what it is.

    Args:
        settings: a study's `model` section: `path`, or `name` and `revision`.
        report: told what is downloaded.

    Returns:
        "source" (folder, or name and commit), "config" (its config.json) and "weight_bytes".

    Raises:
        InputError: the model is not there, is gated, or cannot be reached.
    """
    if "path" in settings:
        folder, source = Path(settings["path"]), settings["path"]
    else:
        source = f"{settings['name']}@{settings['revision']}"
        folder = _snapshot(settings["name"], settings["revision"], report)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise InputError(f"The model {source} has no .safetensors weights; convert it to them.")
    return {
        "source": source,
        "config": json.loads((folder / "config.json").read_text()),
        "weight_bytes": sum(file.stat().st_size for file in weights),
    }


def _snapshot(name: str, revision: str, report: Callable[[str], None]) -> Path:
    """Folder of a hub model in the local cache, downloaded if it is not there."""
    from huggingface_hub import errors, snapshot_download

    fetch = {"repo_id": name, "revision": revision, "allow_patterns": list(WEIGHT_FILES)}
    try:
        return Path(snapshot_download(**fetch, local_files_only=True))
    except (errors.LocalEntryNotFoundError, FileNotFoundError):
        report(f"{name} at {revision[:12]} is not in the local cache; downloading it")
    try:
        return Path(snapshot_download(**fetch))
    except errors.GatedRepoError as error:
        raise InputError(
            f"The model {name} is gated: accept its terms on its hub page and set HF_TOKEN to a "
            f"token of an account that has access."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(
            f"The model {name} has no commit {revision}; correct model.revision."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"There is no model {name} on the hub, or it is private: correct model.name, or set "
            f"HF_TOKEN to a token that may read it."
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, OSError) as error:
        raise InputError(
            f"The model {name} is not in the cache and the hub cannot be reached: download it on "
            f"a machine with network access (HF_HOME says where it is kept), or give model.path."
        ) from error
