"""RDM files: read by label, and refused in one sentence that says what to mend."""

import hashlib
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_geometry.errors import InputError
from persona_geometry.rdms.files import (
    DivergenceRdms,
    LayerVectors,
    PromptDivergences,
    check_sha256,
    read_cosine_rdms,
    read_divergence_rdms,
    read_layer_vectors,
    read_prompt_divergences,
    read_rdm_table,
    read_stacks,
    write_cosine_rdms,
    write_divergence_rdms,
    write_layer_vectors,
    write_prompt_divergences,
    write_rdm_table,
    write_stacks,
)
from persona_geometry.rdms.rdm import Rdm, RdmStack, checked

SCRIPT = Path(__file__).parents[2] / "workflow_scripts" / "import_rdm.py"
NAMES = ["poet", "surgeon", "villain"]
DISTANCES = np.array([[0.0, 0.1, 0.2], [0.1, 0.0, 0.3], [0.2, 0.3, 0.0]])
TABLE = "\tpoet\tsurgeon\tvillain\npoet\t0\t0.1\t0.2\nsurgeon\t0.1\t0\t0.3\nvillain\t0.2\t0.3\t0\n"


def same(a: Rdm, b: Rdm) -> bool:
    return a.names == b.names and np.array_equal(a.vector, b.vector)


def tsv(folder: Path, text: str) -> Path:
    path = folder / "rdm.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def similarities(folder: Path, content: object) -> Path:
    path = folder / "cosine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def layer(**changes: object) -> dict:
    return {"layer_3": {"persona_names": NAMES, "matrix": (1 - DISTANCES).tolist(), **changes}}


def test_table_is_written_and_read_without_loss(tmp_path: Path) -> None:
    rdm = Rdm(tuple(NAMES), np.random.default_rng(0).random(3))
    write_rdm_table(tmp_path / "rdm.tsv", rdm)
    assert same(read_rdm_table(tmp_path / "rdm.tsv"), rdm)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_table_from_a_spreadsheet_is_read(tmp_path: Path, newline: str) -> None:
    path = tmp_path / "rdm.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + TABLE.replace("\n", newline).encode() + newline.encode())
    rdm = read_rdm_table(path)
    assert rdm.names == tuple(NAMES) and np.array_equal(rdm.square, DISTANCES)


@given(rows=st.permutations(range(3)), columns=st.permutations(range(3)), data=st.data())
def test_values_follow_their_labels_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list, columns: list, data: st.DataObject
) -> None:
    lines = ["\t".join(["", *(NAMES[c] for c in columns)])]
    lines += ["\t".join([NAMES[r], *(str(DISTANCES[r, c]) for c in columns)]) for r in rows]
    path = tsv(tmp_path_factory.mktemp("rdm"), "\n".join(lines))
    wanted = data.draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    chosen = read_rdm_table(path).select(wanted, path).square
    for i, first in enumerate(wanted):
        for j, second in enumerate(wanted):
            assert chosen[i, j] == DISTANCES[NAMES.index(first), NAMES.index(second)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "rdm.tsv, line 1: the header must have an empty cell"),
        ("\ta\tb\na\t0\t1\nb\t1\t0\n", "line 1: .* at least three unique names"),
        (TABLE.replace("surgeon", "poet"), "line 1: .* at least three unique names"),
        (TABLE.replace("\t0.3\t0\n", "\t0.3\n"), "line 4: 2 values where the header has 3 names"),
        (TABLE.replace("0\t0.3", "0\tfar"), "line 3: the row of 'surgeon' .* not a number"),
        (TABLE.replace("0\t0.3", "0\t"), "line 3: the row of 'surgeon' .* not a number"),
        (TABLE + "poet\t0\t0.1\t0.2\n", "line 5: a row of 'poet' is already above"),
        (TABLE.replace("\nvillain", "\npirate"), "'pirate' is not both a row and a column"),
        (TABLE.rsplit("villain", 1)[0], "'villain' is not both a row and a column"),
    ],
)
def test_broken_table_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_rdm_table(tsv(tmp_path, text))


def test_similarities_are_read_layer_by_layer(tmp_path: Path) -> None:
    ((number, rdm),) = read_cosine_rdms(similarities(tmp_path, layer())).items()
    assert (number, rdm.names) == (3, tuple(NAMES))
    assert np.allclose(rdm.square, DISTANCES, atol=1e-15)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        {"layer_x": layer()["layer_3"]},
        {"layer_3": {"persona_names": NAMES}},
        {"layer_3": 1},
        layer(matrix=[[1, 0], [0]]),
        layer(matrix="none"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match=r"cosine.json is not a JSON of layers"):
        read_cosine_rdms(similarities(tmp_path, content))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"persona_names": ["poet", "poet", "villain"]}, "layer_3: 'poet' is named more than once"),
        ({"persona_names": NAMES[:2]}, "layer_3: the matrix is 3 × 3 for 2 names"),
        ({"matrix": [[1, 0, 0]]}, "layer_3: the matrix is 1 × 3 for 3 names"),
    ],
)
def test_matrix_that_does_not_fit_its_names_is_refused(
    tmp_path: Path, changes: dict, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        read_cosine_rdms(similarities(tmp_path, layer(**changes)))


@pytest.mark.parametrize("read", [read_rdm_table, read_cosine_rdms])
def test_missing_file_and_other_encodings_are_named(tmp_path: Path, read) -> None:
    with pytest.raises(InputError, match=r"nothing.tsv does not exist; correct the path"):
        read(tmp_path / "nothing.tsv")
    (tmp_path / "latin.tsv").write_bytes("\tpoète".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.tsv is not UTF-8 text"):
        read(tmp_path / "latin.tsv")


def test_hash_of_another_file_is_refused(tmp_path: Path) -> None:
    path = tsv(tmp_path, TABLE)
    expected = hashlib.sha256(TABLE.encode()).hexdigest()
    check_sha256(path, expected)
    check_sha256(path, None)
    path.write_text(TABLE.replace("0.3", "0.31"))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(InputError, match=f"has SHA-256 {found}, but the config expects {expected}"):
        check_sha256(path, expected)


def test_persona_that_the_file_lacks_is_named() -> None:
    rdm = Rdm.from_square(NAMES, DISTANCES)
    with pytest.raises(InputError, match=r"a.tsv has no persona 'pirate'; add it there"):
        rdm.select(["poet", "pirate"], "a.tsv")


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ((1, 2), np.nan, r"a value is not a number at row 'surgeon', column 'villain' \(nan\)"),
        ((1, 2), np.inf, r"a value is not a number at row 'surgeon', column 'villain' \(inf\)"),
        ((1, 0), 0.1001, r"not symmetric at row 'poet', column 'surgeon' \(0.1\)"),
        ((2, 2), 0.01, r"the diagonal is not zero at row 'villain', column 'villain' \(0.01\)"),
    ],
)
def test_what_is_no_rdm_is_refused(place: tuple, value: float, sentence: str) -> None:
    matrix = DISTANCES.copy()
    matrix[place] = value
    with pytest.raises(InputError, match=sentence):
        checked(NAMES, matrix, "a.tsv")


def test_negative_distance_is_refused() -> None:
    matrix = DISTANCES.copy()
    matrix[0, 2] = matrix[2, 0] = -0.02
    with pytest.raises(InputError, match=r"negative at row 'poet', column 'villain' \(-0.02\)"):
        checked(NAMES, matrix, "a.tsv")


def test_rounding_is_forgiven_and_removed() -> None:
    noise = 1e-7 * np.array([[-1, 1, 0], [-1, 1, 0], [0, 0, -1]])
    clean = checked(NAMES, DISTANCES + noise, "a.tsv").square
    assert np.array_equal(clean, clean.T) and not clean.diagonal().any()
    assert np.allclose(clean, DISTANCES, atol=1e-7)
    equal = np.full((3, 3), -1e-8)
    assert not checked(NAMES, equal, "a.tsv").vector.any()


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("js", 0.7, r"exceeds ln 2, .* give rdm.js.name and rdm.js.unit"),
        ("cosine", 2.1, "exceeds 2, "),
    ],
)
def test_distances_beyond_the_range_of_their_kind_are_refused(
    kind: str, value: float, sentence: str
) -> None:
    matrix = np.full((3, 3), value) * (1 - np.eye(3))
    with pytest.raises(InputError, match=sentence):
        checked(NAMES, matrix, "a.tsv", kind=kind)
    largest = {"js": np.log(2), "cosine": 2.0}[kind]
    matrix = np.full((3, 3), largest) * (1 - np.eye(3))
    assert checked(NAMES, matrix, "a.tsv", kind=kind).vector.tolist() == [largest] * 3


def test_names_and_distances_cannot_be_changed() -> None:
    rdm = Rdm.from_square(NAMES, DISTANCES)
    for array in (rdm.vector, rdm.ranks, rdm.square):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(InputError, match="'poet' is named more than once"):
        Rdm(("poet", "poet"), np.array([1.0]))
    with pytest.raises(ValueError, match="shape"):
        Rdm(("poet", "villain"), np.array([1.0, 2.0]))


def test_ranks_are_doubled_mid_ranks_and_the_frame_is_labeled() -> None:
    rdm = Rdm(("a", "b", "c"), np.array([0.5, 0.2, 0.5]))
    assert rdm.ranks.tolist() == [5, 2, 5] and rdm.ranks is rdm.ranks
    assert rdm.to_frame().loc["b", "a"] == 0.5 and rdm.to_frame().loc["c", "c"] == 0
    assert list(rdm.pairs) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert rdm.without("b").names == ("a", "c") and rdm.without("b").vector.tolist() == [0.2]


@given(st.data())
def test_every_file_of_rdms_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Names of any letters, distances of any size; similarities lose at most a rounding."""
    folder = tmp_path_factory.mktemp("round")
    letters = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=5)
    names = data.draw(st.lists(letters, unique=True, min_size=3, max_size=5))
    n_pairs = len(names) * (len(names) - 1) // 2
    values = st.lists(st.floats(0, 0.69), min_size=n_pairs, max_size=n_pairs)
    rdm = Rdm(tuple(names), np.array(data.draw(values)))
    write_rdm_table(folder / "a.tsv", rdm)
    assert same(read_rdm_table(folder / "a.tsv", "js"), rdm)
    write_divergence_rdms(folder / "js.json", DivergenceRdms("js", "nats", ["q"], {"full": rdm}))
    read = read_divergence_rdms(folder / "js.json")
    assert same(read.rdms["full"], rdm) and (read.estimator, read.prompts) == ("js", ["q"])
    write_cosine_rdms(folder / "cosine.json", {4: rdm})
    once = read_cosine_rdms(folder / "cosine.json")[4]
    assert np.allclose(once.vector, rdm.vector, atol=1e-15)
    write_cosine_rdms(folder / "cosine.json", {4: once})
    assert same(read_cosine_rdms(folder / "cosine.json")[4], once)
    stack = RdmStack(rdm.names, ("q1", "q2"), np.stack([rdm.vector, rdm.vector / 2]))
    write_stacks(folder / "stacks.npz", {"8": stack, "full": stack})
    again = read_stacks(folder / "stacks.npz")
    assert list(again) == ["8", "full"] and again["8"].labels == ("q1", "q2")
    assert np.array_equal(again["full"].vectors, stack.vectors)


def test_measurements_of_prompts_are_read_as_they_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    js, kl, half = rng.random((3, 2, 3, 3))
    prompt = PromptDivergences(NAMES, ["c1", "c2", "c3"], "item", ["8", "full"], 24, js, kl, half)
    write_prompt_divergences(tmp_path / "p.npz", prompt)
    again = read_prompt_divergences(tmp_path / "p.npz")
    for name, value in vars(prompt).items():
        assert np.array_equal(getattr(again, name), value), name
    of_layers = {layer: rng.random((1, 3, 4)).astype(np.float32) for layer in (2, 7)}
    write_layer_vectors(tmp_path / "v.npz", LayerVectors(NAMES, ["q"], of_layers))
    read = read_layer_vectors(tmp_path / "v.npz")
    assert (read.personas, read.prompts, list(read.layers)) == (NAMES, ["q"], [2, 7])
    assert all(np.array_equal(read.layers[k], of) for k, of in of_layers.items())
    assert read.layers[7].dtype == np.float32 and read.layers.get(3) is None


def test_vectors_that_a_disk_has_altered_are_refused(tmp_path: Path) -> None:
    path, vectors = tmp_path / "v.npz", np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    write_layer_vectors(path, LayerVectors(NAMES, ["q"], {2: vectors}))
    whole = path.read_bytes()
    place = whole.index(vectors.tobytes())
    path.write_bytes(whole[:place] + b"\x01" + whole[place + 1 :])
    with pytest.raises(InputError, match=r"v.npz is damaged; remove it"):
        read_layer_vectors(path)


@pytest.mark.parametrize(
    "read", [read_prompt_divergences, read_stacks, read_layer_vectors, read_divergence_rdms]
)
def test_a_file_that_lacks_a_field_is_named(tmp_path: Path, read: Callable) -> None:
    np.savez(tmp_path / "a.npz", personas=NAMES)
    (tmp_path / "a.json").write_text("{}")
    path = tmp_path / ("a.json" if read is read_divergence_rdms else "a.npz")
    with pytest.raises(InputError, match=r"a\.\w+ is damaged; remove it"):
        read(path)


def test_half_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(InputError, match=r"p.npz is damaged; remove it"):
        read_prompt_divergences(tmp_path / "p.npz")


def run_import(folder: Path, capsys: pytest.CaptureFixture, **changes: object) -> str:
    """Run the rule's script; what it reported where it ended in an error, else an empty text."""
    output = SimpleNamespace(matrix=folder / "matrix.json", tables=folder / "tables")
    params = {"kind": "cosine", "personas": NAMES, "anchor": None, "layers": [3], "sha256": None}
    params |= {"unit": "nats"}
    job = SimpleNamespace(
        params=SimpleNamespace(**{**params, **changes}), output=output, log=[folder / "log"]
    )
    job.input = SimpleNamespace(file=str(changes["file"]))
    try:
        runpy.run_path(str(SCRIPT), {"snakemake": job})
    except SystemExit:
        assert not output.matrix.exists()
        return capsys.readouterr().err
    return ""


def test_imported_table_is_that_of_its_one_layer(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tsv(tmp_path, TABLE)
    assert "geometry.layers names 2 layers" in run_import(
        tmp_path, capsys, file=path, layers=[3, 5]
    )
    assert run_import(tmp_path, capsys, file=path, personas=NAMES[::-1]) == ""
    ((number, rdm),) = read_cosine_rdms(tmp_path / "matrix.json").items()
    assert (number, rdm.names) == (3, tuple(NAMES[::-1]))
    assert np.allclose(rdm.square, DISTANCES[::-1, ::-1])
    table = read_rdm_table(tmp_path / "tables" / "layer_3.tsv")
    assert np.array_equal(table.square, DISTANCES[::-1, ::-1])


def test_imported_layers_and_personas_must_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = similarities(tmp_path, layer())
    assert "cosine.json has no layer 4" in run_import(tmp_path, capsys, file=path, layers=[3, 4])
    more = [*NAMES, "pirate"]
    assert "no persona 'pirate'" in run_import(tmp_path, capsys, file=path, personas=more)
    assert run_import(tmp_path, capsys, file=path, personas=more, anchor="pirate") == ""


def test_imported_divergences_are_checked_by_their_estimator(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tsv(tmp_path, TABLE.replace("0.3", "3"))
    js = {"file": path, "kind": "js", "estimator": "js"}
    assert "exceeds ln 2" in run_import(tmp_path, capsys, **js)
    for estimator, unit in (("half_jeffreys", "nats"), ("imported", "bits"), ("imported", None)):
        given = {**js, "estimator": estimator, "unit": unit}
        assert run_import(tmp_path, capsys, **given) == ""
        written = json.loads((tmp_path / "matrix.json").read_text())
        assert (written["estimator"], written["units"]) == (estimator, unit)
        assert written["prompts"] is None
        assert written["cutoffs"]["full"][1] == [0.1, 0.0, 3.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_distance_that_is_not_finite_is_refused_by_its_pair(bad: float) -> None:
    with pytest.raises(InputError, match="'a' and 'c'"):
        Rdm(("a", "b", "c"), np.array([0.1, bad, 0.2]))
    with pytest.raises(InputError, match="'b' and 'c'"):
        RdmStack(("a", "b", "c"), ("q", "r"), np.array([[0.1, 0.3, 0.2], [0.1, 0.3, bad]]))
