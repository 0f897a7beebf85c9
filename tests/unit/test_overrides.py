"""What the command line gives inside a section has the type that it would have in a file."""

from persona_geometry.study.config_files import with_typed


def test_values_inside_sections_and_lists_get_their_type() -> None:
    overrides = {
        "geometry": {"headline_layer": "5", "token": "response_mean"},
        "alignment": {"gates": [{"statistic": "spearman", "threshold": "0.5"}], "outcomes": "null"},
        "topics": ["ethics", "science"],
    }
    below = {"study": "s", "geometry": {"layers": [5], **overrides["geometry"]}}
    typed = with_typed({**below, **{k: overrides[k] for k in ("alignment", "topics")}}, overrides)
    assert typed["geometry"] == {"layers": [5], "headline_layer": 5, "token": "response_mean"}
    assert typed["alignment"]["gates"] == [{"statistic": "spearman", "threshold": 0.5}]
    assert typed["alignment"]["outcomes"] is None
    assert (typed["study"], typed["topics"]) == ("s", ["ethics", "science"])


def test_keys_at_the_top_level_stay_as_snakemake_read_them() -> None:
    assert with_typed({"study": "7", "n": 7}, {"study": "7", "n": 7}) == {"study": "7", "n": 7}
