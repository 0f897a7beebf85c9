"""Rule check_prompts: render every persona and prompt, before a GPU is asked for."""

import os
import sys

from persona_geometry.jobs.task import Settings
from persona_geometry.logs import job_log
from persona_geometry.model.configs import load_config, load_tokenizer
from persona_geometry.model.hub import model_folder
from persona_geometry.model.prompts import Texts, answer_remark, check_prompts, positions_of
from persona_geometry.store.store import Store
from persona_geometry.study.checks import check_model_layers

params = snakemake.params
with job_log(snakemake.log[0]) as report:
    # A tokenizer needs no torch, which takes longer to import than all of this.
    sys.modules["torch"] = None
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    settings = Settings.of_plain(params.settings)
    folder = model_folder(settings.model)
    config = load_config(folder)
    check_model_layers(params.layers, config.to_dict(), params.source)
    positions = positions_of(config)
    tokenizer = load_tokenizer(folder, settings.model.chat_template)
    longest = check_prompts(
        tokenizer,
        settings.model,
        Texts(**params.texts),
        positions,
        max_new_tokens=settings.generation.max_new_tokens,
        end_of_turn=settings.scoring.end_of_turn,
    )
    if remark := answer_remark(tokenizer, settings.model):
        report(f"Note: {remark}")
    content = {"longest_prompt": longest, "positions": positions}
    Store(params.store).write_model(params.prompts_key, content)
    report(f"the longest prompt has {longest} tokens; the model's positions are {positions}")
