# The study, its recipes and the names of its files: what the rules ask of the library.

import os
import sys
from dataclasses import asdict, replace

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

try:
    from persona_geometry.errors import InputError
    from persona_geometry.files import sha256
    from persona_geometry.gpu.devices import visible_devices
    from persona_geometry.jobs.size import batch_tokens, memory_mb, runtime_minutes
    from persona_geometry.jobs.task import Settings
    from persona_geometry.jobs.texts import study_texts
    from persona_geometry.model.hub import finding_message
    from persona_geometry.probe import METHOD as PROBE_METHOD
    from persona_geometry.rdms import METHOD as RDMS_METHOD
    from persona_geometry.report import METHOD as REPORT_METHOD
    from persona_geometry.report.closing import closing
    from persona_geometry.report.described import describe
    from persona_geometry.report.figures import ENDINGS, WIDTHS, study_figures
    from persona_geometry.rsa import METHOD as RSA_METHOD
    from persona_geometry.rsa.results import read_alignment
    from persona_geometry.store import late
    from persona_geometry.store.store import Store
    from persona_geometry.study.config import read_study
    from persona_geometry.study.config_files import check_config_files, with_typed
    from persona_geometry.study.intervention import (
        check_before,
        chosen_personas,
        without_intervention,
    )
    from persona_geometry.study.recipes import (
        fingerprint,
        items,
        model_key,
        prompts_key,
        with_unpacked,
    )
    from persona_geometry.study.schedule import (
        first_names,
        planned_items,
        schedule_jobs,
    )
except ImportError as error:
    raise WorkflowError(
        f"The workflow's library cannot be imported ({error}): run 'pip install -e .' in "
        f"{workflow.basedir}, in the environment of this snakemake."
    ) from None

STORE = Store("results/store")

# Executors that submit jobs are told a number of these (--jobs) instead of cores.
LIMITS = workflow.global_resources
ON_ONE_MACHINE = workflow.is_main_process and LIMITS["_nodes"].value is None


def gpus_here():
    """GPUs that jobs may take on this machine, where they are not submitted to others."""
    if not ON_ONE_MACHINE:
        return 0
    return LIMITS["gpu"].value if "gpu" in LIMITS else len(visible_devices())


CONFIG_FILES = [os.path.relpath(path) for path in workflow.configfiles]

try:
    merged = check_config_files(CONFIG_FILES)
    config = with_typed(config, workflow.config_settings.config)
    STUDY = read_study(config, source=" and ".join(CONFIG_FILES))
    if STUDY.needs_model:
        FINGERPRINT = fingerprint(STUDY, cache=STORE.models)
        STUDY = with_unpacked(STUDY, STORE.models)
        MODEL_KEY = model_key(STUDY, FINGERPRINT)
        PROMPTS_KEY = prompts_key(STUDY, MODEL_KEY)
        SCHEDULE = schedule_jobs(
            STUDY,
            items(STUDY, FINGERPRINT),
            STORE.receipts(),
            STORE.receipts("responses"),
            gpus_here() // STUDY.model.gpus,
        )
        if STUDY.intervention.directions:
            BEFORE = items(without_intervention(STUDY), FINGERPRINT)
            if workflow.is_main_process:
                check_before(STUDY, STORE, BEFORE)
        if workflow.is_main_process and SCHEDULE.cells.planned:
            STORE.check_writable(planned_items(SCHEDULE))
        ITEMS = SCHEDULE.items
        SHARDS = SCHEDULE.cells
        RESPONSE_SHARDS = SCHEDULE.responses
except InputError as error:
    raise WorkflowError(str(error)) from None

# Jobs on a cluster read the Snakefile again.
if workflow.is_main_process:
    for remark in (*merged, *STUDY.remarks):
        logger.warning(f"Note: {remark}")

    # What nodes have written may show late here, where it is published.
    if not ON_ONE_MACHINE:
        os.environ.setdefault(late.SECONDS, "120")

    # As many GPU jobs run at a time as the machine has GPUs for, one where it has none.
    if STUDY.needs_model and ON_ONE_MACHINE and "gpu" not in LIMITS:
        workflow.register_resource("gpu", max(gpus_here(), STUDY.model.gpus))


wildcard_constraints:
    prompt="|".join(map(re.escape, STUDY.prompt_names)),


def results(path):
    """A file of this study."""
    return f"results/{STUDY.name}/{path}"


def store_root(_wildcards):
    """The folder of the store."""
    return str(STORE.root)


def log_path(name):
    return results(f"logs/{name}.log")


def bench_path(name):
    return results(f"benchmarks/{name}.tsv")


def one_of(names):
    """A wildcard constraint that allows these names only; nothing where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def open_shards(sharding):
    """The shards that a GPU rule may make, those without a receipt, which nothing brings back.

    A scheduler's job was told its shard before it reads this. Where a receipt has come in the
    meantime, it finds everything in the store. A report runs nothing, and tells of what has run.
    """
    if workflow.is_main_process and not REPORTS_ONLY:
        return sharding.planned
    return sharding.shards


def receipt_output(path):
    """A receipt, as a GPU rule's output.

    Snakemake removes what a job is to write before the job starts. Of a job that a scheduler runs
    a second time it leaves the receipt where it is, which says what the first run did.
    """
    return path if workflow.is_main_process else update(path)


def receipt_of(wildcards):
    """The receipt, finished or planned, that certifies a prompt's cells."""
    return str(STORE.receipt_path(SHARDS.shard_of[wildcards.prompt]))


def response_receipts(items):
    """The receipts, finished or planned, that certify the responses of these items."""
    shards = SCHEDULE.response_shards(items)
    return [str(STORE.receipt_path(shard, "responses")) for shard in shards]


def weight_bytes():
    """Size of the model's weights; a request that needs it waits until the model is resolved."""
    return STORE.read_model(MODEL_KEY)["weight_bytes"]


def layers_at_a_time():
    """Layers that are compared side by side, each with its vectors in memory.

    Of 2,000 cells in float64, 8,192 wide, these are 131 MB.
    """
    few = len(STUDY.prompts) * len(STUDY.personas) <= 2000
    return min(8, len(STUDY.layers)) if few else 2


def gpu_job_threads():
    """Cores of a GPU job: eight a GPU, or its share of a machine that has fewer for each."""
    gpus, cores = (workflow.global_resources.get(name) for name in ("gpu", "_cores"))
    if not gpus or not cores or not gpus.value or not cores.value:
        return 8 * STUDY.model.gpus
    return max(1, min(8, cores.value // gpus.value)) * STUDY.model.gpus


def job_memory(wildcards, input, attempt):
    """Host memory of a GPU job, in MB."""
    return memory_mb(weight_bytes(), attempt)


def scoring_minutes(wildcards, input, attempt):
    """Time limit of a shard's GPU job."""
    return runtime_minutes(
        weight_bytes(),
        len(SHARDS.shards[wildcards.shard]),
        len(STUDY.personas),
        STUDY.generation.max_new_tokens,
        attempt,
    )


def generation_minutes(wildcards, input, attempt):
    """Time limit of the job that generates responses."""
    return runtime_minutes(
        weight_bytes(),
        len(RESPONSE_SHARDS.shards[wildcards.shard]),
        0,
        STUDY.generation.max_new_tokens,
        attempt,
    )


def scoring_batch(wildcards, attempt):
    """Tokens of a forward batch, fewer at every retry."""
    return batch_tokens(STUDY.execution.batch_tokens, attempt)


def settings(wildcards, resources):
    """What of the config a GPU job needs."""
    batch = resources.get("batch_tokens", 0)
    return asdict(replace(Settings.of_study(STUDY), batch_tokens=batch))


def published(kind, ending):
    """Every prompt's file of one kind."""
    return expand(results(f"{kind}/{{prompt}}.{ending}"), prompt=STUDY.prompt_names)


def top_tokens():
    """The likeliest next tokens of every persona, where the study keeps them and scores tokens."""
    kept = STUDY.scoring.top_tokens and "js" not in STUDY.rdm
    return [results("top_tokens.npz")] if kept else []


def study_rdms():
    """The RDMs, and what only a measured RDM has beside it."""
    named = {"cosine": results("cosine_matrix.json"), "js": results("js_matrix.json")}
    if "js" not in STUDY.rdm:
        named["by_prompt"] = results("js_by_prompt.npz")
    if "cosine" not in STUDY.rdm:
        named["vectors"] = results("vectors.npz")
    return named


def other_geometries():
    """The cosine RDMs of other geometries, where there are any."""
    also = expand(results("geometries/{name}.json"), name=STUDY.geometry.also)
    return {"also": also} if also else {}


def alignment_inputs():
    """What the comparison reads."""
    named = study_rdms() | other_geometries()
    if STUDY.alignment.outcomes and "js" not in STUDY.rdm:
        named["kl"] = results("kl_matrix.json")
    if STUDY.alignment.outcomes:
        named["outcomes"] = STUDY.alignment.outcomes
    if STUDY.alignment.covariates:
        named["covariates"] = STUDY.alignment.covariates
    return named


def comparison_files():
    """The files that people write for the comparison."""
    outcomes = STUDY.alignment.outcomes
    return [*STUDY.alignment.covariates, *([outcomes] if outcomes else [])]


def input_files():
    """The files that people write for a study."""
    return [
        *CONFIG_FILES,
        config["personas"],
        config["prompts"],
        *(rdm.file for rdm in STUDY.rdm.values()),
        *([STUDY.intervention.directions] if STUDY.intervention.directions else []),
        *comparison_files(),
    ]


def contents(*paths):
    """The SHA-256 of files that people write.

    As a parameter it brings a job back when a file changes, whatever its modification time says.
    """
    return {path: sha256(path) for path in paths}


def cell_receipts():
    """The receipts, finished or planned, that certify this study's cells."""
    return sorted(
        {str(STORE.receipt_path(shard)) for shard in SHARDS.shard_of.values()}
    )


def study_receipts():
    """The receipts that certify this study's responses and cells."""
    if not STUDY.needs_model:
        return []
    return response_receipts(ITEMS.values()) + cell_receipts()


def study_benchmarks():
    """Where Snakemake times the jobs that make the study's numbers; those of earlier layers, prompts
    or models are not among them."""
    names = ["js_matrix", "cosine_rdms", "align"]
    names += ["probe"] if STUDY.probe.personas else []
    names += ["intervention"] if STUDY.intervention.directions else []
    if STUDY.needs_model:
        names += ["resolve_model", "check_prompts"]
        names += ["unpack_gguf"] if STUDY.model.gguf else []
        names += [f"publish_prompt/{prompt}" for prompt in STUDY.prompt_names]
        names += ["publish_top_tokens"] if top_tokens() else []
        for rule, shards in (
            ("generate_responses", RESPONSE_SHARDS),
            ("teacher_force", SHARDS),
        ):
            names += [f"{rule}/{shard}" for shard in set(shards.shard_of.values())]
    return sorted(map(bench_path, names))


def probe_numbers():
    """What a probe and an intervention find, where the study has them."""
    names = ["probe.json", "directions.npz"] if STUDY.probe.personas else []
    names += ["intervention.json"] if STUDY.intervention.directions else []
    return list(map(results, names))


def probe_files():
    """What a probe and an intervention write, where the study has them."""
    found = {
        "probe": STUDY.probe.personas,
        "intervention": STUDY.intervention.directions,
    }
    names = [name for name, there in found.items() if there]
    files = ["{name}.md", "{name}.html", "figures/{name}.png"]
    return probe_numbers() + expand(list(map(results, files)), name=names)


def figures():
    """Every figure of the study, as PNG; what else is written of it stands beside it."""
    names = study_figures(STUDY.layers, STUDY.headline_layer)
    return [results(f"figures/{name}.png") for name in names]


def figure_files(names, *others):
    """What is written of figures beside their PNG, but for endings that are named apart."""
    endings = [ending for ending in ENDINGS if ending not in (others or ("png",))]
    return expand(results("figures/{name}.{ending}"), name=names, ending=endings)


def no_comparison(_wildcards):
    """Of a study's config there is nothing to compare."""
    raise WorkflowError(
        "To compare studies, name two finished studies or more: snakemake compare --configfile "
        "config/compare-published.yaml, or --config 'studies=[one,other]' without a --configfile."
    )
