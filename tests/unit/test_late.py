"""Files that a receipt certifies are waited for where other machines write them."""

import os
import time
from pathlib import Path

import pytest

from persona_geometry.errors import InputError
from persona_geometry.store import late
from persona_geometry.store.late import patiently


class Reading:
    """A read that fails so many times."""

    def __init__(self, failures: int) -> None:
        self.failures, self.tries = failures, 0

    def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self.failures:
            raise InputError("is missing")
        return "read"


@pytest.fixture
def receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(late, "PAUSE", 0.01)
    monkeypatch.setenv(late.SECONDS, "100")
    path = tmp_path / "receipt.json"
    path.touch()
    return path


def test_late_files_of_a_new_receipt_are_waited_for(receipt: Path) -> None:
    reading = Reading(3)
    assert patiently(reading, [receipt]) == "read" and reading.tries == 4


def test_files_of_an_old_receipt_are_not_under_way(receipt: Path) -> None:
    os.utime(receipt, (time.time() - 101,) * 2)
    reading = Reading(1)
    with pytest.raises(InputError, match="is missing"):
        patiently(reading, [receipt])
    assert reading.tries == 1


def test_nothing_is_waited_for_on_one_machine(
    receipt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(late.SECONDS)
    reading = Reading(1)
    with pytest.raises(InputError, match="is missing"):
        patiently(reading, [receipt])
    assert reading.tries == 1
