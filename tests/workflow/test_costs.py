"""What added, edited and removed personas cost, in GPU jobs, cells and pairs."""

from .conftest import PAIRS, TARGET, N, Q, Workspace

DIVERGENCES = "results/test/js_matrix.json"  # what runs go to: all that costs a GPU lies before it


def test_nothing_changed_costs_nothing(study: Workspace) -> None:
    assert study.jobs(TARGET) == {}


def test_added_and_edited_personas_cost_their_cells_and_pairs(study: Workspace) -> None:
    whole = study.js()
    before = {p: p.read_bytes() for p in study.folder.glob("results/store/items/*/*/*")}
    personas = list(study.personas)
    study.personas.insert(2, ("pirate", "", "You are a pirate."))
    study.personas[1] = ("nurse", "medical", "You are a nurse. Be brief.")
    assert study.jobs(TARGET)["teacher_force"] == 1
    study.run(DIVERGENCES)
    assert study.stored() == (Q, Q * (N + 2), Q * (PAIRS + N + N - 1))
    assert {p: p.read_bytes() for p in before} == before
    study.personas[:] = personas  # one removed, one as it was
    stored = study.stored()
    study.run(DIVERGENCES)
    assert study.js() == whole and study.stored() == stored
