"""How far two system prompts share their words."""

import re
from collections.abc import Mapping

import numpy as np

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.study.tables import TEMPLATE_DEFAULT

WORD = re.compile(r"\w+(?:['’]\w+)*")


def lexical_rdm(system_prompts: Mapping[str, str]) -> Rdm:
    """Jaccard distances of the sets of words, in [0, 1] (Jaccard 1912).

    A word is a run of letters, digits and inner apostrophes, in lower case. Two texts without any
    word are at distance 0; no system message has none, whatever the template says in its place.

    Args:
        system_prompts: of each persona.
    """
    words = [
        set() if text == TEMPLATE_DEFAULT else set(WORD.findall(text.lower()))
        for text in system_prompts.values()
    ]
    return Rdm.from_square(
        list(system_prompts),
        np.array([[_distance(one, other) for one in words] for other in words]),
    )


def _distance(one: set[str], other: set[str]) -> float:
    either = one | other
    return 1.0 - len(one & other) / len(either) if either else 0.0
