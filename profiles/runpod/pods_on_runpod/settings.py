"""The settings of `profiles/runpod/settings.yaml`, and the API key, which is never among them."""

import os
import re
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class SettingsError(ValueError):
    """Settings that cannot work, in one sentence that says what to mend."""


@dataclass(frozen=True)
class Settings:
    """What a pod is made of, and the limits on money and time. Minutes may be fractions."""

    name: str  # every pod of this project is called {name}-...
    api: str
    key_file: Path
    image: str
    gpu_type: str
    cloud: str
    network_volume: str
    data_center: str | None  # of the network volume
    mount_path: Path
    disk_gb: int
    environment: list[str]  # names of variables that pods are given as they are here
    pod_secret: str | None
    max_pods: int
    max_usd_per_hour: float  # of one pod
    deadline_minutes: float
    start_minutes: float
    capacity_minutes: float
    retry_seconds: float
    poll_seconds: float


KINDS: dict[str, type | tuple[type, ...]] = {
    "max_pods": int,
    "disk_gb": int,
    "environment": list,
    **dict.fromkeys(
        ("max_usd_per_hour", "deadline_minutes", "start_minutes", "capacity_minutes"), (int, float)
    ),
    **dict.fromkeys(("retry_seconds", "poll_seconds"), (int, float)),
    **dict.fromkeys(("data_center", "pod_secret"), (str, type(None))),
}


def read_settings(path: Path) -> Settings:
    """Read and check the settings file; `PERSONA_GEOMETRY_RUNPOD_SETTINGS` names another one.

    Raises SettingsError for a key that is missing, unknown or of the wrong type, and where the API
    would be spoken to without encryption.
    """
    import yaml

    path = Path(os.environ.get("PERSONA_GEOMETRY_RUNPOD_SETTINGS", path))
    try:
        given: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {error}.") from None
    names = [field.name for field in fields(Settings)]
    for name in sorted(set(names) ^ set(given)):
        word = "is missing" if name in names else "is not a setting"
        raise SettingsError(f"{path}: {name} {word}; the settings are {', '.join(names)}.")
    for name, value in given.items():
        kind = KINDS.get(name, str)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise SettingsError(f"{path}: {name} is {value!r}, which is not of the right type.")
        if isinstance(value, int | float) and value <= 0:
            raise SettingsError(f"{path}: {name} is {value}; it must be above zero.")
        if isinstance(value, str) and (not value or value.startswith("<")):
            raise SettingsError(f"{path}: {name} is not filled in.")
    for name in given["environment"]:
        if re.search("KEY|TOKEN|SECRET|PASSWORD", str(name), re.IGNORECASE):
            raise SettingsError(
                f"{path}: environment has {name}, and what is sent there is readable in RunPod's "
                "console; secrets do not belong in it."
            )
    host = urlsplit(given["api"])
    if host.scheme != "https" and host.hostname != "127.0.0.1":
        raise SettingsError(f"{path}: api must be an https address, so that the key stays secret.")
    if host.path.strip("/") or (host.hostname or "").startswith("rest."):
        raise SettingsError(
            f"{path}: api is {given['api']}; give the address of version 2 of RunPod's API without "
            "a path (https://api.runpod.io): version 1 is being retired."
        )
    given["key_file"] = Path(given["key_file"]).expanduser()
    given["mount_path"] = Path(given["mount_path"])
    return Settings(**given)


def read_key(settings: Settings) -> str:
    """The account's API key: from the key file where there is one, else from RUNPOD_API_KEY.

    The file comes first because RunPod gives every pod a key of its own in that variable, which
    cannot create pods. Raises SettingsError where others may read the file, or there is no key.
    """
    path = settings.key_file
    if path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise SettingsError(
                f"The API key in {path} can be read by others (mode {mode:04o}): "
                f"run chmod 600 {path}, and replace the key if anyone may have seen it."
            )
        key, source = path.read_text().strip(), str(path)
    else:
        key, source = os.environ.get("RUNPOD_API_KEY", "").strip(), "RUNPOD_API_KEY"
    if not key:
        raise SettingsError(f"There is no RunPod API key: write it to {path} (mode 0600).")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(f"The API key from {source} has characters that no key has.")
    return key
