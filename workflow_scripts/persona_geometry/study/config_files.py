"""The files that a config is read from, before Snakemake merges them without a word."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from persona_geometry.errors import InputError
from persona_geometry.text_files import read_text

_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_OTHER_BASE = re.compile(r"[-+]?(0[0-9_xb]|[0-9_]+:)")


def check_config_files(paths: Sequence[str | Path]) -> list[str]:
    """Refuse keys that are written twice, of which only the last would count, and odd numbers.

    Args:
        paths: of YAML or JSON files, in the order in which they are merged.

    Returns:
        A sentence for each further file, which says what it changes.

    Raises:
        InputError: a key that is written twice, a number in another base than ten, a section that
            holds itself, or a file that is not a section of keys.
    """
    texts = {str(path): read_text(path) for path in paths}
    for path, text in texts.items():
        _check_keys(_composed(path, text), path)
    return list(_merged({path: _loaded(path, text) for path, text in texts.items()}))


def read_config(path: str | Path) -> dict[str, Any]:
    """Read one config file.

    Raises:
        InputError: as `check_config_files`.
    """
    check_config_files([path])
    return _loaded(str(path), read_text(path))


def with_typed(
    config: Mapping[str, Any], overrides: Mapping[str, Any], nested: bool = False
) -> dict[str, Any]:
    """A config in which what the command line gave inside sections and lists has its type.

    Snakemake reads `--config 'geometry={headline_layer: 5}'` to the text "5". What is no number,
    true, false or null stays a text.

    Args:
        config: as Snakemake merged it.
        overrides: what the command line gave, as Snakemake read it.
        nested: whether it is a section of one; keys at the top level have their type already.
    """
    typed = dict(config)
    for key, given in overrides.items():
        if isinstance(given, Mapping):
            typed[key] = with_typed(config[key], given, nested=True)
        else:
            typed[key] = _typed(given) if nested or isinstance(given, list) else given
    return typed


def _typed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _composed(path: str, text: str) -> yaml.Node:
    with _valid(path):
        node = yaml.compose(_untabbed(text), Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode):
        raise InputError(
            f"{path} holds no keys at its top level; write a config as config/config.yaml shows."
        )
    return node


def _loaded(path: str, text: str) -> dict[str, Any]:
    with _valid(path):
        content: dict[str, Any] = yaml.safe_load(_untabbed(text))
    return content


@contextmanager
def _valid(path: str) -> Iterator[None]:
    """Say where a file is no YAML, or holds a value that none can be made of, as 2024-02-31."""
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: this is no valid YAML; correct it.") from None
    except ValueError as error:
        raise InputError(
            f"{path} holds a value that YAML cannot read ({error}); correct it, or put it in "
            f"quotes."
        ) from None


def _untabbed(text: str) -> str:
    """YAML of a JSON that is indented by tabs."""
    return text.replace("\t", " ") if text.lstrip().startswith("{") else text


def _check_keys(node: yaml.Node, path: str, prefix: str = "", above: tuple[int, ...] = ()) -> None:
    """Refuse keys written twice, numbers that YAML reads as others, and sections in themselves."""
    if id(node) in above:
        raise InputError(
            f"{path}, line {node.start_mark.line + 1}: '{prefix.rstrip('.')}' refers to the "
            f"section that it is in; write out what it should hold."
        )
    above = (*above, id(node))
    if isinstance(node, yaml.ScalarNode):
        _check_number(node, path, prefix.rstrip("."))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _check_keys(item, path, f"{prefix}{number}.", above)
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
        _check_keys(value, path, f"{prefix}{name}.", above)


def _check_number(node: yaml.ScalarNode, path: str, key: str) -> None:
    """Refuse a number in base 2, 8, 16 or 60, which few who write 010 or 2:30 mean."""
    if node.tag in _NUMBERS and _OTHER_BASE.match(node.value):
        read = yaml.safe_load(node.value)
        raise InputError(
            f"{path}, line {node.start_mark.line + 1}: {key} is {node.value}, which YAML reads as "
            f"{read}; write that number, or put the text in quotes."
        )


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
