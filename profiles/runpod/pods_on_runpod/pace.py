"""How fast RunPod may be asked: what it said of its limits, shared by every command here."""

import json
import math
import os
import re
import time
from email.message import Message
from pathlib import Path
from typing import Any

# Requests of a window that are not spent on looking, so that pods can still be deleted.
RESERVE = 10
# No published window is longer than a day.
LONGEST = 86400.0
WINDOW = re.compile(r'"\w+"((?:;\w+=\d+)+)')


def retry_after(headers: Message) -> float:
    """Seconds that a Retry-After header asks to wait, 0 where it says nothing of use."""
    try:
        seconds = float(headers.get("Retry-After") or 0)
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), LONGEST) if math.isfinite(seconds) else 0.0


def until_reset(headers: Message, reserve: int) -> float:
    """Seconds until every window of a RateLimit header has more than `reserve` requests left."""
    waits = [0.0]
    for window in WINDOW.findall(headers.get("RateLimit") or ""):
        values = dict(part.split("=") for part in window.strip(";").split(";"))
        if int(values.get("r", reserve + 1)) <= reserve:
            waits.append(min(float(values.get("t", 0)), LONGEST))
    return max(waits)


class Pace:
    """Until when requests are held back, by method, in a file that all commands share."""

    def __init__(self, file: Path):
        self._file = file

    def held(self, method: str) -> tuple[float, str]:
        """Seconds that a request of this method has to wait yet (0: none), and why."""
        holds, now = self._holds(), time.time()
        until, why = max(holds.get(kind, [0.0, ""]) for kind in ("any", method))
        # A clock that was set back must not hold requests for longer than RunPod ever asks.
        return (until - now, why) if 0 < until - now <= LONGEST else (0.0, "")

    def hold(self, method: str, seconds: float, why: str) -> None:
        """Hold back requests of a method, or of "any", for some seconds."""
        if seconds > 0:
            holds = self._holds() | {method: [time.time() + seconds, why]}
            draft = self._file.with_name(f".{self._file.name}.{os.uname().nodename}.{os.getpid()}")
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(holds))
            draft.replace(self._file)

    def heed(self, headers: Message) -> None:
        """Take in what an answer says of the quota: the last requests of it are for deleting."""
        for method, reserve in (("any", 0), ("GET", RESERVE), ("POST", RESERVE)):
            self.hold(
                method, until_reset(headers, reserve), "few requests are left of RunPod's quota"
            )

    def _holds(self) -> dict[str, list[Any]]:
        try:
            holds: dict[str, list[Any]] = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        return holds
