"""The published study's size, run by the real workflow on one GPU, and what each part costs.

    python benchmarks/paper_scale/make_checkpoint.py CHECKPOINT
    python benchmarks/paper_scale/run.py CHECKPOINT FOLDER [--small]

First `snakemake` from nothing to alignment.json (20 personas × 20 prompts × 256 tokens), then, with
one model loaded: the steady state beside the study's way written plainly, 200 personas on one
prompt, the 201st, 200 prompts, a small card, and the numbers against float64 and other batches.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TFLOPS, BYTES_PER_SECOND = 790e12, 4.3e12  # measured on an H200: bf16 product, device copy


def personas_of(n: int) -> list[tuple[str, str]]:
    jobs = [
        "baker",
        "pilot",
        "nurse",
        "judge",
        "miner",
        "clerk",
        "tailor",
        "diver",
        "scout",
        "monk",
    ]
    moods = ["calm", "stern", "merry", "tired", "proud"]
    return [
        (f"p{i}", f"You are a {moods[i % 5]} {jobs[i // 5 % 10]} of guild {i // 50}.")
        for i in range(n)
    ]


def prompts_of(n: int) -> list[tuple[str, str]]:
    topics = ["tides", "bread", "glass", "rain", "chess", "maps", "bees", "iron", "sleep", "law"]
    return [(f"q{i}", f"What is there to know of {topics[i % 10]} {i}?") for i in range(n)]


def write_study(folder: Path, checkpoint: Path, tokens: int, layers: list[int], dtype: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    clusters = ["medical"] * 4 + ["security"] * 3 + ["services"] * 2 + ["tech"] * 2 + [""] * 9
    rows = [f"{n}\t{c}\t{s}" for (n, s), c in zip(personas_of(20), clusters, strict=True)]
    rows[-1] = "no_persona\t\t"
    (folder / "personas.tsv").write_text(
        "persona\tcluster\tsystem_prompt\n" + "\n".join(rows) + "\n"
    )
    rows = [f"{n}\t{t}" for n, t in prompts_of(20)]
    (folder / "prompts.tsv").write_text("prompt\ttext\n" + "\n".join(rows) + "\n")
    base = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    alignment = {**base["alignment"], "permutations": 100_000, "leave_out": [], "predictions": []}
    study = {
        "study": "paper",
        "personas": "personas.tsv",
        "prompts": "prompts.tsv",
        "anchor": "no_persona",
        "model": {"path": str(checkpoint), "dtype": dtype},
        "generation": {"backend": "transformers", "max_new_tokens": tokens},
        "divergence": {"estimator": "js", "cutoffs": [c for c in (8, 32) if c < tokens]},
        "geometry": {"layers": layers, "headline_layer": layers[0]},
        "alignment": alignment,
        "execution": {"prompts_per_gpu_job": 20},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))


def whole_workflow(folder: Path, checkpoint: Path, tokens: int, layers: list[int], dtype: str):
    write_study(folder, checkpoint, tokens, layers, dtype)
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--directory", str(folder), "--cores", "all", "results/paper/alignment.json"),
        *("--resources", "gpu=1", "--configfile", "study.yaml"),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    (folder / "snakemake.log").write_text(ran.stdout + ran.stderr)
    if ran.returncode:
        sys.exit(ran.stdout + ran.stderr)
    print(f"\n## snakemake to alignment.json: {seconds:.1f} s (goal 60 s; the study 420 s)")
    for table in sorted((folder / "results/paper/benchmarks").rglob("*.tsv")):
        if "publish_prompt" in table.parts:
            continue
        header, row = (line.split("\t") for line in table.read_text().splitlines()[:2])
        print(f"  {table.stem:24} {float(dict(zip(header, row, strict=True))['s']):7.1f} s")
    receipt = json.loads(next((folder / "results/store/receipts").glob("*.json")).read_text())
    print("  GPU job:", {k: round(v, 2) for k, v in receipt["account"]["seconds"].items()})
    peak = receipt["account"]["peak_gpu_bytes"]
    print(f"  peak GPU memory {peak / 1e9:.1f} GB" if peak else "  no GPU")
    cells = list((folder / "results/store/items").glob("*/cells/*"))
    size = sum(f.stat().st_size for f in cells) / len(cells)
    pairs = sum(f.stat().st_size for f in (folder / "results/store/items").glob("*/pairs/*"))
    print(f"  stored: {size / 1e6:.2f} MB a cell (goal 2 MB), {pairs / 1e6:.1f} MB of pairs")


def gpu_seconds(job) -> float:
    return job.account.seconds["force"] + job.account.seconds["diverge"]


def tasks_of(n_prompts: int, n_personas: int, tag: str):
    from persona_geometry.jobs.task import Task

    return [
        Task(
            name,
            user,
            f"{tag}-{name}",
            f"{tag}-r-{name}",
            {f"{tag}-{name}-{p}": system for p, system in personas_of(n_personas)},
        )
        for name, user in prompts_of(n_prompts)
    ]


def parts(folder: Path, checkpoint: Path, tokens: int, dtype: str, n_many: int, n_prompts: int):
    import torch

    from persona_geometry.jobs.shard import ShardJob
    from persona_geometry.jobs.task import Settings
    from persona_geometry.model.chat import render
    from persona_geometry.store.store import Store
    from persona_geometry.study.sections import Generation, Model, Scoring

    settings = Settings(
        model=Model.of(path=str(checkpoint), dtype=dtype),
        generation=Generation.of(max_new_tokens=tokens),
        scoring=Scoring.of(),
        response_system_prompt="",
    )
    store = Store(folder / "parts-store")
    shared = ShardJob(settings, store, lambda _line: None)
    model = shared.model
    gpu = model.device.type == "cuda"

    def job() -> ShardJob:
        fresh = ShardJob(settings, store, lambda _line: None)
        fresh.__dict__["model"] = model
        return fresh

    def timed(tasks) -> tuple[float, ShardJob]:
        fresh = job()
        fresh.generate(tasks)
        if gpu:
            torch.cuda.synchronize()
        started = time.perf_counter()
        fresh.run(tasks)
        return time.perf_counter() - started, fresh

    timed(tasks_of(4, 20, "warm"))
    tasks = tasks_of(min(40, n_prompts), 20, "steady")
    seconds, done = timed(tasks)
    each = seconds / len(tasks)
    values = sum(p.numel() for p in model.network.parameters())
    prompt = render(model.tokenizer, personas_of(1)[0][1], tasks[0].user)
    flops = 2 * (values - model.network.get_input_embeddings().weight.numel())
    floor = flops * 20 * (len(prompt) + tokens) / TFLOPS
    print(f"\n## steady state, 20 personas: {each:.3f} s a prompt (goal 0.17 s)")
    print(
        f"  forward {done.account.seconds['force'] / len(tasks):.3f} s, floor {floor:.3f} s; "
        f"divergences {done.account.seconds['diverge'] / len(tasks):.3f} s"
    )
    naive = naive_seconds(model, tasks[0], store, tokens)
    print(
        f"  the study's way: forward {naive[0]:.2f} s, half-Jeffreys at 3 cutoffs {naive[1]:.2f} s,"
        f" exact JS {naive[2]:.2f} s: {(naive[0] + naive[1]) / each:.0f} times (approximate), "
        f"{sum(naive) / each:.0f} times (exact)"
    )

    grown, added = timed(tasks_of(len(tasks), 21, "steady"))
    part = gpu_seconds(done) / gpu_seconds(added)
    print(
        f"  persona 21: {grown / len(tasks):.3f} s a prompt, GPU "
        f"{gpu_seconds(added) / len(tasks):.3f} s, 1/{part:.1f} of the whole"
    )

    for warm in (n_many, n_many + 1):
        timed(tasks_of(1, warm, "compile"))
    many = tasks_of(1, n_many, "many")
    seconds, done = timed(many)
    whole = done.account.seconds
    words = n_many * (n_many - 1) // 2 * tokens * model.network.config.vocab_size
    print(
        f"\n## {n_many} personas, one prompt: {seconds:.2f} s (goal 2.5 s): "
        f"forward {whole['force']:.2f} s, divergences {whole['diverge']:.2f} s, "
        f"{words / whole['diverge']:.2e} pair-words a second, head included (goal 2e12); "
        f"divergences {1e6 * whole['diverge'] / n_many**2:.2f} µs × N²"
    )
    grown, added = timed(tasks_of(1, n_many + 1, "many"))
    part = gpu_seconds(done) / gpu_seconds(added)
    print(
        f"  persona {n_many + 1}: {grown:.3f} s, {added.account.cells} cell, "
        f"{added.account.pairs} pairs; GPU {gpu_seconds(added):.3f} s (forward "
        f"{added.account.seconds['force']:.3f} s), 1/{part:.0f} of the whole (goal 1/50); the "
        f"logits of {n_many} stored states alone {head_seconds(model, store, many[0]):.3f} s"
    )

    tasks = tasks_of(n_prompts, 20, "prompts")
    fresh = job()
    started = time.perf_counter()
    fresh.generate(tasks)
    generated = time.perf_counter() - started
    fresh.run(tasks)
    total = time.perf_counter() - started
    print(
        f"\n## {n_prompts} prompts: {total:.1f} s, {total / n_prompts:.3f} s each (goal 0.25 s),"
        f" {generated / n_prompts:.3f} s of it generation"
    )
    against_float64(model, store, tasks_of(1, 20, "steady")[0])
    against_other_batches(model, store, tasks_of(1, 20, "steady")[0])
    what_lumping_would_keep(model, store, tasks_of(1, 20, "steady")[0])
    if gpu:
        print(
            f"\n## peak memory of all the above: {torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        )
        whole = torch.cuda.mem_get_info()[1]
        torch.cuda.empty_cache()
        cap = 20e9
        torch.cuda.set_per_process_memory_fraction(cap / whole)
        torch.cuda.reset_peak_memory_stats()
        seconds, _ = timed(tasks_of(2, 20, "capped"))
        print(
            f"## on a card of {cap / 1e9:.0f} GB: {seconds / 2:.3f} s a prompt, peak "
            f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        )


def head_seconds(model, store, task) -> float:
    """What the head's product over all of a prompt's stored states costs."""
    import torch

    from persona_geometry.model.loading import hidden_size

    n_tokens = len(store.read_response(task.response).token_ids)
    states = torch.randn(
        len(task.cells),
        n_tokens,
        hidden_size(model.network),
        dtype=model.dtype,
        device=model.head_device,
    )
    seconds = 0.0
    for start in range(0, n_tokens, 32):
        for _ in range(2):  # the second counts
            begun = time.perf_counter()
            model.lm_head(states[:, start : start + 32])
            if states.is_cuda:
                torch.cuda.synchronize()
            last = time.perf_counter() - begun
        seconds += last
    return seconds


def naive_seconds(model, task, store, tokens: int) -> tuple[float, float, float]:
    """One prompt the study's way: one forward pass a persona, log-softmax to the CPU, loops."""
    import torch

    from persona_geometry.model.chat import render

    ids = store.read_response(task.response).token_ids
    gpu = model.device.type == "cuda"
    started = time.perf_counter()
    log_p = []
    with torch.inference_mode():
        for system in task.cells.values():
            prompt = render(model.tokenizer, system, task.user)
            logits = model.network(torch.tensor([prompt + ids], device=model.device)).logits
            log_p.append(torch.log_softmax(logits[0, len(prompt) - 1 : -1].float(), -1).cpu())
    forward = time.perf_counter() - started
    device = model.device

    def kl(p, q):
        return (p.exp() * (p - q)).sum(-1)

    # A few pairs are timed and scaled to all of them.
    sample = [(i, i + 1) for i in range(0, 19, 2)]
    scale = (len(log_p) * (len(log_p) - 1) / 2) / len(sample)
    seconds = []
    for exact in (False, True):
        if gpu:
            torch.cuda.synchronize()
        started = time.perf_counter()
        for i, j in sample:
            p, q = log_p[i].to(device), log_p[j].to(device)
            if exact:
                m = torch.logaddexp(p, q) - math.log(2)
                float((0.5 * (kl(p, m) + kl(q, m))).mean())
            else:
                for cut in (8, 32, len(ids)):
                    float((0.5 * (kl(p[:cut], q[:cut]) + kl(q[:cut], p[:cut]))).mean())
        seconds.append((time.perf_counter() - started) * scale)
    return forward, seconds[0], seconds[1]


def against_float64(model, store, task) -> None:
    """JS of a few pairs against float64 on the same hidden states, and against other batches."""
    import torch

    from persona_geometry.gpu.transfer import as_tensor

    keys = list(task.cells)[:6]
    weight = model.network.get_output_embeddings().weight.double()
    block = store.read_pairs(store.pair_blocks(task.item)[0])
    place = {cell: i for i, cell in enumerate(block.cells)}
    rows = {tuple(pair): row for row, pair in enumerate(block.pairs.tolist())}
    worst, chunk = 0.0, 32
    for i, a in enumerate(keys):
        for b in keys[i + 1 :]:
            pair = [
                as_tensor(store.read_cell(task.item, k).final_hidden_states[:chunk]) for k in (a, b)
            ]
            p, q = (torch.log_softmax(s.to(weight.device).double() @ weight.T, -1) for s in pair)
            m = torch.logaddexp(p, q) - math.log(2)
            js = 0.5 * ((p.exp() * (p - m)).sum(-1) + (q.exp() * (q - m)).sum(-1))
            ours = torch.from_numpy(block.js[rows[place[a], place[b]], :chunk]).double()
            worst = max(worst, float((js.cpu() - ours).abs().max()))
    print(
        f"\n## JS of a token against float64 on the same hidden states: {worst:.1e} nats at most "
        f"(goal 1e-5)"
    )


def what_lumping_would_keep(model, store, task) -> None:
    """Words that some persona gives more than a threshold, and the error of lumping the others.

    Lumping words is a lower bound on JS, and half the lumped mass of both, times ln 2, bounds what
    is missing.
    """
    import torch

    from persona_geometry.gpu.transfer import as_tensor

    read = [
        as_tensor(store.read_cell(task.item, key).final_hidden_states[::16]) for key in task.cells
    ]
    with torch.inference_mode():
        p = torch.softmax(model.lm_head(torch.stack(read).to(model.head_device)), -1)
        print(f"\n## words to keep per token, were the rest lumped ({len(read)} personas)")
        for threshold in (1e-7, 1e-8, 1e-9, 1e-10):
            kept = (p > threshold).any(0)
            error = float((p * ~kept).sum(-1).max()) * math.log(2)
            share = float(kept.float().mean())
            print(f"  above {threshold:.0e}: {share:.0%} of the words, JS within {error:.1e} nats")


def against_other_batches(model, store, task) -> None:
    """States and JS of a prompt's personas, run in batches of other sizes."""
    import torch

    from persona_geometry.divergence import pairwise_divergences
    from persona_geometry.model.chat import render
    from persona_geometry.model.forcing import teacher_force

    ids = store.read_response(task.response).token_ids
    prompts = [render(model.tokenizer, system, task.user) for system in task.cells.values()]
    pairs = torch.combinations(torch.arange(len(prompts)))

    def measured(batch_tokens: int):
        forced = teacher_force(model, [(prompt, ids) for prompt in prompts], batch_tokens)
        states = torch.stack([one.final_hidden_states for one in forced])
        with torch.inference_mode():
            divergences = pairwise_divergences(
                lambda a, b: model.lm_head(states[:, a:b]),
                len(prompts),
                len(ids),
                pairs,
                device=model.head_device,
            )
        return states.float(), divergences.js, torch.stack([one.response_mean for one in forced])

    together = measured(10**9)
    width = max(map(len, prompts)) + len(ids)
    print("\n## personas in batches of other sizes, against all in one")
    for size in (1, 2, 3, 7):
        differences = [
            float((ours - theirs).abs().max())
            for ours, theirs in zip(measured(size * width), together, strict=True)
        ]
        print(
            f"  {size} a batch: largest difference of a state {differences[0]:.1e}, of a token's "
            f"JS {differences[1]:.1e} nats, of a centroid {differences[2]:.1e}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="few tokens: a trial on a CPU")
    arguments = parser.parse_args()
    checkpoint, folder = arguments.checkpoint.resolve(), arguments.folder.resolve()
    config = json.loads((checkpoint / "config.json").read_text())
    depth = config["num_hidden_layers"]
    layers = [10, 15, 20, 25] if depth > 25 else [0, depth - 1]
    tokens, dtype = (16, "float32") if arguments.small else (256, "bfloat16")
    whole_workflow(folder, checkpoint, tokens, layers, dtype)
    many, prompts = (24, 6) if arguments.small else (200, 200)
    parts(folder, checkpoint, tokens, dtype, many, prompts)


if __name__ == "__main__":
    main()
