"""The files of results that are no RDMs or statistics: responses, top tokens, and run.json."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.files import read_arrays, read_json, write_arrays, write_json

COMPARISONS = "comparisons"
"""The folder, beside those of the studies, of what is compared between them."""


@dataclass(frozen=True)
class PublishedResponse:
    """A shared response as it lies among the results.

    Attributes:
        prompt: name of the prompt.
        user: its text.
        token_ids: the response's tokens as generated.
        text: the same, decoded without special tokens.
        finish_reason: "stop" where the model ended its turn, "length" where it was cut.
    """

    prompt: str
    user: str
    token_ids: list[int]
    text: str
    finish_reason: str


def write_published_response(path: str | Path, response: PublishedResponse) -> None:
    """Write what `read_published_response` reads."""
    write_json(path, vars(response), indent=1)


def read_published_response(path: str | Path) -> PublishedResponse:
    """Read a response from a study's results.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return PublishedResponse(**read_json(path))
    except TypeError:
        raise InputError(f"{path} holds no response; run the workflow again.") from None


@dataclass(frozen=True)
class PublishedTopTokens:
    """The k likeliest next tokens of N personas at every scored token of Q responses.

    Attributes:
        prompts: names of the Q prompts.
        personas: names of the N personas.
        lengths: (Q,) scored tokens of each response.
        ids: (N, T, k) int32 token ids, likeliest first; T the tokens of all responses, one
            response after the other.
        log_probabilities: (N, T, k) float16, in nats.
    """

    prompts: list[str]
    personas: list[str]
    lengths: np.ndarray
    ids: np.ndarray
    log_probabilities: np.ndarray

    def of(self, prompt: str, personas: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids and log-probabilities of some personas on one prompt, each (n, tokens, k)."""
        place = self.prompts.index(prompt)
        stop = int(self.lengths[: place + 1].sum())
        rows = [self.personas.index(name) for name in personas]
        of_prompt = slice(stop - int(self.lengths[place]), stop)
        return self.ids[rows, of_prompt], self.log_probabilities[rows, of_prompt]


def write_top_tokens(path: str | Path, top: PublishedTopTokens) -> None:
    """Write what `read_top_tokens` reads."""
    write_arrays(path, **vars(top))


def read_top_tokens(path: str | Path) -> PublishedTopTokens:
    """Read a study's top tokens.

    Raises:
        InputError: the file is missing or damaged.
    """
    arrays = read_arrays(path)
    try:
        return PublishedTopTokens(
            prompts=arrays["prompts"].tolist(),
            personas=arrays["personas"].tolist(),
            **{name: arrays[name] for name in ("lengths", "ids", "log_probabilities")},
        )
    except KeyError:
        raise InputError(f"{path} holds no top tokens; run the workflow again.") from None


def write_run(path: str | Path, record: dict[str, Any]) -> None:
    """Write what `report.run_record` put together."""
    write_json(path, record, indent=1)


def read_run(path: str | Path) -> dict[str, Any]:
    """Read run.json: where a study's numbers come from.

    Raises:
        InputError: the file is missing or damaged.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no run record; run the workflow again.")
    return content
