"""Figures of any size: drawn, readable, written, and their tables hold what is drawn."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.report.figures.heatmap import MOST_LABELS, heatmaps, hierarchical_order
from persona_geometry.report.figures.layers import STATISTICS, layer_bars, layer_curve
from persona_geometry.report.figures.scatter import scatter
from persona_geometry.report.figures.style import (
    LONGEST_LABEL,
    PALETTE,
    cluster_colors,
    readable,
    save,
)
from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.study.sections import Alignment

SIZES = [5, 70]
LAYERS = [1, 4]


def study(n: int, *, clusters: bool = True, long: bool = False, flat: bool = False) -> Geometries:
    rng = np.random.default_rng(n)
    stem = "an_uncommonly_thorough_description_of_persona" if long else "persona"
    names = [f"{stem}_{(11 * k) % n}" for k in range(n)]

    def rdm() -> Rdm:
        return Rdm.from_square(names, rng.uniform(0.01, 0.6, (n, n)))

    divergence = Rdm.from_square(names, np.full((n, n), 0.25)) if flat else rdm()
    return Geometries(
        anchor=None,
        clusters={names[k]: f"cluster_{k % 3}" for k in range(n // 2)} if clusters else {},
        cosine={layer: rdm() for layer in range(6)},
        divergence={"full": divergence},
    )


def aligned(of: Geometries) -> dict[str, Any]:
    settings = {
        **{"permutations": 99, "seed": 0, "leave_out": [], "top_k": 5, "predictions": []},
        **{"bootstrap": 0, "noise_ceiling_splits": 0},
        "gates": [{"statistic": "spearman", "comparison": ">", "threshold": 0.5, "layer": 4}],
    }
    return align(of, Alignment.of(**settings), LAYERS, 4, "trial", "js", lambda _line: None)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def heat(of: Geometries) -> tuple[Figure, pd.DataFrame]:
    return heatmaps(of.clusters, of.cosine[4], of.divergence["full"], 4, "JS divergence")


def points(of: Geometries, statistics: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    return scatter(of.clusters, of.cosine[4], of.divergence["full"], 4, statistics, "JS divergence")


@pytest.mark.parametrize("n", SIZES)
def test_heatmaps_show_both_matrices_in_both_orders(n: int) -> None:
    of = study(n)
    figure, table = heat(of)
    images = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    alphabetical = sorted(range(n), key=lambda k: of.personas[k])
    linkage = hierarchical_order(of.cosine[4])
    assert sorted(linkage) == list(range(n))
    expected = [
        rdm.square[np.ix_(order, order)]
        for rdm in (of.cosine[4], of.divergence["full"])
        for order in (linkage, alphabetical)
    ]
    shown = [image for image in images if image.shape == (n, n)]
    assert len(shown) == 4
    assert all(np.array_equal(a, b) for a, b in zip(shown, expected, strict=True))
    assert len(table) == n * (n - 1) // 2
    for row in table.sample(10, random_state=0).itertuples(index=False):
        place = of.personas.index(row.first), of.personas.index(row.second)
        assert row.cosine_distance_layer_4 == of.cosine[4].square[place]
        assert row.divergence == of.divergence["full"].square[place]


def test_heatmap_names_its_rows_in_the_order_of_the_values() -> None:
    of = study(8)
    figure, _ = heat(of)
    axes = [axis for axis in figure.axes if axis.get_yticklabels() and axis.images]
    labels = [[label.get_text() for label in axis.get_yticklabels()] for axis in axes]
    named = [names for names in labels if len(names) == 8 and names[0].startswith("persona")]
    linkage = [of.personas[k].replace("_", " ") for k in hierarchical_order(of.cosine[4])]
    alphabetical = [name.replace("_", " ") for name in sorted(of.personas)]
    assert named == [linkage, alphabetical] * 2


def test_labels_give_way_where_they_would_overlap() -> None:
    few, many = (heat(study(n))[0] for n in (MOST_LABELS, MOST_LABELS + 1))
    assert "persona 0" in texts(few) and "persona 0" not in texts(many)
    figure, _ = heat(study(20, long=True))
    figure.canvas.draw()
    axis = next(a for a in figure.axes if a.images and len(a.get_xticklabels()) == 20)
    page = figure.bbox
    for label in (*axis.get_xticklabels(), *axis.get_yticklabels()):
        box = label.get_window_extent()
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
    assert axis.get_window_extent().width > 0.1 * page.width


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


def test_without_clusters_there_is_no_legend_of_clusters() -> None:
    assert "no cluster" not in texts(heat(study(6, clusters=False))[0])
    assert {"no cluster", "cluster 0"} <= set(texts(heat(study(6))[0]))
    colors = cluster_colors({f"p{k}": f"c{k}" for k in range(11)})
    assert len(set(colors.values())) == 11
    assert list(cluster_colors({"p": "c", "q": "d"}).values()) == list(PALETTE[:2])


@pytest.mark.parametrize("n", [MOST_LABELS])
def test_strips_of_clusters_leave_the_labels_whole(n: int) -> None:
    figure, _ = heat(study(n, long=n > 5))
    figure.canvas.draw()
    axes = [axis for axis in figure.axes if len(axis.get_yticklabels()) == n and axis.images]
    assert len(axes) == 4
    for axis in axes:
        strips = [inset.get_window_extent() for inset in axis.child_axes]
        assert len(strips) == 2
        for label in (*axis.get_xticklabels(), *axis.get_yticklabels()):
            assert not any(label.get_window_extent().overlaps(strip) for strip in strips)


@pytest.mark.parametrize("n", SIZES)
def test_scatter_draws_every_pair_by_relation(n: int) -> None:
    of = study(n)
    alignment = aligned(of)
    statistics = alignment["layers"]["4"]
    figure, table = points(of, statistics)
    axis = figure.axes[0]
    groups = [c.get_offsets() for c in axis.collections if str(c.get_label()).count("n = ")]
    drawn = np.concatenate(groups)
    assert len(drawn) == len(table) == alignment["n_pairs"]
    assert sorted(map(tuple, drawn)) == sorted(
        table[["cosine", "js"]].itertuples(index=False, name=None)
    )
    for row in table.sample(10, random_state=0).itertuples(index=False):
        place = of.personas.index(row.first), of.personas.index(row.second)
        assert row.cosine == of.cosine[4].square[place]
        assert row.js == of.divergence["full"].square[place]
    for relation, count in table["relation"].value_counts().items():
        assert f"(n = {count})" in " ".join(texts(figure)), relation
    assert f"ρ = {statistics['spearman']:z.2f}, {len(table)} pairs" in texts(figure)
    legend = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= legend.x0 and legend.x1 <= figure.bbox.x1
    top = table.dropna(subset="residual_rank").sort_values("residual_rank")
    assert top[["first", "second"]].to_numpy().tolist() == [
        row["pair"] for row in statistics["top_residual_pairs"]
    ]


def test_scatter_names_the_top_pairs_within_the_page() -> None:
    of = study(20, long=True)
    statistics = aligned(of)["layers"]["4"]
    figure, _ = points(of, statistics)
    figure.canvas.draw()
    notes = [note for note in figure.axes[0].texts if " – " in note.get_text()]
    assert [note.get_text() for note in notes] == [
        " – ".join(map(readable, row["pair"]))
        for row in sorted(statistics["top_residual_pairs"], key=lambda row: -row["js"])
    ]
    boxes = [note.get_window_extent() for note in notes]
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1


@pytest.mark.parametrize("n", [8, 12, 16])
def test_names_cover_neither_each_other_nor_a_named_point(n: int) -> None:
    of = study(n)
    statistics = aligned(of)["layers"]["4"]
    figure, _ = points(of, statistics)
    figure.canvas.draw()
    axis = figure.axes[0]
    # The text alone: an annotation's own extent takes its leader in.
    boxes = [Text.get_window_extent(note) for note in axis.texts]
    assert len(boxes) == len(statistics["top_residual_pairs"]) == 5
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:k])
    named = [(row["cosine"], row["js"]) for row in statistics["top_residual_pairs"]]
    assert not any(box.count_contains(axis.transData.transform(named)) for box in boxes)


def test_scatter_without_statistics_is_only_points() -> None:
    of = study(6, clusters=False, flat=True)
    statistics = aligned(of)["layers"]["4"]
    assert statistics["spearman"] is None
    figure, table = points(of, statistics)
    assert len(table) == 15 and table["residual_rank"].isna().all()
    assert not any("ρ" in text for text in texts(figure))
    assert set(table["relation"]) == {"same_macro"}


def test_bars_are_the_statistics_of_every_layer() -> None:
    alignment = aligned(study(12))
    figure, table = layer_bars(alignment)
    heights = sorted(patch.get_height() for patch in figure.axes[0].patches)
    assert heights == sorted(table["value"].dropna())
    for row in table.itertuples(index=False):
        assert row.value == alignment["layers"][str(row.layer)][row.statistic]
    assert set(table["statistic"]) == set(STATISTICS) - {"residual_anchor"}
    p = alignment["layers"]["1"]["mantel_p"]
    assert any(text == f"p = {p:.3f}" for text in texts(figure))
    assert "Layer 4: gate > 0.5" in texts(figure)
    thresholds = [line.get_ydata()[0] for line in figure.axes[0].lines]
    assert 0.5 in thresholds


def test_gate_of_one_layer_is_drawn_once_and_only_where_it_is_shown() -> None:
    alignment = aligned(study(6, clusters=False))
    for layer in alignment["layers"].values():
        layer["gates"].append({**layer["gates"][0], "statistic": "mantel_p", "threshold": 0.001})
    figure, table = layer_bars(alignment)
    assert sum("gate >" in text for text in texts(figure)) == 1
    assert "partial_fine" not in set(table["statistic"])


def test_each_gate_is_drawn_over_its_own_layer() -> None:
    alignment = aligned(study(6))
    gate = alignment["gates"][0]
    alignment["gates"] = [gate, {**gate, "layer": 1, "threshold": 0.25}]
    figure, _ = layer_bars(alignment)
    spans = {
        float(line.get_ydata()[0]): tuple(np.round(line.get_xdata()).astype(int))
        for line in figure.axes[0].lines
        if line.get_ydata()[0]
    }
    places = {str(layer): (place, place) for place, layer in enumerate(alignment["layers"])}
    assert spans == {0.5: places["4"], 0.25: places["1"]}
    assert {"Layer 4: gate > 0.5", "Layer 1: gate > 0.25"} <= set(texts(figure))


def test_curve_fills_what_is_significant_over_all_layers() -> None:
    alignment = aligned(study(8))
    for k, point in enumerate(alignment["layer_curve"].values()):
        point["family_wise_p"] = (0.0502, 0.5, 0.01, 0.05, 0.5, None)[k]
    alignment["noise_ceiling"] = {"low": 0.7, "high": 0.9, "rho_ceiling": 0.8}
    figure, table = layer_curve(alignment)
    axis = figure.axes[0]
    line = axis.lines[0]
    assert line.get_xdata().tolist() == table["layer"].tolist() == list(range(6))
    expected = [point["spearman"] for point in alignment["layer_curve"].values()]
    assert line.get_ydata().tolist() == table["spearman"].tolist() == expected
    filled = {c.get_label(): c.get_offsets()[:, 0].tolist() for c in axis.collections}
    assert filled["Family-wise p ≤ 0.05"] == [2, 3]
    assert filled["Family-wise p > 0.05"] == [0, 1, 4]
    assert {"Noise ceiling", "Headline layer"} <= set(texts(figure))
    assert axis.get_ylim()[0] < min(expected)


def test_statistics_that_are_null_leave_gaps_and_no_errors() -> None:
    alignment = aligned(study(6, flat=True))
    figure, table = layer_bars(alignment)
    assert not figure.axes[0].patches and table.empty
    figure, table = layer_curve(alignment)
    assert len(table) == 6 and table["spearman"].isna().all()
    assert not any("Family-wise" in text for text in texts(figure))
    figure.canvas.draw()


@pytest.mark.filterwarnings("error")
def test_figures_are_written_in_three_forms(tmp_path: Path) -> None:
    of = study(7)
    alignment, empty = aligned(of), aligned(study(6, flat=True))
    drawn = {
        "heatmaps": heat(of),
        "scatter": points(of, alignment["layers"]["4"]),
        "layer_curve": layer_curve(alignment),
        "empty_layers": layer_bars(empty),
    }
    for name, (figure, table) in drawn.items():
        paths = {ending: tmp_path / "new" / f"{name}.{ending}" for ending in ("png", "pdf", "tsv")}
        save(figure, table, *map(str, paths.values()))
        assert paths["png"].read_bytes().startswith(b"\x89PNG")
        pdf = paths["pdf"].read_bytes()
        assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf
        header, *rows = paths["tsv"].read_text().splitlines()
        assert header.split("\t") == list(table.columns) and len(rows) == len(table)


POINT = {"spearman": 0.5, "mantel_p": 0.01, "family_wise_p": 0.01}
CURVE = {
    "layer_curve": {"0": POINT, "1": POINT},
    "noise_ceiling": {"rho_ceiling": None},
    "headline_layer": 0,
}


def test_importing_and_drawing_change_nothing_of_matplotlib(tmp_path: Path) -> None:
    program = f"""
import sys, matplotlib
before, backend = matplotlib.rcParams.copy(), matplotlib.get_backend(auto_select=False)
from persona_geometry.report.figures import heatmap, layers, scatter, style
drawn = layers.layer_curve({CURVE})
style.save(*drawn, *("{tmp_path}/figure." + ending for ending in ("png", "pdf", "tsv")))
assert matplotlib.rcParams == before
assert matplotlib.get_backend(auto_select=False) == backend
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".pdf", ".tsv"}


def test_figures_look_the_same_under_any_settings_of_the_user(tmp_path: Path) -> None:
    def shown(figure: Figure) -> bytes:
        figure.canvas.draw()
        return bytes(figure.canvas.buffer_rgba())

    def saved() -> bytes:
        png, pdf, tsv = (str(tmp_path / f"figure.{ending}") for ending in ("png", "pdf", "tsv"))
        save(*layer_curve(CURVE), png, pdf, tsv)
        return Path(png).read_bytes()

    figures = [layer_curve(CURVE)[0] for _ in range(2)]
    ours = shown(figures[0]), saved()
    with matplotlib.rc_context({"font.size": 20, "xtick.major.width": 9, "savefig.dpi": 50}):
        assert (shown(figures[1]), saved()) == ours
