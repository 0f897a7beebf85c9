"""Rule write_run_record: provenance of a study's numbers, and nothing older beside them."""

from pathlib import Path

from persona_geometry.logs import job_log
from persona_geometry.published import write_run
from persona_geometry.rdms.files import read_cosine_rdms, read_divergence_rdms
from persona_geometry.report.leftovers import remove_leftovers
from persona_geometry.report.run_record import git_commit, run_record
from persona_geometry.store.store import Store, read_receipt

inputs, params = snakemake.input, snakemake.params
with job_log(snakemake.log[0]) as report:
    folder = Path(snakemake.output.record).parent
    kept = {
        "layers": list(map(str, params.layers)),
        "known_layers": list(map(str, read_cosine_rdms(params.rdms["cosine"]))),
        "cutoffs": list(read_divergence_rdms(params.rdms["js"]).rdms),
        "prompts": params.prompts,
        "measured": [Path(path).stem for path in params.rdms.values()],
        "directed": ["kl_matrix"] if "by_prompt" in params.rdms else [],
        "geometries": params.also,
        "top_tokens": ["top_tokens"] if params.top_tokens else [],
        "probe": params.probe,
    }
    if removed := remove_leftovers(folder, kept):
        report(f"Removed what earlier runs left in {folder}: {', '.join(removed)}")
    model = params.model
    if model and model["gguf"]:
        quantised = Store(params.store).read_model(params.model_key)["quantised"]
        model = {**model, "quantised": quantised}
    record = run_record(
        params.study,
        git_commit(params.repository),
        params.config,
        model,
        inputs.written,
        inputs.results,
        [read_receipt(path).account for path in inputs.receipts],
        params.benchmarks,
    )
    write_run(snakemake.output.record, record)
