"""Counts that sentences give: functions of a part of a file, so that all can be counted again."""

from collections.abc import Callable, Mapping
from typing import Any

from persona_geometry.comparison.verdict import UNTOLD
from persona_geometry.report.sourced import SourcedInt, plain
from persona_geometry.rsa.significance import significant

HALF = 0.5


def _values(of: Any) -> list[Any]:
    return list(of.values()) if isinstance(of, Mapping) else list(of)


COUNTS: dict[str, Callable[[Any], int]] = {
    "entries": len,
    "known": lambda of: sum(value is not None for value in _values(of)),
    "lacking": lambda of: sum(value is None for value in _values(of)),
    "above_half": lambda of: sum(value is not None and value > HALF for value in _values(of)),
    "at_level": lambda of: sum(map(significant, _values(of))),
    "step_down_at_level": lambda of: COUNTS["at_level"]([r["step_down_p"] for r in _values(of)]),
    "step_down_known": lambda of: COUNTS["known"]([r["step_down_p"] for r in _values(of)]),
    "step_down_lacking": lambda of: COUNTS["lacking"]([r["step_down_p"] for r in _values(of)]),
    "fdr_at_level": lambda of: COUNTS["at_level"]([r["fdr_q"] for r in _values(of)]),
    "cells_known": lambda of: sum(COUNTS["known"](row) for row in of),
    "cells_at_level": lambda of: sum(COUNTS["at_level"](row) for row in of),
    "decoupled": lambda of: sum(row["decoupled"] for row in of),
    "untold": lambda of: sum(one["outcome"] == UNTOLD for one in of),
    "changed": lambda of: sum(bool(run["repository"]["changed"]) for run in _values(of)),
    "cut": lambda of: sum(response["finish_reason"] == "length" for response in _values(of)),
}


def counted(kind: str, of: Any) -> int:
    """A count of something, with its source where that has one.

    Args:
        kind: one of `COUNTS`.
        of: what that takes.
    """
    value = COUNTS[kind](plain(of))
    if not hasattr(of, "source"):
        return value
    count = SourcedInt(value)
    count.source, count.kind = of.source, f"count:{kind}"
    return count
