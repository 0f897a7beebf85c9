"""ro-crate-metadata.json: what the files of a bundle are, and what made them (RO-Crate 1.2)."""

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from persona_geometry import __version__
from persona_geometry.bundle.contents import described
from persona_geometry.study.sections import Bundle

SPDX = "https://spdx.org/licenses/"
METADATA = "ro-crate-metadata.json"
FORMATS = {
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".npz": "application/zip",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
}


def metadata(
    files: Mapping[str, bytes],
    sums: Mapping[str, str],
    title: str,
    said: str,
    day: str,
    bundle: Bundle,
    run: Mapping[str, Any],
) -> bytes:
    """The content of ro-crate-metadata.json.

    Args:
        files: name to content of every other file of the bundle.
        sums: name to SHA-256.
        title, said: name of the study, and its result in a sentence or two.
        day: when the results were finished, as YYYY-MM-DD.
        bundle: the config's section.
        run: the content of run.json.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.model.person import Person
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.2")
    crate.name, crate.description, crate.datePublished = title, said, day
    if bundle.license:
        terms = {"@type": "CreativeWork", "name": bundle.license}
        crate.license = crate.add(ContextEntity(crate, SPDX + bundle.license, terms))
    people = [crate.add(Person(crate, f"#{quote(n)}", {"name": n})) for n in bundle.authors]
    if people:
        crate.creator = people
    added = {
        name: crate.add_file(
            dest_path=name,
            properties={
                "name": described(name),
                "contentSize": str(len(files[name])),
                "encodingFormat": FORMATS.get(PurePath(name).suffix, "text/plain"),
                "sha256": sums[name],
            },
        )
        for name in sorted(files)
    }
    software = ContextEntity(
        crate,
        "#persona-geometry",
        {
            "@type": "SoftwareApplication",
            "name": "persona-geometry",
            "softwareVersion": __version__,
            "version": run["repository"]["commit"] or "unknown",
        },
    )
    inputs = [of for name, of in added.items() if name.startswith(("inputs/", "config.yaml"))]
    made = [of for name, of in added.items() if of not in inputs]
    action = ContextEntity(
        crate,
        "#run",
        {"@type": "CreateAction", "name": f"The run of {title}", "endTime": day},
    )
    crate.add(software, action)
    action["instrument"], action["object"], action["result"] = software, inputs, made
    crate.root_dataset["mentions"] = action
    return json.dumps(crate.metadata.generate(), ensure_ascii=False, indent=1).encode()
