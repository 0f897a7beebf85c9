# RDMs: divergences averaged over prompts, and cosines of centroids at every layer.


localrules:
    js_matrix,
    cosine_rdms,


if "js" in STUDY.rdm:

    rule js_matrix:
        input:
            file=STUDY.rdm["js"].file,
        output:
            matrix=results("js_matrix.json"),
            tables=directory(results("js_matrix")),
        log:
            log_path("js_matrix"),
        benchmark:
            bench_path("js_matrix")
        conda:
            "../envs/cpu.yaml"
        params:
            kind="js",
            personas=STUDY.persona_names,
            anchor=STUDY.anchor,
            estimator=STUDY.divergence_kind,
            unit=STUDY.divergence_unit,
            sha256=STUDY.rdm["js"].sha256,
            inputs=contents(STUDY.rdm["js"].file),
            method=RDMS_METHOD,
        message:
            "Read the divergence RDM from {input.file}"
        script:
            "../workflow_scripts/import_rdm.py"

else:

    rule js_matrix:
        input:
            prompts=published("prompts", "npz"),
        output:
            matrix=results("js_matrix.json"),
            tables=directory(results("js_matrix")),
            by_prompt=results("js_by_prompt.npz"),
            kl=results("kl_matrix.json"),
        log:
            log_path("js_matrix"),
        benchmark:
            bench_path("js_matrix")
        conda:
            "../envs/cpu.yaml"
        params:
            estimator=STUDY.divergence.estimator,
            prompts=STUDY.prompt_names,
            method=RDMS_METHOD,
        message:
            "Average the divergences over prompts"
        script:
            "../workflow_scripts/js_matrix.py"


if "cosine" in STUDY.rdm:

    rule cosine_rdms:
        input:
            file=STUDY.rdm["cosine"].file,
        output:
            matrix=results("cosine_matrix.json"),
            tables=directory(results("cosine_distance")),
        log:
            log_path("cosine_rdms"),
        benchmark:
            bench_path("cosine_rdms")
        conda:
            "../envs/cpu.yaml"
        params:
            kind="cosine",
            personas=STUDY.persona_names,
            anchor=STUDY.anchor,
            layers=STUDY.layers,
            sha256=STUDY.rdm["cosine"].sha256,
            inputs=contents(STUDY.rdm["cosine"].file),
            method=RDMS_METHOD,
        message:
            "Read the cosine RDMs from {input.file}"
        script:
            "../workflow_scripts/import_rdm.py"

else:

    rule cosine_rdms:
        input:
            prompts=published("prompts", "npz"),
        output:
            **other_geometries(),
            matrix=results("cosine_matrix.json"),
            tables=directory(results("cosine_distance")),
            vectors=results("vectors.npz"),
        log:
            log_path("cosine_rdms"),
        benchmark:
            bench_path("cosine_rdms")
        conda:
            "../envs/cpu.yaml"
        params:
            store=str(STORE.root),
            token=STUDY.geometry.token,
            also=STUDY.geometry.also,
            components=STUDY.geometry.components,
            anchor=STUDY.anchor,
            layers=STUDY.layers,
            prompts=STUDY.prompt_names,
            method=RDMS_METHOD,
        message:
            "Compute centroids and their cosines at every layer"
        script:
            "../workflow_scripts/cosine_rdms.py"
