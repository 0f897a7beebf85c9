"""What trying a loaded model on a study's rows costs, beside the GPU job that it belongs to.

    python benchmarks/paper_scale/make_checkpoint.py CHECKPOINT
    python benchmarks/self_test.py CHECKPOINT FOLDER [--untried] [--dtype bfloat16] [--tokens 256]

One job as the workflow runs it: load, try, generate, score as many personas as prompts. Its seconds
begin when Python does. Trying also warms up what the job needs anyway, so what it costs is the
difference to a job that is `--untried`. Prints a Markdown table.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import psutil
from paper_scale.run import tasks_of

from persona_geometry.jobs.shard import ShardJob
from persona_geometry.jobs.task import Settings
from persona_geometry.model import selftest
from persona_geometry.store.store import Store
from persona_geometry.study.sections import Generation, Model, Scoring


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--size", type=int, default=20)
    parser.add_argument("--untried", action="store_true")
    arguments = parser.parse_args()
    if arguments.untried:
        selftest.check_model = lambda model, *_, **__: replace(
            model, batching="padded", decoding="static"
        )
    settings = Settings(
        model=Model.of(path=str(arguments.checkpoint), dtype=arguments.dtype, attention="sdpa"),
        generation=Generation.of(max_new_tokens=arguments.tokens),
        scoring=Scoring.of(),
        response_system_prompt="",
    )
    store = Store(arguments.folder)
    job = ShardJob(settings, store)
    account = job.run(tasks_of(arguments.size, arguments.size, "try"))
    whole = time.time() - psutil.Process().create_time()
    ways = f"rows {job.model.batching}, answers {job.model.decoding}"
    print(f"\n{account.device}, {arguments.dtype}: {ways}\n\n| stage | s | share of the job |")
    print("|---|---|---|")
    for stage, seconds in {**account.seconds, "whole job": whole}.items():
        print(f"| {stage} | {seconds:.2f} | {100 * seconds / whole:.1f} % |")


if __name__ == "__main__":
    main()
