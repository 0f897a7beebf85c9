"""What a refused sbatch means: no, or not now."""

import itertools
import re
from collections.abc import Iterator

# Words of refusals that asking again does not change, as SLURM's table of errors and its controller
# have them. What a node, a partition or a reservation lacks only now is not among them.
FOR_GOOD = re.compile(
    r"invalid (account|partition|qos|generic resource|wckey|feature|constraint|job array"
    r"|reservation|user|numeric|node|number|gpu|cluster name|--|[^:]*\bspecification\b)"
    r"|specification (invalid|required|needs)|duplicate generic resource"
    r"|can ?not be satisfied|request more threads per core"
    r"|requested (node|topology) configuration is not available"
    r"|requested (gres|time limit is invalid|reservation is invalid|nodes not in this partition"
    r"|more tasks than available|operation not supported)|access denied to requested reservation"
    r"|no partition specified|multiple partition job request not supported"
    r"|more processors requested|memory required by task is not available"
    # Limits of a single job, by the names of the reasons that squeue would show.
    r"|\b(assoc|qos)(max\w+per(job|node)|min\w+)"
    r"|unrecognized option|unknown option|permission denied|not permitted|can ?not be run"
    r"|parameter too long|command not found",
    re.IGNORECASE,
)
LONGEST_PAUSE = 300


def is_for_good(refusal: str) -> bool:
    """Whether the same request would be refused again: an account, a partition, a limit is wrong.

    Whatever else a refusal says (a controller that does not answer, too many jobs, words that are
    not known here) may pass.
    """
    return bool(FOR_GOOD.search(refusal))


def said(report: str) -> str:
    """What sbatch itself said, out of the plugin's report of it; nothing only without a report."""
    quoted = re.search(r"The error message was '(.*?)'\.?\n", report + "\n", re.DOTALL)
    words = " ".join((quoted[1] if quoted else report).split())
    return words or (report and "sbatch gives no reason")


def pauses() -> Iterator[int]:
    """Seconds until the next attempts: 10, 20, 40, and 300 in the end."""
    return (min(10 * 2**n, LONGEST_PAUSE) for n in itertools.count())
