"""Prompts a second of both generation backends, start-up apart.

    python benchmarks/generation_throughput.py [--prompts 20 2000] [--max-new-tokens 32]

Every measurement is a process of its own, one after the other, on the embedded model. Start-up is
everything from the first import to a model, or an engine, that is ready for its first prompt.
Prints a Markdown table.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def texts(count: int) -> list[str]:
    """The study's prompts, and after them the same with numbers, so that none occurs twice."""
    from persona_geometry.study.tables import read_prompts

    known = [prompt.text for prompt in read_prompts(ROOT / "config" / "prompts.tsv")]
    rounds = range(-(-count // len(known)))
    return [f"{text} ({i})" if i else text for i in rounds for text in known][:count]


def measure(backend: str, count: int, limit: int, folder: Path) -> dict[str, float]:
    """Seconds to start and to answer, and what was answered, in this process."""
    started = time.perf_counter()
    from persona_geometry.model.chat import render
    from persona_geometry.study.sections import Model

    model = Model.of(path=str(folder), dtype="float32")
    answers = {}
    if backend == "transformers":
        from persona_geometry.model.generation.transformers_backend import generate
        from persona_geometry.model.loading import load_model

        loaded = load_model(model, "cpu")
        prompts = [render(loaded.tokenizer, "", text) for text in texts(count)]
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
        with engine(folder, model, 0.9, longest) as llm:
            ready = time.perf_counter()
            generate(llm, tokenizer, prompts, ends, limit, answers.update)
            ended = time.perf_counter()
    return {
        "start": ready - started,
        "answer": ended - ready,
        "tokens": sum(len(answer.token_ids) for answer in answers.values()),
        "answers": {str(i): answers[i].token_ids for i in sorted(answers)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, nargs="+", default=[20, 2000])
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--model", type=Path, default=ROOT / "resources" / "persona-lm")
    parser.add_argument("--only", nargs=2, metavar=("BACKEND", "COUNT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        backend, count = arguments.only
        found = measure(backend, int(count), arguments.max_new_tokens, arguments.model)
        print(json.dumps(found))
        return
    print("| prompts | backend | start-up, s | answering, s | prompts a second | tokens a second |")
    print("|---|---|---|---|---|---|")
    for count in arguments.prompts:
        answers = {}
        for backend in ("transformers", "vllm"):
            child = [sys.executable, __file__, "--only", backend, str(count)]
            child += ["--max-new-tokens", str(arguments.max_new_tokens)]
            child += ["--model", str(arguments.model)]
            ran = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(ran.stdout.splitlines()[-1])
            answers[backend] = found["answers"]
            print(
                f"| {count:,} | {backend} | {found['start']:.1f} | {found['answer']:.2f} | "
                f"{count / found['answer']:.1f} | {found['tokens'] / found['answer']:.0f} |",
                flush=True,
            )
        same = sum(answers["vllm"][i] == ids for i, ids in answers["transformers"].items())
        print(f"identical answers: {same:,} of {count:,}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
