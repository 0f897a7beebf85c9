"""The files that a config is read from, before Snakemake merges them without a word."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from persona_geometry.errors import InputError
from persona_geometry.text_files import read_text


def check_config_files(paths: Sequence[str | Path]) -> list[str]:
    """Refuse a key that is written twice, of which only the last would count.

    Args:
        paths: of YAML or JSON files, in the order in which they are merged.

    Returns:
        A sentence for each further file, which says what it changes.

    Raises:
        InputError: a key that is written twice, or a file that is not a section of keys.
    """
    texts = {str(path): read_text(path) for path in paths}
    for path, text in texts.items():
        _check_keys(_composed(path, text), path)
    return list(_merged({path: yaml.safe_load(_untabbed(text)) for path, text in texts.items()}))


def read_config(path: str | Path) -> dict[str, Any]:
    """Read one config file.

    Raises:
        InputError: as `check_config_files`.
    """
    check_config_files([path])
    content: dict[str, Any] = yaml.safe_load(_untabbed(read_text(path)))
    return content


def _composed(path: str, text: str) -> yaml.Node:
    try:
        node = yaml.compose(_untabbed(text), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: this is no valid YAML; correct it.") from None
    if not isinstance(node, yaml.MappingNode):
        raise InputError(
            f"{path} holds no keys at its top level; write a config as config/config.yaml shows."
        )
    return node


def _untabbed(text: str) -> str:
    """YAML of a JSON that is indented by tabs."""
    return text.replace("\t", " ") if text.lstrip().startswith("{") else text


def _check_keys(node: yaml.Node, path: str, prefix: str = "") -> None:
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _check_keys(item, path, f"{prefix}{number}.")
    if not isinstance(node, yaml.MappingNode):
        return
    line_of_key: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in line_of_key:
            raise InputError(
                f"{path}, line {line}: key '{prefix}{name}' is already on line "
                f"{line_of_key[name]}, and only the last would count; remove one of them."
            )
        line_of_key[name] = line
        _check_keys(value, path, f"{prefix}{name}.")


def _merged(configs: Mapping[str, Any]) -> Iterator[str]:
    (first, *rest) = configs.items()
    below, known = [first[0]], dict(_leaves(first[1]))
    for path, config in rest:
        own = dict(_leaves(config))
        changed = [key for key in own if key in known and own[key] != known[key]]
        added = [key for key in own if key not in known]
        known |= own
        yield (
            f"{path} is merged key by key into {' and '.join(below)}: it changes "
            f"{', '.join(changed) or 'nothing'}, adds {', '.join(added) or 'nothing'}, and leaves "
            f"every other key as it was."
        )
        below.append(path)


def _leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
