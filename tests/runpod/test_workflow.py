"""The real workflow over pods: a random model, every GPU job in a pod, nothing else."""

import json
import re
from pathlib import Path

from ..workflow.conftest import ROOT, Workspace
from .conftest import Study
from .server import RunPod

TARGET = "results/test/js_matrix.json"


def test_a_study_over_pods(study: Study, service: RunPod, random_model: Path):
    workspace = Workspace(study.workdir, random_model)
    workspace.personas.insert(0, ("sailor", "", "You are a sailor."))
    workspace.config["execution"] = {"prompts_per_gpu_job": 2}
    arguments = ("--snakefile", str(ROOT / "Snakefile"), "--configfile", "study.yaml", "--", TARGET)

    workspace.write()
    assert study.run(*arguments) == 0, study.output
    assert len(service.ever) == 2
    submitted = re.findall(r"Submitted job \d+ with external jobid '(\S+)'", study.output)
    assert set(submitted) == {pod.body["name"] for pod in service.ever}
    personas = json.loads((study.workdir / TARGET).read_text())["persona_names"]
    assert len(personas) == len(workspace.personas)
    study.nothing_is_left()

    # Removing a persona asks RunPod for nothing.
    asked = len(service.requests)
    workspace.personas.pop(0)
    workspace.write()
    assert study.run(*arguments) == 0, study.output
    assert len(service.requests) == asked
    assert json.loads((study.workdir / TARGET).read_text())["persona_names"] == personas[1:]
