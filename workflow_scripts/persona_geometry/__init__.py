"""Representational and behavioral geometry of the personas of a language model.

What stands here is imported when it is first used: reading results needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from persona_geometry.divergence import pairwise_divergences
    from persona_geometry.model.forcing import teacher_force
    from persona_geometry.model.loading import load_model
    from persona_geometry.rdms.rdm import Rdm
    from persona_geometry.results import open_study
    from persona_geometry.rsa.alignment import align
    from persona_geometry.rsa.permutation import mantel
    from persona_geometry.store.store import Store

__version__ = "0.2.0"
__all__ = [
    "Rdm",
    "Store",
    "align",
    "load_model",
    "mantel",
    "open_study",
    "pairwise_divergences",
    "teacher_force",
]

_HOME = {
    "Rdm": "rdms.rdm",
    "Store": "store.store",
    "align": "rsa.alignment",
    "load_model": "model.loading",
    "mantel": "rsa.permutation",
    "open_study": "results",
    "pairwise_divergences": "divergence",
    "teacher_force": "model.forcing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
