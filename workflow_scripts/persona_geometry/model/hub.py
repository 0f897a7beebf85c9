"""Finding a model: in a folder, or on the Hugging Face hub.

Runs on the machine that starts the workflow, so that weights are downloaded once, and a model
that cannot be had is known before a GPU is asked for.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.files import read_json
from persona_geometry.model.adapter import check_adapter
from persona_geometry.model.checkpoint import inspect_checkpoint, read_config, weight_files
from persona_geometry.model.gguf import UNPACKED
from persona_geometry.study.sections import Model

HUB_SECONDS = 10.0
"""That the hub may take to tell about a model."""
WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja")


def cache_folder() -> Path:
    """The local cache of hub models: where HF_HUB_CACHE, or else HF_HOME, says."""
    general = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    home = Path(os.environ.get("HF_HOME", general))
    return Path(os.path.expandvars(os.environ.get("HF_HUB_CACHE", home / "hub"))).expanduser()


def cached_snapshot(name: str, revision: str) -> Path | None:
    """Folder of a hub model in the local cache, or None where it is not there or not whole.

    Needs neither network nor imports.
    """
    folder = _snapshot_path(name, revision)
    return folder if _has_weights(folder) else None


def _snapshot_path(name: str, revision: str) -> Path:
    return cache_folder() / f"models--{name.replace('/', '--')}" / "snapshots" / revision


def model_folder(model: Model) -> Path:
    """Folder of a model that `describe_model` has found; never asks the network.

    That of a GGUF file is where it was unpacked.

    Raises:
        InputError: a hub model that is not in this machine's cache.
    """
    if model.path is not None:
        return Path(model.path)
    name, revision = model.hub
    folder = cached_snapshot(name, revision)
    if folder is None:
        raise InputError(
            f"The model {name} is not in the cache {cache_folder()} of this machine, "
            f"although it was found before the job started: let HF_HOME name a folder that this "
            f"machine shares with the one that started the workflow."
        )
    return folder


def known_config(model: Model) -> dict[str, Any] | None:
    """A model's config.json, where it is on this machine already."""
    if model.gguf is not None:
        if model.path is None or not (Path(model.path) / "config.json").is_file():
            return None
    elif model.path is None and not cached_snapshot(*model.hub):
        return None
    return read_config(model_folder(model))


@dataclass(frozen=True)
class Outline:
    """What can be told of a model before it is found; None is unknown.

    Attributes:
        config: its config.json.
        weight_bytes: size of its weight files.
        download_bytes: what is still to be downloaded.
        unknown: a sentence on why something is unknown.
    """

    config: dict[str, Any] | None
    weight_bytes: int | None
    download_bytes: int | None
    unknown: str | None = None


def outline_model(model: Model) -> Outline:
    """What this machine, or else the hub, says of a model; no weights are fetched."""
    config = known_config(model)
    if config is not None:
        sizes = [file.stat().st_size for file in weight_files(model_folder(model))]
        return Outline(config, sum(sizes), 0)
    if model.gguf is not None:
        return Outline(None, None, 0, "The GGUF file is not unpacked yet.")
    return _outline_of_hub(*model.hub)


def _outline_of_hub(name: str, revision: str) -> Outline:
    from huggingface_hub import errors, hf_hub_download, model_info

    folder = _snapshot_path(name, revision)
    try:
        told = model_info(name, revision=revision, files_metadata=True, timeout=HUB_SECONDS)
        files = {file.rfilename: file.size or 0 for file in told.siblings or ()}
        config = read_config(Path(hf_hub_download(name, "config.json", revision=revision)).parent)
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:
        kept = read_config(folder) if (folder / "config.json").is_file() else None
        return Outline(kept, None, None, _explain(error, name, revision))
    wanted = {path: size for path, size in files.items() if any(fnmatch(path, w) for w in WANTED)}
    return Outline(
        config=config,
        weight_bytes=sum(s for path, s in wanted.items() if fnmatch(path, "model*.safetensors")),
        download_bytes=sum(s for path, s in wanted.items() if not (folder / path).is_file()),
    )


def finding_message(model: Model) -> str:
    """What finding the model will take, for the dry run."""
    if model.path is not None:
        return f"Read the model in {model.source}"
    name, revision = model.hub
    if cached_snapshot(name, revision):
        return f"Find {name} at {revision[:12]} in the local cache"
    return f"Download {name} at {revision[:12]} from the hub, once, on this machine"


def describe_model(model: Model, report: Callable[[str], None]) -> dict[str, Any]:
    """Find a model and say what it is.

    Args:
        model: a study's `model` section.
        report: told what is downloaded.

    Returns:
        "source" (folder, GGUF file, or name and commit), "config" (its config.json) and
        "weight_bytes"; of a GGUF file also "quantised", its number of tensors of each kind.

    Raises:
        InputError: the model is not there, is gated, cannot be reached, or is no whole causal
            language model.
    """
    folder = Path(model.path) if model.path is not None else _snapshot(*model.hub, report)
    described = inspect_checkpoint(folder, model.source, has_template=bool(model.chat_template))
    if model.gguf is not None:
        described["quantised"] = read_json(folder / UNPACKED)["tensors"]
    if model.adapter is not None:
        check_adapter(Path(model.adapter))
    return {"source": model.source, **described}


def _has_weights(folder: Path) -> bool:
    """Whether a folder holds a config and every weight file that its index names, if it has one."""
    try:
        return bool(weight_files(folder)) and (folder / "config.json").is_file()
    except InputError:
        return False


def _snapshot(name: str, revision: str, report: Callable[[str], None]) -> Path:
    """Folder of a hub model in the local cache, downloaded if it is not there."""
    from huggingface_hub import errors, snapshot_download

    fetch: dict[str, Any] = {
        "repo_id": name,
        "revision": revision,
        "allow_patterns": list(WANTED),
    }
    try:
        with contextlib.suppress(errors.LocalEntryNotFoundError):
            folder = Path(snapshot_download(**fetch, local_files_only=True))
            if _has_weights(folder):
                return folder
        report(f"{name} at {revision[:12]} is not in the local cache; downloading it")
        folder = Path(snapshot_download(**fetch))
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:
        raise InputError(_explain(error, name, revision)) from error
    if not _has_weights(folder):
        raise InputError(
            f"The model {name} is not whole in {folder}: either it has no .safetensors weights "
            f"and must be converted, or its download was interrupted and the hub cannot be "
            f"reached to finish it."
        )
    return folder


def _explain(error: Exception, name: str, revision: str) -> str:
    """What a failed download means, and what to do about it, in one sentence."""
    from huggingface_hub import errors, get_token

    if isinstance(error, errors.HFValidationError):
        return f"'{name}' cannot be the name of a hub model; correct model.name (owner/model)."
    if isinstance(error, OSError) and error.errno:
        return (
            f"The model {name} cannot be kept in {cache_folder()} ({error.strerror}): free some "
            f"space there, or let HF_HOME name another folder."
        )
    token = "the token in use does not open it" if get_token() else "no token is set"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"The model {name} is gated and {token}: accept its terms on its hub page and set "
            f"HF_TOKEN to a token of the account that did."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"The model {name} has no commit {revision}; correct model.revision."
    # The client reports some refusals as a missing local file.
    answer = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else error
    status = answer.response.status_code if isinstance(answer, errors.HfHubHTTPError) else None
    if status in (401, 403, 404):
        return (
            f"There is no model {name} on the hub, or it is private and {token}: correct "
            f"model.name, or set HF_TOKEN to a valid token that may read it."
        )
    if status is not None:
        return (
            f"The hub cannot deliver the model {name} now (HTTP {status}): run the workflow again "
            f"later, which goes on where the download stopped, or give model.path."
        )
    return (
        f"The model {name} is not in the cache {cache_folder()} and the hub cannot be reached: "
        f"download it on a machine with network access, or give model.path."
    )
