"""What is to come is told before it is computed: by the plan, and by a dry run."""

import re
import subprocess

from .conftest import PAIRS, ROOT, N, Q, Workspace

READABLE = ("--workflow-profile", str(ROOT / "profiles" / "default"))


def test_the_plan_alone_goes_to_stdout_and_names_what_is_new(study: Workspace) -> None:
    study.personas.insert(0, ("pirate", "", "You are a pirate."))
    study.prompts.append(("q9", "Who?"))
    stored = study.stored()
    command = study.command("plan", "--config", "price_per_gpu_hour=3")
    ran = subprocess.run(command, cwd=study.folder, capture_output=True, text=True)
    lines = dict(re.findall(r"^(\S.{22})\s*(.*)$", ran.stdout, re.MULTILINE))
    told = {name.strip(): value for name, value in lines.items()}
    cells = (Q + 1) * (N + 1)
    pairs = (Q + 1) * (N + 1) * N // 2
    assert ran.stdout.startswith("Study test: 6 personas, 3 prompts, model ")
    assert told["responses"].split() == [str(Q), "1"]
    assert told["cells (forward passes)"].split() == [str(Q * N), str(cells - Q * N)]
    assert told["pairs (divergences)"].split() == [str(Q * PAIRS), str(pairs - Q * PAIRS)]
    assert (told["new personas"], told["new prompts"]) == ("pirate", "q9")
    assert told["download"] == "nothing" and told["GPU jobs"] == "1"
    assert "as this model's jobs took on cpu" in told["GPU jobs take"]
    assert "at 3)" in told["cost"]
    assert ran.stdout.splitlines()[-1].startswith("cost") and "SNAKEMAKE" not in ran.stderr
    assert study.stored() == stored


def test_a_dry_run_says_each_job_in_one_readable_line(study: Workspace) -> None:
    study.prompts.append(("q9", "Who?"))
    study.config["divergence"]["cutoffs"] = [4]
    said = study.run("--dry-run", *READABLE)
    jobs = sum(map(int, re.findall(r"^total +(\d+)$", said.split("Reasons:")[0], re.MULTILINE)[:1]))
    lines = re.findall(r"^Job \d+: (.+)$", said, re.MULTILINE)
    assert len(lines) == jobs > 10
    assert sum(line.startswith("GPU job: ") for line in lines) == 1
    assert "\nrule " not in said and "{" not in said and "Params" not in said
    assert not re.search(r"[0-9a-f]{20}", said)
    assert "params have changed since last execution:" in said
