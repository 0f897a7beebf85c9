"""Prompts a second of the generation backends, start-up apart.

    python benchmarks/generation_throughput.py [--prompts 20 2000] [--max-new-tokens 32]

Every measurement is a process of its own, one after the other, on the embedded model or on any
other checkpoint. Start-up is everything from the first import to a model that was tried, or an
engine, that is ready for its first prompt. Prints a Markdown table, then what the answers have in
common and, with `--alone`, whether vLLM answers each of so many prompts alone as it does among the
others.
"""

import argparse
import json
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BACKENDS = ("transformers", "vllm")


def texts(count: int) -> list[str]:
    """The study's prompts, and after them the same with numbers, so that none occurs twice."""
    from persona_geometry.study.tables import read_prompts

    known = [prompt.text for prompt in read_prompts(ROOT / "config" / "prompts.tsv")]
    rounds = range(-(-count // len(known)))
    return [f"{text} ({i})" if i else text for i in rounds for text in known][:count]


def measure(backend: str, count: int, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds to start and to answer, and what was answered, in this process."""
    started = time.perf_counter()
    from persona_geometry.model.chat import render
    from persona_geometry.study.sections import Model

    limit, folder = options.max_new_tokens, options.model
    model = Model.of(path=str(folder), dtype=options.dtype)
    answers: dict[int, Any] = {}
    alone: dict[int, Any] = {}
    if backend == "transformers":
        from persona_geometry.model.generation.transformers_backend import generate
        from persona_geometry.model.loading import load_model
        from persona_geometry.model.selftest import check_model, sample_turns

        loaded = load_model(model, options.device)
        prompts = [render(loaded.tokenizer, "", text) for text in texts(count)]
        loaded = check_model(loaded, sample_turns(prompts[:3], limit))
        ready = time.perf_counter()
        generate(loaded, prompts, limit, answers.update)
        ended = time.perf_counter()
    else:
        from transformers import AutoTokenizer

        from persona_geometry.model.generation.vllm_backend import engine, generate

        tokenizer = AutoTokenizer.from_pretrained(folder)
        prompts = [render(tokenizer, "", text) for text in texts(count)]
        longest = max(map(len, prompts)) + limit
        ends = [tokenizer.eos_token_id]
        with engine(folder, model, 0.9, longest, count, options.device) as llm:
            ready = time.perf_counter()
            generate(llm, tokenizer, prompts, ends, limit, answers.update)
            ended = time.perf_counter()
            for index in range(min(options.alone, count)):
                one: dict[int, Any] = {}
                generate(llm, tokenizer, [prompts[index]], ends, limit, one.update)
                alone[index] = one[0]
    return {
        "start": ready - started,
        "answer": ended - ready,
        "tokens": sum(len(answer.token_ids) for answer in answers.values()),
        "answers": {str(i): answers[i].token_ids for i in sorted(answers)},
        "alone": {str(i): alone[i].token_ids for i in alone},
    }


def parted(one: dict[str, list[int]], other: dict[str, list[int]]) -> str:
    """How many answers are the same, and where the others part first."""
    shared = [i for i in one if i in other]
    where = {}
    for i in shared:
        if one[i] != other[i]:
            pairs = enumerate(zip(one[i], other[i], strict=False))
            length = min(len(one[i]), len(other[i]))
            where[i] = next((at for at, (left, right) in pairs if left != right), length)
    tokens = ", ".join(f"{i} at {at}" for i, at in where.items())
    return f"{len(shared) - len(where):,} of {len(shared):,} the same" + (
        f"; these part at a token: {tokens}" if where else ""
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, nargs="+", default=[20, 2000])
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--model", type=Path, default=ROOT / "resources" / "persona-lm")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--alone", type=int, default=0)
    parser.add_argument("--only", nargs=2, metavar=("BACKEND", "COUNT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        backend, count = arguments.only
        print(json.dumps(measure(backend, int(count), arguments)))
        return
    print("| prompts | backend | start-up, s | answering, s | prompts a second | tokens a second |")
    print("|---|---|---|---|---|---|")
    for count in arguments.prompts:
        answers = {}
        for backend in arguments.backends:
            child = [sys.executable, __file__, *sys.argv[1:], "--only", backend, str(count)]
            ran = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(ran.stdout.splitlines()[-1])
            answers[backend] = found["answers"]
            if found["alone"]:
                answers[f"{backend}, each alone"] = found["alone"]
            print(
                f"| {count:,} | {backend} | {found['start']:.1f} | {found['answer']:.2f} | "
                f"{count / found['answer']:.1f} | {found['tokens'] / found['answer']:.0f} |",
                flush=True,
            )
        for one, other in combinations(answers, 2):
            found = parted(answers[one], answers[other])
            print(f"{one} and {other}: {found}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
