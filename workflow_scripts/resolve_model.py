"""Rule resolve_model: find the model and what it is made of, before a GPU is asked for."""

from persona_geometry.logs import job_log
from persona_geometry.model.attention import attention_kernel
from persona_geometry.model.hub import describe_model
from persona_geometry.model.tensors import told_by_headers
from persona_geometry.store.store import Store
from persona_geometry.study.sections import Model

params = snakemake.params
with job_log(snakemake.log[0]) as report:
    model = Model(**params.model)
    described = describe_model(model, report)
    attention_kernel(model.attention, described["config"])
    # Imports torch, once a checkpoint, and only where its headers do not tell enough.
    if not told_by_headers(described["config"]):
        from persona_geometry.model.loading import check_weights

        check_weights(model)
    content = {"fingerprint": params.fingerprint, **described}
    Store(params.store).write_model(params.model_key, content)
