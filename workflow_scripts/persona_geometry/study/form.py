"""Whether a config has the form that its schema asks for, said in one sentence where it has not."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from persona_geometry.errors import InputError
from persona_geometry.study.sections import schema
from persona_geometry.text_files import unseen

LARGEST = 2**63 - 1
LONG = {"generation.system_prompt", "model.chat_template"}
"""Texts that may have several lines."""
KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a section with keys of its own",
    "null": "nothing",
}
# JSON Schema takes 10.0 for an integer, but a layer 10.0 is no layer.
_WHOLE = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
    "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
)
_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=_WHOLE)


def check_form(config: object, source: str, wanted: Mapping[str, Any] | None = None) -> None:
    """Check a config against the schema.

    Args:
        config: the parsed YAML.
        source: name of the config file, for messages.
        wanted: another schema than that of a study.

    Raises:
        InputError: the first mistake.
    """
    for key, value in _leaves(config):
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(
                f"{source}: {key} is not valid ({value} is not a finite number); write a number."
            )
        if isinstance(value, int) and abs(value) > LARGEST:
            raise InputError(f"{source}: {key} is beyond {LARGEST}; write a smaller number.")
        if isinstance(value, str) and (found := unseen(value, lines=key in LONG)):
            raise InputError(
                f"{source}: {key} holds U+{ord(found):04X}, which cannot be seen or belongs in no "
                f"such text; remove it."
            )
    error = jsonschema.exceptions.best_match(_Validator(wanted or schema()).iter_errors(config))
    if error is None:
        return
    key = ".".join(map(str, error.absolute_path)) or "the top level"
    if error.validator == "additionalProperties":
        known = ", ".join(sorted(error.schema["properties"]))
        unknown = ", ".join(f"'{k}'" for k in error.instance if k not in error.schema["properties"])
        raise InputError(
            f"{source}: unknown key {unknown} at {key}; remove or correct it (known: {known})."
        )
    if error.validator == "required":
        missing = ", ".join(f"'{k}'" for k in error.validator_value if k not in error.instance)
        raise InputError(f"{source}: {missing} is missing at {key}; add it.")
    if error.validator == "oneOf" and key == "model":
        raise InputError(
            f"{source}: model needs 'path' (a checkpoint folder), 'gguf' (a file), or both "
            f"'name' and 'revision' (the full commit hash of a hub model), not a mixture; keep one."
        )
    shown = json.dumps(error.instance, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
    wrong, remedy = _explained(error.validator, error.validator_value, error.instance)
    raise InputError(
        f"{source}: {key} is not valid ({shown} {wrong}); {remedy} (see config/README.md)."
    )


def _explained(rule: str, wanted: Any, value: Any) -> tuple[str, str]:
    """What is wrong with a value, and what to do about it."""
    match rule:
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            return f"is {_kind(value)}", f"give {_remedy(kinds, value)}"
        case "enum":
            return f"is none of {', '.join(wanted)}", "choose one of them"
        case "minimum":
            return f"is below {wanted}", f"give at least {wanted}"
        case "exclusiveMinimum":
            return f"is not above {wanted}", f"give more than {wanted}"
        case "maximum":
            return f"is above {wanted}", f"give at most {wanted}"
        case "pattern":
            return f"does not match {wanted}", "write it in that form"
        case "minLength":
            return "is empty", "fill it in or remove the key"
        case "minItems" | "maxItems":
            return f"has {len(value)} entries", f"list {wanted}"
        case "uniqueItems":
            return "has an entry twice", "keep one of them"
    return f"breaks the rule '{rule}'", "correct it"


def _remedy(kinds: list[str], value: Any) -> str:
    if kinds[0] in ("integer", "number") and not isinstance(value, bool):
        try:
            number = float(value)
        except (TypeError, ValueError):
            pass
        else:
            return (
                f"a number as YAML reads one, {number:.0f}" if number.is_integer() else "a number"
            )
    if kinds[0] == "string" and not isinstance(value, dict | list):
        return "a text, in quotes"
    return KINDS[kinds[0]]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return KINDS["boolean"]
    if isinstance(value, float):
        return "a number with a decimal point"
    for kind, python in (
        ("integer", int),
        ("string", str),
        ("array", list),
        ("object", Mapping),
        ("null", type(None)),
    ):
        if isinstance(value, python):
            return KINDS[kind]
    return f"a {type(value).__name__}"


def _leaves(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        items: Iterator[tuple[object, object]] = iter(value.items())
    elif isinstance(value, list):
        items = iter(enumerate(value))
    else:
        yield key or "the top level", value
        return
    for name, inner in items:
        yield from _leaves(inner, f"{key}.{name}" if key else str(name))
