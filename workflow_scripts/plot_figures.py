"""Rule plot_figures: every figure of a study. One job that draws in processes of its own."""

from pathlib import Path

from persona_geometry.logs import job_log
from persona_geometry.rdms.divergences import token_pairs
from persona_geometry.rdms.files import read_prompt_divergences
from persona_geometry.report.figures.shown import Shown
from persona_geometry.report.figures.study import figures
from persona_geometry.report.figures.style import save_all
from persona_geometry.report.figures.tokens import prompt_profiles, same_cluster
from persona_geometry.rsa.geometries import read_geometries
from persona_geometry.rsa.results import read_alignment
from persona_geometry.store.store import Store

if __name__ == "__main__":  # drawing processes import this script again
    inputs, params = snakemake.input, snakemake.params
    with job_log(snakemake.log[0]):
        alignment = read_alignment(inputs.alignment)
        geometries, estimator = read_geometries(
            inputs.cosine,
            inputs.js,
            anchor=params.anchor,
            clusters=params.clusters,
            macro=params.macro_clusters,
        )
        personas, store = alignment["personas"], Store(params.store)
        pairs = (
            token_pairs(store, read_prompt_divergences(path), estimator, personas)
            for path in inputs.prompts
        )
        profiles = prompt_profiles(pairs, same_cluster(personas, params.clusters))
        shown = Shown(alignment, geometries, params.measure, params.width)
        folder = Path(snakemake.output.png[0]).parent
        save_all(figures(shown, profiles), folder, snakemake.threads)
