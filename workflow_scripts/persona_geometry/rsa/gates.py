"""Gates: thresholds fixed in the config, evaluated on the statistics of a layer."""

import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.rsa.catalogue import NEEDS, NO_GATES, Scope, Statistic, catalogue, in_words
from persona_geometry.rsa.reasons import first_key, why_null
from persona_geometry.study.sections import Gate

COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


def check(gates: Sequence[Gate], scope: Scope) -> list[str]:
    """Refuse gates that mean nothing in a study.

    Returns:
        A sentence for each gate that cannot be evaluated, as the study lacks what it needs, and
        for every two that cannot both pass.

    Raises:
        InputError: a statistic that does not exist or may not carry a gate, a threshold that every
            value or no value meets, or a gate given twice.
    """
    known = catalogue(scope)
    lacking = []
    for place, gate in enumerate(gates):
        name = gate.statistic
        if name in NO_GATES:
            raise InputError(f"A gate on '{name}' is refused: {NO_GATES[name]}.")
        if name not in known:
            raise InputError(f"A gate names the statistic '{name}', {_not_there(name, known)}.")
        if gate in gates[:place]:
            raise InputError(f"The gate on {name} at layer {gate.layer} stands twice; remove one.")
        _check_threshold(gate, known[name], scope)
        if missing := sorted(known[name].needs - scope.has):
            lacking.append(
                f"The gate on {name} will not be evaluated, and so not pass: it needs "
                f"{' and '.join(NEEDS[need] for need in missing)}."
            )
    return lacking + list(_contradictions(gates))


def _contradictions(gates: Sequence[Gate]) -> Iterator[str]:
    """A sentence for every two gates of which no value passes both."""
    for one, other in itertools.combinations(gates, 2):
        floor, ceiling = (one, other) if one.comparison.startswith(">") else (other, one)
        if (
            (one.statistic, one.layer) == (other.statistic, other.layer)
            and floor.comparison.startswith(">")
            and ceiling.comparison.startswith("<")
            and not (
                COMPARISONS[ceiling.comparison](floor.threshold, ceiling.threshold)
                and COMPARISONS[floor.comparison](ceiling.threshold, floor.threshold)
            )
        ):
            yield (
                f"The gates on {one.statistic} at layer {one.layer} cannot both pass: one asks for "
                f"{floor.comparison} {floor.threshold:g}, the other for {ceiling.comparison} "
                f"{ceiling.threshold:g}."
            )


def _not_there(name: str, known: Mapping[str, Statistic]) -> str:
    inner = [other for other in known if other.startswith(f"{name}.")]
    if inner:
        return f"which is not a single number; name one of its parts, such as {inner[0]}"
    near = get_close_matches(name, known, n=1)
    nearest = f"the nearest is {near[0]}, and " if near else ""
    return f"which does not exist in this study; {nearest}all names are in docs/outputs.md"


def _check_threshold(gate: Gate, statistic: Statistic, scope: Scope) -> None:
    """Refuse what any value would meet, and what none would."""
    ends = statistic.low, statistic.high
    least, most = ends if gate.comparison.startswith(">") else reversed(ends)
    meets = COMPARISONS[gate.comparison]
    written = f"A gate asks for {gate.statistic} {gate.comparison} {gate.threshold:g}"
    ranges = f"its values lie between {statistic.low:.3g} and {statistic.high:g}"
    if not meets(most, gate.threshold):
        sampled = statistic.test and not scope.tests[statistic.test].enumerated
        more = ", or raise alignment.permutations" if sampled else ""
        raise InputError(f"{written}, which can never hold, as {ranges}; correct it{more}.")
    if meets(least, gate.threshold):
        raise InputError(f"{written}, which always holds, as {ranges}; correct the threshold.")


def look_up(statistics: Mapping[str, Any], path: str) -> Any:
    """A statistic by name; a dot goes into a statistic made of several.

    Raises:
        InputError: there is no such statistic, or it may not carry a gate.
    """
    if path in NO_GATES:
        raise InputError(f"A gate on '{path}' is refused: {NO_GATES[path]}.")
    value: Any = statistics
    rest = path
    while rest:
        if value is None:
            return None
        key = first_key(rest, value)
        if key is None:
            if isinstance(value, Mapping) and rest.isdigit():
                return None  # a cutoff that was not measured
            raise InputError(
                f"A gate names the statistic '{path}', which does not exist; see "
                f"docs/outputs.md for the names."
            )
        value, rest = value[key], rest[len(key) + 1 :]
    if isinstance(value, Mapping | list):
        raise InputError(f"A gate names '{path}', which is not a single number.")
    return value


def evaluate(
    gates: Sequence[Gate], statistics: Mapping[str, Any], scope: Scope | None = None
) -> list[dict[str, Any]]:
    """Each gate with its value and outcome.

    Args:
        gates: of the study.
        statistics: at the layer of interest.
        scope: of the study; without it a test's smallest p, and what the study lacks, are unknown.

    Returns:
        Each gate's `statistic`, `comparison`, `threshold`, `value`, `passed` (None where it was not
        evaluated), the same as `status` ("pass", "fail" or "not_evaluated") and `reason`: in words,
        why it was not evaluated, or None.
    """
    known = catalogue(scope) if scope else {}
    results = []
    for gate in gates:
        value = look_up(statistics, gate.statistic)
        reason = _why_not(gate, value, statistics, known.get(gate.statistic), scope)
        passed = None if reason else COMPARISONS[gate.comparison](value, gate.threshold)
        results.append(
            {
                "statistic": gate.statistic,
                "comparison": gate.comparison,
                "threshold": gate.threshold,
                "value": value,
                "passed": passed,
                "status": {True: "pass", False: "fail", None: "not_evaluated"}[passed],
                "reason": reason,
            }
        )
    return results


def _why_not(
    gate: Gate,
    value: float | None,
    statistics: Mapping[str, Any],
    known: Statistic | None,
    scope: Scope | None,
) -> str | None:
    """Why a gate cannot be evaluated; None where it can."""
    if value is None:
        if scope and known is None:
            return "It was not measured."
        if scope and known and (missing := known.needs - scope.has):
            return in_words(missing)
        return why_null(gate.statistic, statistics)
    tested = known is not None and known.test and gate.comparison.startswith("<")
    if known and tested and not COMPARISONS[gate.comparison](known.low, gate.threshold):
        return (
            f"The test's smallest possible p is {known.low:.3g}, so no data could have met the "
            f"threshold."
        )
    return None


def verdict(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """What came of all gates, in a sentence."""
    if not outcomes:
        return "The study sets no gates."
    passed, failed, unknown = (
        sum(gate["passed"] is outcome for gate in outcomes) for outcome in (True, False, None)
    )
    if unknown == len(outcomes):
        return "No gate was evaluated."
    if passed == len(outcomes):
        return "All gates pass."
    parts = [f"{passed} of {len(outcomes)} pass{'es' if passed == 1 else ''}"]
    if failed:
        parts.append(f"{failed} fail{'s' if failed == 1 else ''}")
    if unknown:
        parts.append(f"{unknown} {'was' if unknown == 1 else 'were'} not evaluated")
    lead = "Not all gates pass" if failed else "Not all gates were evaluated"
    return f"{lead}: {', '.join(parts)}."


def all_pass(outcomes: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether every gate passes; None where none was evaluated. One not evaluated never passes."""
    if all(gate["passed"] is None for gate in outcomes):
        return None
    return all(gate["passed"] is True for gate in outcomes)
