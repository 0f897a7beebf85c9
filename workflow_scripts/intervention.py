"""Rule intervention: divergences with a direction taken out, beside those without."""

from persona_geometry.logs import job_log
from persona_geometry.probe.files import write_effect
from persona_geometry.probe.intervention import effect
from persona_geometry.rdms.divergences import stacks_of_prompts
from persona_geometry.rdms.files import read_prompt_divergences
from persona_geometry.rdms.publish import prompt_divergences
from persona_geometry.report.figures.intervention import before_and_after
from persona_geometry.report.figures.style import save
from persona_geometry.report.intervention import describe_effect
from persona_geometry.report.markdown import write_markdown
from persona_geometry.store.store import Store

params, output = snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    store = Store(params.store)
    read = map(read_prompt_divergences, snakemake.input.prompts)
    after = dict(zip(params.before, read, strict=True))
    before = {
        name: prompt_divergences(store, item, store.need_response(response), cells, [])
        for name, (item, response, cells) in params.before.items()
    }
    compared = [name for name in after[next(iter(after))].personas if name != params.anchor]
    stacks = [stacks_of_prompts(one, "js")["full"].select(compared) for one in (before, after)]
    found = effect(*stacks, params.chosen)
    found = {**params.intervention, **found}
    write_effect(output.effect, found)
    write_markdown(output.summary, describe_effect(found))
    save(before_and_after(found, params.width), output.png.removesuffix(".png"))
