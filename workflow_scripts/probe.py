"""Rule probe: chosen personas, layer by layer and token by token."""

from persona_geometry.logs import job_log
from persona_geometry.model.hub import model_folder
from persona_geometry.probe.files import write_directions, write_probe
from persona_geometry.probe.layers import directions_of
from persona_geometry.probe.probe import probe
from persona_geometry.probe.tokens import scored_text
from persona_geometry.published import read_published_response
from persona_geometry.rdms.centroids import centroids_of_prompts
from persona_geometry.rdms.divergences import token_pairs
from persona_geometry.rdms.files import read_prompt_divergences
from persona_geometry.store.store import Store
from persona_geometry.study.sections import Model, Probe

inputs, params, output = snakemake.input, snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    model, settings, store = Model(**params.model), Probe(**params.probe), Store(params.store)
    folder = model_folder(model)
    read = map(read_prompt_divergences, inputs.prompts)
    prompts = dict(zip(params.prompts, read, strict=True))
    names = next(iter(prompts.values())).personas
    kept = [place for place, name in enumerate(names) if name != params.anchor]
    names = [names[place] for place in kept]
    centroids = centroids_of_prompts(store, prompts, [], params.token)[0][:, kept]
    divergences = {name: token_pairs(store, one, "js", names) for name, one in prompts.items()}
    responses = map(read_published_response, inputs.responses)
    texts = {
        name: scored_text(folder, response.token_ids, divergences[name].shape[1])
        for name, response in zip(params.prompts, responses, strict=True)
    }
    chosen, k = settings.personas, settings.components
    write_directions(output.directions, directions_of(names, centroids, chosen, k), chosen)
    write_probe(output.probe, probe(names, centroids, chosen, k, divergences, texts))
