"""A checkpoint's tokenizer and chat template, read as files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.parser

from persona_geometry.errors import InputError

CONFIG = "tokenizer_config.json"
TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.*.json",
    "*.model",
    "tokenizer.model.*",
    "vocab.json",
    "vocab.txt",
    "*.tiktoken",
    "tekken.json",
)
TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates/*.jinja")
_ROLES = ("bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token")


class _Generation(jinja2.ext.Extension):
    """The tag `generation` that transformers adds to the language of templates."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


_LANGUAGE = jinja2.Environment(extensions=[_Generation, "jinja2.ext.loopcontrols"])


def template_variables(template: str) -> set[str]:
    """What a chat template expects to be given, the functions of transformers included."""
    return jinja2.meta.find_undeclared_variables(_LANGUAGE.parse(template))


def check_chat_template(folder: Path) -> None:
    """Refuse a checkpoint without a chat template, or with one that is not Jinja.

    Raises:
        InputError: names the file, and the line of the fault.
    """
    templates = _templates(folder)
    if "default" not in templates:
        raise InputError(
            f"The tokenizer in {folder} has no chat template (chat_template.jinja, or "
            f"chat_template in {CONFIG}); use an instruction-tuned model, or add its template."
        )
    for name, template in templates.items():
        try:
            _LANGUAGE.parse(template)
        except jinja2.TemplateSyntaxError as error:
            raise InputError(
                f"The chat template '{name}' in {folder} is broken at line {error.lineno} "
                f"({error.message}); download the checkpoint again, or correct it."
            ) from error


def check_tokenizer(folder: Path, rows: int) -> None:
    """Refuse a checkpoint without a tokenizer, or with one that has more tokens than embeddings.

    Special tokens beyond the embedding are let pass where neither the template nor a role uses
    them, as the image token of a text model.

    Args:
        folder: the checkpoint.
        rows: rows of the embedding.
    """
    if not any(file for pattern in TOKENIZERS for file in folder.glob(pattern)):
        raise InputError(
            f"{folder} holds no tokenizer (such as tokenizer.json); save the model's tokenizer "
            f"beside its weights."
        )
    if (
        "AutoTokenizer" in (_read(folder / CONFIG).get("auto_map") or {})
        and not (folder / "tokenizer.json").is_file()
    ):
        raise InputError(
            f"The tokenizer in {folder} needs code of its own (auto_map in {CONFIG}), which this "
            f"workflow does not run; save it as tokenizer.json."
        )
    used = "".join(_templates(folder).values())
    roles = {str(_content(_read(folder / CONFIG).get(role))) for role in _ROLES}
    for place, token, number, special in _tokens(folder):
        if rows and number >= rows and not (special and token not in used and token not in roles):
            raise InputError(
                f"{place} gives the token {token!r} the id {number}, but the model's embedding "
                f"has {rows} rows; give the tokenizer that belongs to the weights."
            )


def _templates(folder: Path) -> dict[str, str]:
    """Chat templates by name: those in files of their own, or else those in the config."""
    files = {"default": folder / "chat_template.jinja"}
    files |= {file.stem: file for file in folder.glob("additional_chat_templates/*.jinja")}
    templates = {name: _text(file) for name, file in files.items() if file.is_file()}
    if not templates:
        given = _read(folder / CONFIG).get("chat_template")
        named = given if isinstance(given, list) else [{"name": "default", "template": given}]
        try:
            templates = {str(entry.get("name")): entry.get("template") or "" for entry in named}
            return {name: text for name, text in templates.items() if text.strip()}
        except AttributeError:
            raise InputError(
                f"chat_template in {folder / CONFIG} is neither a text nor a list of named texts; "
                f"download the checkpoint again."
            ) from None
    return {name: text for name, text in templates.items() if text.strip()}


def _tokens(folder: Path) -> Iterator[tuple[Path, str, int, bool]]:
    """File, text, id and speciality of every token that a JSON file names."""
    file, config = folder / "tokenizer.json", folder / CONFIG
    content = _read(file)
    try:
        vocabulary = (content.get("model") or {}).get("vocab") or {}
        if isinstance(vocabulary, list):
            vocabulary = {entry[0]: number for number, entry in enumerate(vocabulary)}
        added = {entry["id"]: entry for entry in content.get("added_tokens") or []}
        for token, number in vocabulary.items():
            if number not in added:
                yield file, token, int(number), False
        for number, entry in added.items():
            yield file, entry["content"], int(number), bool(entry.get("special"))
        file = config
        for number, entry in (_read(config).get("added_tokens_decoder") or {}).items():
            yield config, entry["content"], int(number), bool(entry.get("special"))
        for name in () if content else ("vocab.json", "added_tokens.json"):
            file = folder / name
            for token, number in _read(file).items():
                yield file, token, int(number), False
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(
            f"{file} does not list tokens as a tokenizer does; download the checkpoint again."
        ) from None


def _content(token: Any) -> str | None:
    return token.get("content") if isinstance(token, dict) else token


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8; download the checkpoint again.") from None


def _read(file: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is no file."""
    return read_object(file) if file.is_file() else {}


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint.

    Raises:
        InputError: not UTF-8, or not a JSON object.
    """
    try:
        content = json.loads(_text(file))
    except (json.JSONDecodeError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{file} is not a JSON object; download the checkpoint again.")
    return content
