"""torch and transformers take seconds to import: only the GPU rules' scripts do.

resolve_model imports them once a checkpoint, where its headers do not tell enough.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, Workspace

SCRIPTS = ROOT / "workflow_scripts"

# What is left of a script are its imports: the rest needs Snakemake.
IMPORTS = """
import ast, json, sys

heavy = {}
libraries, *paths = sys.argv[1:]
for path in paths:
    tree = ast.parse(open(path, encoding="utf-8").read())
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(tree, path, "exec"), {})
    heavy[path] = sorted(set(libraries.split()) & set(sys.modules))
print(json.dumps(heavy))
"""
PARSE = """
import sys
from snakemake.cli import main
try:
    main(sys.argv[1:])
finally:
    print("heavy:", *sorted({"torch", "transformers"} & set(sys.modules)))
"""


def heavy_imports(*scripts: Path, libraries: str = "torch transformers") -> dict[str, list[str]]:
    """What each script has imported of some libraries, when a process imports all."""
    command = [sys.executable, "-c", IMPORTS, libraries, *map(str, scripts)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return {Path(path).name: found for path, found in json.loads(ran.stdout).items()}


def scripts_of(environment: str) -> set[str]:
    """The scripts of the rules that run in an environment."""
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    rules = re.split(r"\n *rule ", text)[1:]
    named = [re.search(r"workflow_scripts/(\w+\.py)", rule) for rule in rules]
    return {
        name[1]
        for rule, name in zip(rules, named, strict=True)
        if name and f"envs/{environment}.yaml" in rule
    }


def test_scripts_of_cpu_rules_import_neither() -> None:
    names = scripts_of("cpu")
    assert len(names) >= 10 and scripts_of("gpu") == {"teacher_force.py", "generate_responses.py"}
    found = heavy_imports(*(SCRIPTS / name for name in sorted(names)), SCRIPTS / "manage_store.py")
    assert found == {name: [] for name in found} and len(found) == len(names) + 1


def test_publishing_a_prompt_imports_no_statistics_either() -> None:
    """It is done once a prompt, and takes a tenth of the time that they take to import."""
    found = heavy_imports(SCRIPTS / "publish_prompt.py", libraries="scipy.stats pandas matplotlib")
    assert found == {"publish_prompt.py": []}


def test_such_an_import_would_be_seen(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("from persona_geometry.gpu import transfer\n")
    assert "torch" in heavy_imports(script)["script.py"]


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
def test_drawing_the_graph_imports_neither(workspace: Workspace, backend: str) -> None:
    workspace.config["generation"]["backend"] = backend
    command = workspace.command("--dry-run")
    command[1:3] = ["-c", PARSE]
    ran = subprocess.run(command, cwd=workspace.folder, capture_output=True, text=True)
    assert "teacher_force" in ran.stdout + ran.stderr
    assert ran.stdout.rstrip().endswith("heavy:"), ran.stdout + ran.stderr


def test_a_missing_library_is_one_sentence(workspace: Workspace, tmp_path: Path) -> None:
    broken = tmp_path / "path" / "persona_geometry"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('no such library')\n")
    command = workspace.command("--dry-run")
    environment = {"PYTHONPATH": str(broken.parent), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    ran = subprocess.run(
        command, cwd=workspace.folder, env=environment, capture_output=True, text=True
    )
    assert ran.returncode and "Traceback" not in ran.stderr
    assert f"run 'pip install -e .' in {ROOT}" in ran.stdout + ran.stderr
