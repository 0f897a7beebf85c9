"""A bundle holds nothing of the machine, is the same when made again, and is computed again."""

import zipfile
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import whole_study
from rocrate.rocrate import ROCrate

from persona_geometry.bundle import recompute
from persona_geometry.bundle.archive import write_archive
from persona_geometry.bundle.contents import (
    checksums,
    described,
    input_names,
    read_checksums,
    result_files,
)
from persona_geometry.bundle.crate import METADATA, metadata
from persona_geometry.bundle.portable import (
    check_clean,
    machine_paths,
    with_names,
    without_paths,
)
from persona_geometry.bundle.recompute import NEED_VECTORS, check_files, compared
from persona_geometry.errors import InputError
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.study.sections import Bundle

CONFIG: dict[str, Any] = {
    "study": "s",
    "personas": "config/personas.tsv",
    "prompts": "/home/ada/q/prompts.tsv",
    "model": {"path": "~/models/large", "chat_template": "{{ /not a path/.. }}"},
    "generation": {"system_prompt": "/think"},
    "alignment": {"covariates": ["../pay.tsv", "config/age.tsv"]},
}


def test_paths_that_lead_out_of_the_checkout_are_found_and_named() -> None:
    paths = machine_paths(CONFIG)
    assert paths == {
        "/home/ada/q/prompts.tsv": "prompts.tsv",
        "~/models/large": "large",
        "../pay.tsv": "pay.tsv",
    }
    names = input_names(["config/personas.tsv", "/home/ada/q/prompts.tsv", "../pay.tsv"])
    portable = with_names(CONFIG, {**paths, **names})
    assert (portable["personas"], portable["prompts"]) == (
        "inputs/personas.tsv",
        "inputs/prompts.tsv",
    )
    assert portable["alignment"]["covariates"] == ["inputs/pay.tsv", "config/age.tsv"]
    assert portable["model"]["path"] == "large"
    assert portable["generation"] == CONFIG["generation"]


def test_tables_of_one_name_stay_apart() -> None:
    names = input_names(["a/t.tsv", "b/t.tsv", "a/t.tsv"])
    assert names == {"a/t.tsv": "inputs/t.tsv", "b/t.tsv": "inputs/t-2.tsv"}


def test_paths_leave_texts_and_nothing_else() -> None:
    paths = {"/data/m": "m", "/data/m/long": "long"}
    assert without_paths("run.json", b'"/data/m/long /data/m"', paths) == b'"long m"'
    assert without_paths("a.npz", b"/data/m", paths) == b"/data/m"


def test_a_folder_of_the_machine_or_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"run\.json names the folder /home/ada of this machine"):
        check_clean("run.json", b'"/home/ada/x"', ["/", "/home/ada"])
    check_clean("run.json", b'"/home/adam/x" and /', ["/", "/home/ada"])
    with pytest.raises(InputError, match="looks like a key or token"):
        check_clean("a.tsv", b"Say hf_" + b"a" * 30, [])
    monkeypatch.setenv("SOME_API_KEY", "open sesame")
    with pytest.raises(InputError, match="looks like a key or token"):
        check_clean("a.tsv", b"Say open sesame", [])


def test_hidden_states_and_vectors_are_not_bundled(tmp_path: Path) -> None:
    wanted = ("alignment.json", "responses/q.json", "figures/a.png", "js_by_prompt.npz")
    for name in (*wanted, "vectors.npz", "directions.npz", "prompts/q.npz", "logs/align.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert set(result_files(tmp_path)) == set(wanted)
    assert all(described(name) for name in wanted)


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    files = {"b/c.txt": b"two", "a.txt": b"one"}
    for name in ("first.zip", "second.zip"):
        write_archive(tmp_path / name, files)
        files = dict(reversed(files.items()))
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files


def test_metadata_is_a_crate_that_describes_every_file(tmp_path: Path) -> None:
    files = {"alignment.json": b"{}", "inputs/personas.tsv": b"x", "config.yaml": b""}
    sums = {name: "0" * 64 for name in files}
    bundle = Bundle.of(license="CC-BY-4.0", authors=["Ada Lovelace"])
    run = {"repository": {"commit": "abc"}}
    written = metadata(files, sums, "t", "All gates pass.", "2026-11-25", bundle, run)
    assert written == metadata(files, sums, "t", "All gates pass.", "2026-11-25", bundle, run)
    for name, content in {**files, METADATA: written}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    crate = ROCrate(tmp_path)
    assert {entity.id for entity in crate.data_entities} == set(files)
    assert all(entity["sha256"] == "0" * 64 for entity in crate.data_entities)
    assert crate.license.id == "https://spdx.org/licenses/CC-BY-4.0"
    assert [one["name"] for one in crate.creator] == [
        "Ada Lovelace"
    ] and crate.datePublished.day == 25
    action = crate.get("#run")
    assert [one.id for one in action["result"]] == ["alignment.json"]
    assert {one.id for one in action["object"]} == {"config.yaml", "inputs/personas.tsv"}
    assert action["instrument"]["version"] == "abc"


def test_a_changed_or_missing_file_of_a_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no SHA256SUMS; give the folder of an unpacked"):
        check_files(tmp_path)
    (tmp_path / "a b.txt").write_text("x")
    sums = {"a b.txt": recompute.sha256(tmp_path / "a b.txt")}
    (tmp_path / "SHA256SUMS").write_text(checksums(sums))
    assert read_checksums(checksums(sums)) == sums and check_files(tmp_path) == 1
    (tmp_path / "a b.txt").write_text("y")
    with pytest.raises(InputError, match=r"a b\.txt is not what was bundled"):
        check_files(tmp_path)
    (tmp_path / "a b.txt").unlink()
    with pytest.raises(InputError, match=r"lacks a b\.txt"):
        check_files(tmp_path)


@pytest.fixture(scope="module")
def both() -> tuple[dict[str, Any], dict[str, Any]]:
    """A study that has everything, aligned with and without the vectors of its prompts."""
    made: list[dict[str, Any]] = []
    plain = whole_study.align

    def with_and_without(whole: Geometries, *rest: Any) -> dict[str, Any]:
        assert whole.vectors
        alike = {layer: of[:1] + 0.3 * of for layer, of in whole.vectors.items()}
        for vectors in (alike, None):
            made.append(plain(replace(whole, vectors=vectors), *rest))
        return made[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_study, "align", with_and_without)
        whole_study.aligned()
    return made[0], made[1]


def test_everything_else_is_computed_again_from_the_matrices(
    both: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    values = list(compared(*both))
    assert len(values) > 500
    assert [place for place, same in values if not same] == []


@pytest.mark.parametrize("pattern", NEED_VECTORS)
def test_only_what_needs_vectors_is_left_out(
    both: tuple[dict[str, Any], dict[str, Any]], pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = tuple(one for one in NEED_VECTORS if one != pattern)
    monkeypatch.setattr(recompute, "NEED_VECTORS", others)
    differing = {place for place, same in compared(*both) if not same}
    assert differing
    assert all(fnmatch(place, f"{pattern}*") for place in differing)


def test_a_changed_statistic_is_found(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    ours, theirs = both
    layers = {**theirs["layers"], "2": {**theirs["layers"]["2"], "spearman": 0.5}}
    found = [place for place, same in compared(ours, {**theirs, "layers": layers}) if not same]
    assert found == ["layers.2.spearman"]
