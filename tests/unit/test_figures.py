"""Figures of any study: drawn, readable at both widths, and their tables hold what is drawn."""

import copy
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from docutils.core import publish_parts
from jinja2 import Environment
from matplotlib.axes import Axes
from matplotlib.colors import rgb_to_hsv, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text

from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.report.figures import ENDINGS, WIDTHS, study_figures
from persona_geometry.report.figures.heatmap import hierarchical_order, percentiles
from persona_geometry.report.figures.layers import layer_curve, past_controls
from persona_geometry.report.figures.robustness import (
    NAMED,
    cutoff_lines,
    jackknife_dots,
    prompt_strips,
)
from persona_geometry.report.figures.scatter import BEHAVIOR, HIDDEN, PREDICTED
from persona_geometry.report.figures.shown import Shown
from persona_geometry.report.figures.study import figures
from persona_geometry.report.figures.style import (
    LONGEST_LABEL,
    PALETTE,
    SMALLEST,
    TALLEST,
    Drawing,
    as_template,
    cluster_colors,
    freeze,
    readable,
    save,
)
from persona_geometry.report.figures.tokens import prompt_profiles, same_cluster, token_profile
from persona_geometry.report.figures.trees import following
from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.controls import controls
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.study.sections import Alignment

LAYERS = [1, 4]
NO_TOKENS: dict[str, list[np.ndarray]] = {"within": [], "others": []}


@cache
def study(
    n: int,
    *,
    clusters: bool = True,
    long: bool = False,
    flat: bool = False,
    prompts: int = 0,
    width: str = "column",
    measure: str = "JS divergence (nats)",
) -> Shown:
    """A study of random distances, from a file where it has no prompts. Not to be changed."""
    rng = np.random.default_rng(n)
    stem = "an_uncommonly_thorough_description_of_persona" if long else "persona"
    names = tuple(f"{stem}_{(11 * k) % n}" for k in range(n))

    def rdm() -> Rdm:
        return Rdm.from_square(names, rng.uniform(0.01, 0.6, (n, n)))

    stack = None
    if prompts:
        labels = tuple(f"prompt_{k}" for k in range(prompts))
        stack = RdmStack(names, labels, np.stack([rdm().vector for _ in labels]))
    divergence = Rdm.from_square(names, np.full((n, n), 0.25)) if flat else rdm()
    if stack:
        divergence = stack.mean()
    geometries = Geometries(
        anchor=None,
        clusters={names[k]: f"cluster_{k % 3}" for k in range(n // 2)} if clusters else {},
        cosine={layer: rdm() for layer in range(6)},
        divergence={"8": rdm(), "full": divergence} if prompts else {"full": divergence},
        by_prompt={"full": stack} if stack else None,
    )
    settings = {
        **{"permutations": 99, "seed": 0, "leave_out": [], "top_k": 5, "bootstrap": 0},
        **{"predictions": [[names[0], names[1]]], "noise_ceiling_splits": 0},
        "gates": [{"statistic": "spearman", "comparison": ">", "threshold": 0.5, "layer": 4}],
    }
    alignment = align(
        geometries, Alignment.of(**settings), LAYERS, 4, "trial", "js", lambda _line: None
    )
    return Shown(alignment, geometries, measure, WIDTHS[width])


def changed(shown: Shown) -> Shown:
    """A study of its own, to be changed."""
    return replace(shown, alignment=copy.deepcopy(dict(shown.alignment)))


def draw(shown: Shown, name: str) -> Drawing:
    return figures(shown, NO_TOKENS)[name]()


def texts(figure: Figure) -> list[str]:
    found = figure.findobj(Text)
    return [text.get_text() for text in found if text.get_text() and text.get_visible()]


def images(figure: Figure | Axes, n: int) -> list[np.ndarray]:
    arrays = [image.get_array() for image in figure.findobj(AxesImage)]
    return [array for array in arrays if array.shape == (n, n)]


CASES: dict[str, dict[str, Any]] = {
    "three personas": {"n": 3},
    "five": {"n": 5, "prompts": 3, "width": "page"},
    "one prompt, no clusters": {"n": 7, "clusters": False, "prompts": 1},
    "flat, a measure of its own": {"n": 6, "flat": True, "measure": "Surprise (bits)"},
    "long names": {"n": 45, "long": True},
    "long names across a page": {"n": 45, "long": True, "width": "page"},
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", CASES)
def test_any_study_is_drawn_within_its_page_and_can_be_read(case: str) -> None:
    shown = study(**CASES[case])
    assert list(figures(shown, NO_TOKENS)) == list(study_figures(LAYERS, 4))
    for name, drawn in figures(shown, NO_TOKENS).items():
        drawing = drawn()
        width, height = drawing.figure.get_size_inches()
        assert width == shown.width and height < TALLEST + 0.7, name
        freeze(drawing.figure)
        box = drawing.figure.get_tightbbox().padded(-0.02)
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, (name, box)
        for text in drawing.figure.findobj(Text):
            assert not text.get_text() or text.get_fontsize() >= SMALLEST, (name, text)
        assert drawing.caption and not (case.endswith("own") and "JS" in drawing.caption)


def test_a_figure_that_cannot_be_drawn_says_why() -> None:
    flat, imported = study(6, flat=True), study(6)
    for name in ("layers", "layer_curve", "jackknife", "cutoffs"):
        drawing = draw(flat, name)
        assert drawing.caption.startswith("Not drawn: ") and drawing.table.empty
        assert drawing.caption.removeprefix("Not drawn: ") in " ".join(
            " ".join(texts(drawing.figure)).split()
        )
    for name in ("per_prompt", "tokens"):
        assert "from a file" in draw(imported, name).caption


@pytest.mark.parametrize("n", [5, 40])
def test_heatmaps_show_ranks_and_their_difference_in_the_order_of_the_tree(n: int) -> None:
    shown = study(n)
    cosine, divergence = shown.geometries.cosine[4], shown.divergence
    ranks = [percentiles(rdm) for rdm in (cosine, divergence)]
    assert np.allclose([np.median(rank) for rank in ranks], 50)
    for name, order in (
        ("heatmaps", hierarchical_order(cosine)),
        ("heatmaps_alphabetical", sorted(range(n), key=lambda k: cosine.names[k])),
    ):
        drawing = draw(shown, name)
        found = images(drawing.figure, n)
        assert len(found) == 3
        for image, values in zip(found, (*ranks, ranks[1] - ranks[0]), strict=True):
            full = cosine.of(values).square[np.ix_(order, order)]
            off = ~np.eye(n, dtype=bool)
            assert np.array_equal(np.asarray(image)[off], full[off])
            assert np.isnan(np.ma.getdata(image)[~off]).all()
        table = drawing.table
        assert table["cosine_distance_layer_4"].tolist() == cosine.vector.tolist()
        assert table["divergence"].tolist() == divergence.vector.tolist()
        assert table["difference"].tolist() == (ranks[1] - ranks[0]).tolist()


@pytest.mark.parametrize("width", WIDTHS)
def test_heatmap_names_its_rows_and_columns_in_the_order_of_the_values(width: str) -> None:
    shown = study(8, width=width)
    figure = draw(shown, "heatmaps").figure
    cosine = shown.compared.cosine[4]
    linkage = [readable(cosine.names[k]) for k in hierarchical_order(cosine)]
    panels = [axis for axis in figure.axes if len(images(axis, 8))]
    named = [[label.get_text() for label in axis.get_yticklabels()] for axis in panels]
    below = [[label.get_text() for label in axis.get_xticklabels()] for axis in panels]
    assert [names for names in named if names] == [linkage] * (3 if width == "column" else 1)
    assert [names for names in below if names] == [linkage] * (1 if width == "column" else 3)


def test_names_stand_where_they_can_be_read_and_the_caption_says_so_where_they_cannot() -> None:
    few = draw(study(45, long=True), "heatmaps")
    few.figure.draw_without_rendering()
    names = [
        text
        for text in few.figure.findobj(Text)
        if text.get_visible() and text.get_text().startswith("an unc")
    ]
    boxes = [text.get_window_extent() for text in names]
    assert len(names) == 45
    assert not any(box.overlaps(other) for box, other in pairwise(boxes))
    many = draw(large(130), "heatmaps")
    assert draw(large(130), "trees").table["persona"].nunique() == 130
    assert not any(text.startswith("persona") for text in texts(many.figure))
    assert "Names do not fit" in many.caption and "Names do not fit" not in few.caption
    assert sum("…" in text for text in texts(draw(study(45, long=True), "trees").figure)) == 90


def large(n: int) -> Shown:
    """A study of so many personas with the statistics of a small one."""
    small, rng = study(5), np.random.default_rng(n)
    names = tuple(f"persona_{k}" for k in range(n))
    distances = [Rdm.from_square(names, rng.uniform(0.01, 0.6, (n, n))) for _ in range(2)]
    geometries = Geometries(None, {}, {4: distances[0]}, {"full": distances[1]})
    return Shown({**small.alignment, "personas": list(names)}, geometries, small.measure)


@pytest.mark.parametrize("n", [3, 12, 45])
def test_strips_of_clusters_and_names_cover_nothing(n: int) -> None:
    figure = draw(study(n, long=n > 5), "heatmaps").figure
    figure.draw_without_rendering()
    axes = [axis for axis in figure.axes if axis.images]
    labels = [
        label for axis in axes for label in (*axis.get_xticklabels(), *axis.get_yticklabels())
    ]
    for label in labels:
        if label.get_text().startswith(("an unc", "persona")):
            box = label.get_window_extent()
            assert not any(box.overlaps(axis.get_window_extent()) for axis in axes)


def test_long_names_keep_both_ends() -> None:
    assert readable("short_name") == "short name"
    long = readable("a_very_thorough_description_of_persona_12")
    assert long == "a very thoro…f persona 12" and len(long) <= LONGEST_LABEL + 1


def test_near_personas_stand_beside_each_other() -> None:
    place = np.array([0.0, 9.0, 0.1, 9.1, 0.2, 9.2])
    order = hierarchical_order(Rdm.from_square("abcdef", np.abs(place[:, None] - place)))
    assert {frozenset(order[:3]), frozenset(order[3:])} == {
        frozenset({0, 2, 4}),
        frozenset({1, 3, 5}),
    }


def test_a_tree_is_turned_towards_wanted_places() -> None:
    tree = np.array([[0, 1, 1.0, 2], [2, 3, 1.0, 2], [4, 5, 2.0, 4]])
    assert following(tree, np.array([3, 2, 1, 0])) == [3, 2, 1, 0]
    assert following(tree, np.array([0, 3, 1, 2])) in ([0, 1, 2, 3], [2, 3, 0, 1])


def test_trees_link_the_same_personas_in_the_color_of_their_cluster() -> None:
    shown = study(12)
    drawing = draw(shown, "trees")
    middle = max(drawing.figure.axes, key=lambda axis: len(axis.texts))
    for line, row in zip(middle.lines, drawing.table.itertuples(), strict=True):
        places = [row.place_in_hidden_states - 1, row.place_in_behavior - 1]
        assert list(line.get_ydata()) == places
        cluster = shown.clusters.get(row.persona)
        assert line.get_color() == (shown.colors[cluster] if cluster else "#9A9A9A")
    for column in ("place_in_hidden_states", "place_in_behavior"):
        assert sorted(drawing.table[column]) == list(range(1, 13))
    cosine = shown.compared.cosine[4]
    first = cosine.square[0].copy()
    first[0] = np.inf
    assert drawing.table["nearest_in_hidden_states"][0] == cosine.names[first.argmin()]


@pytest.mark.parametrize("width", WIDTHS)
def test_names_of_a_tree_cover_neither_its_branches_nor_the_links(width: str) -> None:
    figure = draw(study(12, width=width), "trees").figure
    figure.draw_without_rendering()
    middle = max(figure.axes, key=lambda axis: len(axis.texts))
    trees = [axis.get_window_extent() for axis in figure.axes if axis is not middle]
    links = middle.get_window_extent()
    for name in middle.texts:
        box = name.get_window_extent()
        assert not any(box.overlaps(axis) for axis in (*trees, links)), name


def test_clusters_keep_their_color_and_few_share_a_hue_without_a_shade_between() -> None:
    colors = list(cluster_colors({f"p{k}": f"c{k}" for k in range(21)}).values())
    assert colors[:2] == list(PALETTE[:2]) and len(set(colors)) == 21
    for k, color in enumerate(colors):
        for other in colors[k % 7 : k : 7]:
            difference = rgb_to_hsv(to_rgb(color))[1:] - rgb_to_hsv(to_rgb(other))[1:]
            assert np.abs(difference).max() > 0.15
    shown = study(9)
    assert "no cluster" in texts(draw(shown, "heatmaps").figure)
    assert "no cluster" not in texts(draw(study(9, clusters=False), "heatmaps").figure)
    dots = draw(shown, "jackknife").figure.axes[0].collections[-1].get_facecolors()
    of = dict(zip(draw(shown, "jackknife").table["persona"], dots[:, :3].tolist(), strict=True))
    for name, cluster in shown.clusters.items():
        assert of[name] == pytest.approx(to_rgb(shown.colors[cluster]))


@pytest.mark.parametrize("n", [5, 40])
def test_scatter_draws_every_pair_by_relation(n: int) -> None:
    shown = study(n)
    drawing = draw(shown, "scatter_layer_4")
    table, axis = drawing.table, drawing.figure.axes[0]
    groups = [c.get_offsets() for c in axis.collections if not str(c.get_label()).startswith("_")]
    drawn = np.concatenate(groups)
    assert len(drawn) == len(table) == shown.alignment["n_pairs"]
    assert sorted(map(tuple, drawn)) == sorted(
        table[["cosine", "js"]].itertuples(index=False, name=None)
    )
    for row in table.sample(10, random_state=0).itertuples(index=False):
        place = tuple(shown.divergence.names.index(name) for name in (row.first, row.second))
        assert row.cosine == shown.compared.cosine[4].square[place]
        assert row.js == shown.divergence.square[place]
    for relation, count in table["relation"].value_counts().items():
        assert f"(n = {count:,})" in " ".join(texts(drawing.figure)), relation
    title = axis.get_title(loc="left")
    assert title.startswith("ρ = ") and "Mantel p = " in title and f"{len(table):,} pairs" in title
    assert ("95 % interval" in title) == (n >= 6)


def test_scatter_marks_the_pairs_that_disagree_and_the_predicted_ones_and_no_others() -> None:
    shown = study(20)
    of = shown.layers[4]
    drawing = draw(shown, "scatter_layer_4")
    marked = drawing.table.dropna(subset="mark")
    pairs = {frozenset((r.first, r.second)): r.marked_as for r in marked.itertuples()}
    expected = {
        frozenset(row["pair"]): HIDDEN if row["z_cos"] < row["z_js"] else BEHAVIOR
        for row in of["decoupling"]["pairs"]
        if row["z_cos"] * row["z_js"] < 0
    }
    predicted = frozenset(of["predictions"]["pairs"][0]["pair"])
    assert pairs == {**expected, predicted: PREDICTED} and expected
    key = texts(drawing.figure)
    for row in marked.itertuples():
        assert row.mark in key and row.marked_as in key
    assert " – ".join(map(readable, of["predictions"]["pairs"][0]["pair"])) in key


@pytest.mark.parametrize("n", [8, 12, 16])
def test_signs_cover_neither_each_other_nor_a_marked_point(n: int) -> None:
    drawing = draw(study(n), "scatter_layer_4")
    drawing.figure.draw_without_rendering()
    axis = drawing.figure.axes[0]
    boxes = [Text.get_window_extent(note) for note in axis.texts]
    marked = drawing.table.dropna(subset="mark")
    assert len(boxes) >= len(marked) > 1  # a pair may be decoupled and predicted
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:k])
    places = axis.transData.transform(marked[["cosine", "js"]].to_numpy())
    assert not any(box.count_contains(places) for box in boxes)


def test_controls_are_those_of_the_alignment_with_their_jackknife_interval() -> None:
    shown = study(12)
    found = controls(shown.geometries, 4)
    of = shown.layers[4]
    for name, one in found.items():
        assert one.value == (of[name] if of[name] is None else pytest.approx(of[name], abs=1e-12))
    ends = of["intervals"]["personas"]
    assert (found["spearman"].low, found["spearman"].high) == pytest.approx(
        (ends["low"], ends["high"])
    )
    assert found["partial_joint"].low < found["partial_joint"].value < found["partial_joint"].high
    assert controls(study(3).geometries, 4)["spearman"].low is None


def test_a_dot_a_control_and_a_gate_only_where_it_binds() -> None:
    shown = changed(study(12))
    shown.alignment["gates"].append(
        {**shown.alignment["gates"][0], "statistic": "mantel_p", "threshold": 0.001}
    )
    drawing = past_controls(shown)
    table = drawing.table
    assert set(table["statistic"]) == set(controls(shown.geometries, 4)) - {"residual_anchor"}
    for layer, axis in zip(LAYERS, drawing.figure.axes, strict=True):
        dots = sorted(line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o")
        assert dots == sorted(table[table["layer"] == layer]["value"])
        ticks = [c.get_segments()[0] for c in axis.collections if c.get_color()[0][0] > 0.8]
        assert [tuple(tick[0]) for tick in ticks] == ([(0.5, 5 - 0.38)] if layer == 4 else [])
    shown.alignment["layers"]["4"]["partial_fine"] = None
    table = past_controls(shown).table
    assert table[table["statistic"] == "partial_fine"]["value"].isna().tolist() == [False, True]


def test_curve_has_a_band_and_fills_what_is_significant_over_all_layers() -> None:
    shown = changed(study(8))
    for k, point in enumerate(shown.alignment["layer_curve"].values()):
        point["family_wise_p"] = (0.0502, 0.5, 0.01, 0.05, 0.5, None)[k]
    shown.alignment["noise_ceiling"] = {"low": 0.7, "high": 0.7, "rho_ceiling": 0.7}
    drawing = layer_curve(shown)
    axis, table = drawing.figure.axes[0], drawing.table
    expected = [point["spearman"] for point in shown.alignment["layer_curve"].values()]
    line = next(line for line in axis.lines if line.get_label() == "ρ")
    assert line.get_xdata().tolist() == table["layer"].tolist() == list(range(6))
    assert line.get_ydata().tolist() == table["spearman"].tolist() == expected
    filled = {c.get_label(): c.get_offsets()[:, 0].tolist() for c in axis.collections}
    assert filled["Family-wise p ≤ 0.05"] == [2, 3]
    assert filled["Family-wise p > 0.05"] == [0, 1, 4]
    assert "95 % over personas" in filled
    ends = shown.layers[4]["intervals"]["personas"]
    row = table.set_index("layer").loc[4]
    assert (row["low"], row["high"]) == pytest.approx((ends["low"], ends["high"]))
    assert row["partial_joint"] == pytest.approx(shown.layers[4]["partial_joint"])
    assert {"noise ceiling 0.700", "headline"} <= set(texts(drawing.figure))
    assert axis.get_ylim()[0] < table["low"].min()
    shown.alignment["noise_ceiling"] = {"rho_ceiling": None}
    assert not any("ceiling" in text for text in texts(layer_curve(shown).figure))


def test_jackknife_draws_each_persona_and_of_many_those_that_matter_most() -> None:
    few, many = jackknife_dots(study(9)), jackknife_dots(study(48))
    axis = few.figure.axes[0]
    assert axis.collections[-1].get_offsets()[:, 0].tolist() == few.table["rho_without"].tolist()
    assert few.table["rho_without"].is_monotonic_increasing and len(few.table) == 9
    drawn = many.figure.axes[0].collections[-1].get_offsets()[:, 0]
    assert len(many.table) == 48 and len(drawn) == NAMED
    left = set(many.table["rho_without"]) - set(drawn)
    rho = study(48).layers[4]["spearman"]
    assert max(abs(x - rho) for x in left) <= min(abs(x - rho) for x in drawn)
    assert f"The {NAMED} that matter most are drawn" in many.caption


def test_cutoffs_and_prompts_are_those_of_every_layer() -> None:
    shown = study(7, prompts=4)
    lines = cutoff_lines(shown)
    for row in lines.table.itertuples():
        assert row.spearman == shown.layers[row.layer]["cutoffs"][row.tokens]
    assert {"first 8", "all", "layer 1", "layer 4"} <= set(texts(lines.figure))
    strips = prompt_strips(shown)
    assert len(strips.table) == 8
    drawn = [c.get_offsets()[:, 0].tolist() for c in strips.figure.axes[0].collections]
    for layer in LAYERS:
        values = shown.layers[layer]["per_prompt"]["values"]
        assert list(values.values()) in drawn
    best = max(shown.layers[4]["per_prompt"]["values"].items(), key=lambda item: item[1])
    assert readable(best[0]) in texts(strips.figure)
    freeze(strips.figure)
    axis = strips.figure.axes[0]
    named = [Text.get_window_extent(note) for note in axis.texts]
    assert len(named) == 2 and min(box.x0 for box in named) >= axis.get_window_extent().x0


def test_token_profile_is_means_over_pairs_by_group() -> None:
    shown = study(6, prompts=2)
    rng = np.random.default_rng(0)
    same = same_cluster(shown.alignment["personas"], shown.clusters)
    assert same.sum() == sum(
        shown.clusters.get(a) is not None and shown.clusters.get(a) == shown.clusters.get(b)
        for a, b in shown.divergence.pairs
    )
    same[:2] = True
    pairs = [rng.random((15, 5)), rng.random((15, 3))]
    profiles = prompt_profiles(iter(pairs), same)
    drawing = token_profile(shown, profiles)
    table = drawing.table
    assert table["prompts"].tolist() == [2, 2, 2, 1, 1]
    assert table["span"].tolist() == [1, 2, 2, 4, 4]
    for name, of in (("within", same), ("others", ~same)):
        first = [values[of].mean(axis=0) for values in pairs]
        assert table[name][0] == pytest.approx(np.mean([first[0][0], first[1][0]]))
        assert table[name][3] == pytest.approx(first[0][3])
        spans = [np.mean(rows[1:3]) for rows in first]
        assert table[f"{name}_mean"][1] == pytest.approx(np.mean(spans))
    lone = token_profile(shown, {"within": [], "others": profiles["others"]})
    assert lone.table["within"].isna().all() and len(lone.table) == 5


def test_captions_have_the_numbers_of_their_study() -> None:
    shown = study(9, prompts=3)
    for name, drawn in figures(shown, NO_TOKENS).items():
        caption = drawn().caption
        if "Not drawn" not in caption:
            assert caption.startswith("Study trial, 9 personas, 36 pairs."), name
    layer = shown.layers[4]
    assert f"layer 4: ρ = {layer['spearman']:.3f}" in draw(shown, "heatmaps").caption


def test_a_caption_says_to_a_report_what_it_says_here() -> None:
    text = "Study my_, *two*, a|b|c, `d`, {{ e }} and {% f %}: 3 < 5"
    rendered = Environment().from_string(as_template(text)).render()
    body = publish_parts(rendered, writer="html", settings_overrides={"report_level": 5})
    assert unescape(re.sub("<[^>]+>", "", body["body"])).strip() == text


@pytest.mark.filterwarnings("error")
def test_figures_are_written_in_every_form(tmp_path: Path) -> None:
    for name in ("layer_curve", "tokens"):
        drawing = draw(study(7), name)
        save(drawing, tmp_path / "new" / name)
        paths = {ending: tmp_path / "new" / f"{name}.{ending}" for ending in ENDINGS}
        assert sorted(paths.values()) == sorted((tmp_path / "new").glob(f"{name}.*"))
        assert paths["png"].read_bytes().startswith(b"\x89PNG")
        pdf, svg = paths["pdf"].read_bytes(), paths["svg"].read_bytes()
        assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf
        assert b"<svg" in svg and b"dc:date" not in svg
        header, *rows = paths["tsv"].read_text().splitlines()
        assert header.split("\t") == list(drawing.table.columns) and len(rows) == len(drawing.table)
        assert " ".join(paths["rst"].read_text().split()) == drawing.caption


def test_importing_and_drawing_change_nothing_of_matplotlib(tmp_path: Path) -> None:
    program = f"""
import sys, matplotlib
before, backend = matplotlib.rcParams.copy(), matplotlib.get_backend(auto_select=False)
from persona_geometry.report.figures import style, study
style.save(style.refused(3.5, ["a"], "so"), "{tmp_path}/figure")
assert matplotlib.rcParams == before
assert matplotlib.get_backend(auto_select=False) == backend
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert {path.suffix.lstrip(".") for path in tmp_path.iterdir()} == set(ENDINGS)


def test_naming_the_figures_of_a_study_needs_no_library_of_plots() -> None:
    program = "import sys, persona_geometry.report.figures; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_figures_look_the_same_under_any_settings_of_the_user(tmp_path: Path) -> None:
    shown = study(6)

    def seen(figure: Figure) -> bytes:
        figure.canvas.draw()
        return bytes(figure.canvas.buffer_rgba())

    def saved() -> list[bytes]:
        save(layer_curve(shown), tmp_path / "figure")
        return [(tmp_path / f"figure.{ending}").read_bytes() for ending in ("png", "svg", "pdf")]

    drawn = [layer_curve(shown).figure for _ in range(2)]
    ours = seen(drawn[0]), saved()
    with matplotlib.rc_context({"font.size": 20, "xtick.major.width": 9, "savefig.dpi": 50}):
        assert (seen(drawn[1]), saved()) == ours


def test_a_study_of_other_clusters_than_those_compared_has_the_same_colors() -> None:
    shown = study(9)
    fewer = replace(
        shown, alignment={**shown.alignment, "personas": shown.alignment["personas"][2:]}
    )
    assert fewer.colors == shown.colors and set(fewer.clusters) < set(shown.clusters)
