"""Recipes: what determines each stored result, and the key that names it.

A key is a hash of everything a result depends on and of nothing else: no persona or prompt
name, no order, no shard size. Keys are known before anything is computed, so the DAG can be
drawn from them, and equal keys of two studies are one result.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from persona_geometry.model.fingerprint import (
    fingerprint_adapter,
    fingerprint_folder,
    fingerprint_gguf,
)
from persona_geometry.study.config import Study
from persona_geometry.study.intervention import Ablation, read_ablation
from persona_geometry.study.tables import Prompt

METHOD = 2
"""Version of the measuring code; raised when a change to it changes stored numbers."""


def digest(**parts: Any) -> str:
    """Hash named parts to 20 hexadecimal digits (80 bits)."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Item:
    """One prompt's work: a shared response, and a cell for each persona.

    Attributes:
        prompt: the prompt.
        key: names the item; every cell and pair of it lives under this key.
        response: key of the shared response.
        cells: persona name to cell key, in the study's order.
        top_tokens: the same for the likeliest next tokens of each cell; empty where none are kept.
    """

    prompt: Prompt
    key: str
    response: str
    cells: dict[str, str]
    top_tokens: dict[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        """Keys of all that a GPU job certifies of the item."""
        return {*self.cells.values(), *self.top_tokens.values()}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> "Item":
        """The item that `dataclasses.asdict` made plain."""
        return cls(**{**plain, "prompt": Prompt(**plain["prompt"])})


def model_key(study: Study, fingerprint: str) -> str:
    """Key of a model as it is run: its weights and tokenizer, precision and attention kernel."""
    return digest(
        kind="model",
        fingerprint=fingerprint,
        dtype=study.model.dtype,
        attention=study.model.attention,
    )


def items(study: Study, fingerprint: str) -> list[Item]:
    """The recipes of a study, one item a prompt, in the order of the prompt table."""
    model = model_key(study, fingerprint)
    ablated = read_ablation(study)
    return [_item(study, model, ablated, prompt) for prompt in study.prompts]


def _item(study: Study, model: str, ablated: Ablation | None, prompt: Prompt) -> Item:
    response = digest(
        kind="response",
        method=METHOD,
        model=model,
        backend=study.generation.backend,
        max_new_tokens=study.generation.max_new_tokens,
        system_role=study.model.system_role,
        system=study.response_system_prompt,
        user=prompt.text,
        **_given(
            template_arguments=study.model.template_arguments,
            chat_template=study.model.chat_template,
        ),
    )
    item = item_key(response, study.scoring.end_of_turn, study.scoring.retokenize)
    forced = _given(ablated=ablated and asdict(ablated))
    cells = {
        p.name: digest(kind="cell", item=item, system=p.system_prompt, **forced)
        for p in study.personas
    }
    k = study.scoring.top_tokens
    top = {name: digest(kind="top_tokens", cell=cell, k=k) for name, cell in cells.items() if k}
    return Item(prompt, item, response, cells, top)


def _given(**parts: Any) -> dict[str, Any]:
    """The parts that say something: keys of results are older than these parts."""
    return {name: part for name, part in parts.items() if part}


def item_key(response: str, end_of_turn: bool, retokenize: bool) -> str:
    """Key of what is measured on a response, by how its tokens are scored."""
    return digest(kind="item", response=response, end_of_turn=end_of_turn, retokenize=retokenize)


def items_on(response: str) -> list[str]:
    """Keys of every item that can rest on a response."""
    either = (False, True)
    return [item_key(response, end, anew) for end in either for anew in either]


def prompts_key(study: Study, model: str) -> str:
    """Key of the check that a study's prompts become what its tables say, under a model's key."""
    return digest(
        kind="prompts",
        model=model,
        system_role=study.model.system_role,
        template_arguments=study.model.template_arguments,
        personas=sorted(persona.system_prompt for persona in study.personas),
        prompts=sorted(prompt.text for prompt in study.prompts),
        response=study.response_system_prompt,
        max_new_tokens=study.generation.max_new_tokens,
        end_of_turn=study.scoring.end_of_turn,
        **_given(chat_template=study.model.chat_template),
    )


def fingerprint(study: Study, cache: Path | None = None) -> str:
    """Fingerprint of a study's model: of its files, or of its name and pinned commit.

    Raises:
        InputError: files that are not there.
    """
    model = study.model
    if model.gguf is not None:
        base = fingerprint_gguf(model.gguf, cache)
    elif model.path is not None:
        base = fingerprint_folder(model.path, cache)
    else:
        base = model.source
    if model.adapter is None:
        return base
    return digest(kind="adapted", base=base, adapter=fingerprint_adapter(model.adapter, cache))


def with_unpacked(study: Study, cache: Path) -> Study:
    """The study with `model.path` where its GGUF file is unpacked, if it has one."""
    if study.model.gguf is None:
        return study
    folder = cache / f"gguf-{fingerprint_gguf(study.model.gguf, cache)[:20]}"
    return replace(study, model=replace(study.model, path=str(folder)))
