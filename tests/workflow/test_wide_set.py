"""The wide study's jobs, from a dry run with the embedded model."""

import yaml

from .conftest import ROOT, Workspace


def test_the_wide_study_is_planned_whole_and_a_topic_of_it_in_part(tmp_path) -> None:
    wide = Workspace.embedded(tmp_path)
    shipped = yaml.safe_load((ROOT / "config" / "smollm2-135m-100.yaml").read_text())
    wide.config |= {table: str(ROOT / shipped[table]) for table in ("personas", "prompts")}
    jobs = wide.jobs()
    assert (jobs["teacher_force"], jobs["publish_prompt"]) == (5, 100)
    wide.config |= {"topics": ["science"]}
    jobs = wide.jobs()
    assert (jobs["teacher_force"], jobs["publish_prompt"]) == (1, 20)
