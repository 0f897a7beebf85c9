"""What costs no GPU job, what costs that of a prompt, and what costs all of them anew."""

import numpy as np
import pytest

from .conftest import PAIRS, TARGET, N, Q, Workspace

DIVERGENCES = "results/test/js_matrix.json"


@pytest.mark.parametrize("change", ["rename", "reorder", "recluster"])
def test_renamed_reordered_or_reclustered_personas_cost_no_gpu(
    study: Workspace, change: str
) -> None:
    if change == "rename":
        study.personas[2] = ("bard", *study.personas[2][1:])
    elif change == "reorder":
        study.personas.reverse()
    else:
        study.personas[2] = ("poet", "arts", study.personas[2][2])
    before, stored = study.js(), study.stored()
    jobs = study.jobs(TARGET)
    assert jobs and "teacher_force" not in jobs and "resolve_model" not in jobs
    study.run(DIVERGENCES)
    assert study.stored() == stored
    after = study.js()
    if change == "reorder":
        matrix = np.array(before["cutoffs"]["full"])
        assert np.array_equal(np.array(after["cutoffs"]["full"]), matrix[::-1, ::-1])
    else:
        assert after["cutoffs"] == before["cutoffs"]


def test_added_prompt_costs_that_prompt(study: Workspace) -> None:
    study.prompts.insert(0, ("q0", "Who?"))
    jobs = study.jobs(TARGET)
    assert (jobs["teacher_force"], jobs["publish_prompt"]) == (1, 1)
    study.run(DIVERGENCES)
    assert study.stored() == (Q + 1, (Q + 1) * N, (Q + 1) * PAIRS)


def test_removed_prompt_costs_no_gpu(study: Workspace) -> None:
    del study.prompts[1]
    jobs = study.jobs(TARGET)
    assert set(jobs) == {"js_matrix", "cosine_rdms", "align"}


def test_gates_layers_cutoffs_and_shard_size_cost_no_gpu(study: Workspace) -> None:
    gates = study.copy()
    gates.config["alignment"]["gates"][0]["threshold"] = 0.9
    assert set(gates.jobs(TARGET)) == {"align"}
    layers = study.copy()
    layers.config["geometry"] = {"layers": [0], "headline_layer": 0}
    assert set(layers.jobs(TARGET)) == {"cosine_rdms", "align"}
    also = study.copy()
    also.config["geometry"]["also"] = ["mean_centered", "response_mean"]
    also.config["alignment"]["comparators"] = ["rho_a"]
    assert set(also.jobs(TARGET)) == {"cosine_rdms", "align"}
    cutoffs = study.copy()
    cutoffs.config["divergence"]["cutoffs"] = [4, 16]
    assert "teacher_force" not in cutoffs.jobs(TARGET)
    shards = study.copy()
    shards.config["execution"]["prompts_per_gpu_job"] = 1
    assert shards.jobs(TARGET) == {}


def test_another_anchor_or_model_setting_costs_everything(study: Workspace) -> None:
    anchor = study.copy()
    anchor.config["anchor"] = "poet"
    assert anchor.jobs(TARGET)["teacher_force"] == 1
    assert "to compute" in anchor.run("plan")
    precision = study.copy()
    precision.config["model"]["dtype"] = "bfloat16"
    assert precision.jobs(TARGET)["teacher_force"] == 1


def test_one_gpu_job_a_prompt_where_asked_for(workspace: Workspace) -> None:
    workspace.config["execution"]["prompts_per_gpu_job"] = 1
    assert workspace.jobs(TARGET)["teacher_force"] == len(workspace.prompts)


def test_a_layer_that_the_model_lacks_is_refused_before_any_gpu_job(workspace: Workspace) -> None:
    workspace.config["geometry"] = {"layers": [0, 99], "headline_layer": 0}
    said = workspace.run(DIVERGENCES, fails=True)
    assert "geometry.layers asks for layer 99, but the model has layers 0 to" in said
    assert workspace.stored() == (0, 0, 0)


def test_what_is_read_of_a_model_is_read_once_for_all_of_its_studies(study: Workspace) -> None:
    study.prompts.append(("q9", "Where?"))
    study.config["study"] = "other"
    study.config["geometry"] = {"layers": [0], "headline_layer": 0}
    (study.folder / "other.yaml").write_text("{}")
    study.config_files = ("study.yaml", "other.yaml")
    jobs = study.jobs("results/other/js_matrix.json")
    assert jobs["teacher_force"] == 1 and "resolve_model" not in jobs
