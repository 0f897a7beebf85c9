"""Tables give back what was written into them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from persona_geometry.study.tables import (
    Persona,
    Prompt,
    clusters_of,
    macro_clusters_of,
    read_personas,
    read_prompts,
)

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)
# Any character but those that end a cell or a line; a line break is written as backslash and n.
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]) | st.just("\n")
TEXTS = st.text(CHARACTERS, max_size=12).filter(lambda text: "\\n" not in text)


def write(path: Path, *rows: tuple[str, ...]) -> Path:
    lines = ["\t".join(row).replace("\n", "\\n") for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    unique = (lambda row: row[0].casefold(), lambda row: row[1].strip())
    return st.lists(st.tuples(NAMES, texts), min_size=1, max_size=6, unique_by=unique)


@given(rows=rows(TEXTS), clusters=st.lists(st.none() | NAMES, min_size=6, max_size=6))
def test_personas_come_back(
    rows: list[tuple[str, str]], clusters: list[str | None], tmp_path_factory
) -> None:
    path = tmp_path_factory.getbasetemp() / "personas.tsv"
    personas = [
        Persona(name, cluster, text) for (name, text), cluster in zip(rows, clusters, strict=False)
    ]
    header = ("persona", "cluster", "system_prompt")
    write(path, header, *((p.name, p.cluster or "", p.system_prompt) for p in personas))
    assert read_personas(path) == personas
    reordered = ((p.system_prompt, p.name, p.cluster or "") for p in personas)
    write(path, ("system_prompt", "persona", "cluster"), *reordered)
    assert read_personas(path) == personas


def test_macro_clusters_come_back(tmp_path: Path) -> None:
    path = tmp_path / "personas.tsv"
    rows = [("a", "x", "A", "m"), ("b", "", "B", "m"), ("c", "", "C", "")]
    write(path, ("persona", "cluster", "system_prompt", "macro_cluster"), *rows)
    personas = read_personas(path)
    assert clusters_of(personas) == {"a": "x"}
    assert macro_clusters_of(personas) == {"a": "m", "b": "m"}


@given(rows=rows(TEXTS.filter(str.strip)))
def test_prompts_come_back(rows: list[tuple[str, str]], tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "prompts.tsv"
    write(path, ("prompt", "text"), *rows)
    assert read_prompts(path) == [Prompt(*row) for row in rows]
