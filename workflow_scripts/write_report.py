"""Rule write_report: the written result of a study, as one page."""

import numpy as np

from persona_geometry.files import write_text
from persona_geometry.logs import job_log
from persona_geometry.model.hub import model_folder
from persona_geometry.model.token_texts import scored_texts, word_texts
from persona_geometry.published import read_published_response, read_run, read_top_tokens
from persona_geometry.rdms.divergences import token_pairs
from persona_geometry.rdms.files import (
    read_cosine_rdms,
    read_divergence_rdms,
    read_prompt_divergences,
)
from persona_geometry.report.figures.style import cluster_colors
from persona_geometry.report.page.explore import TokenDivergences, charts
from persona_geometry.report.page.render import render_study
from persona_geometry.report.text import divergence_name
from persona_geometry.rsa.results import read_alignment
from persona_geometry.store.store import Store
from persona_geometry.study.sections import Model

inputs, params = snakemake.input, snakemake.params
with job_log(snakemake.log[0]):
    alignment = read_alignment(inputs.alignment)
    responses = {r.prompt: r for r in map(read_published_response, inputs.responses)}
    model = model_folder(Model(**params.study["settings"]["model"])) if responses else None
    top = read_top_tokens(inputs.top_tokens[0]) if inputs.top_tokens else None
    store, prompts = Store(params.store), []
    for name, path in zip(responses, inputs.prompts, strict=True):
        prompt = read_prompt_divergences(path)
        pairs = token_pairs(store, prompt, alignment["estimator"], alignment["personas"])
        texts = scored_texts(model, responses[name].token_ids, prompt.n_tokens)
        likely = None
        if top is not None:
            ids, log_probabilities = top.of(name, alignment["personas"])
            likely = ids, np.exp(log_probabilities.astype(float))
        prompts.append(TokenDivergences(name, texts, pairs, likely))
    words = {}
    if top is not None:
        distinct = np.unique(top.ids).tolist()
        words = dict(zip(distinct, word_texts(model, distinct) or [], strict=False))
    clusters = {
        name: persona["cluster"]
        for name, persona in params.study["personas"].items()
        if persona["cluster"] is not None
    }
    page = render_study(
        {
            "alignment.json": alignment,
            "run.json": read_run(inputs.run),
            "study": params.study,
            "responses": {name: vars(response) for name, response in responses.items()},
        },
        charts(
            alignment,
            clusters,
            cluster_colors(clusters),
            params.study["divergence"]["name"] or divergence_name(alignment),
            params.study["divergence"]["unit"],
            read_cosine_rdms(inputs.cosine),
            read_divergence_rdms(inputs.js).rdms,
            prompts,
            words,
        ),
    )
    write_text(snakemake.output.report, page)
