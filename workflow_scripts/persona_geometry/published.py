"""The files of a study's results that are neither RDMs nor statistics: responses, and run.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.files import read_json, write_json

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
