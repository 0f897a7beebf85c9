"""A direction taken out of the hidden states: exactly that, under keys of its own."""

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from persona_geometry.errors import InputError
from persona_geometry.model.forcing import Forced, teacher_force
from persona_geometry.model.loading import LanguageModel, load_model
from persona_geometry.probe.files import write_directions
from persona_geometry.probe.intervention import effect
from persona_geometry.rdms.rdm import RdmStack
from persona_geometry.report.figures.intervention import before_and_after
from persona_geometry.report.intervention import describe_effect
from persona_geometry.store.store import Store
from persona_geometry.study.config import Study, read_study
from persona_geometry.study.intervention import Ablation, check_before, without_intervention
from persona_geometry.study.recipes import items
from persona_geometry.study.sections import Model

ROOT = Path(__file__).parents[2]
TURNS = [([5, 9, 40, 7], [12, 31, 8]), ([5, 9], [12, 31, 8, 77, 3])]
LAYER = 3


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    """The embedded model."""
    return load_model(Model.of(path=str(ROOT / "resources" / "persona-lm"), dtype="float32"), "cpu")


@pytest.fixture(scope="module")
def direction(model: LanguageModel) -> np.ndarray:
    drawn = np.random.default_rng(0).normal(size=model.state_size)
    return drawn / np.linalg.norm(drawn)


@pytest.fixture
def study(tmp_path: Path, direction: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an intervened study of the embedded model."""
    monkeypatch.chdir(ROOT)
    file = tmp_path / "directions.npz"
    layers = np.stack([direction * (1 if n == LAYER else -1) for n in range(8)])
    write_directions(file, {"shared": layers}, ["poet", "villain"])
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())

    def make(**changed: Any) -> Study:
        asked = {"directions": str(file), "layer": LAYER} | changed
        return read_study(config | {"intervention": asked}, "study.yaml")

    return make


def equal(ours: list[Forced], theirs: list[Forced]) -> bool:
    return all(
        torch.equal(getattr(a, name), getattr(b, name))
        for a, b in zip(ours, theirs, strict=True)
        for name in vars(a)
    )


def test_nothing_taken_out_changes_nothing_to_the_bit(model: LanguageModel) -> None:
    nothing = Ablation(LAYER, [0.0] * model.state_size)
    assert equal(teacher_force(model, TURNS, ablation=nothing), teacher_force(model, TURNS))


def test_what_is_kept_of_the_block_lacks_the_direction_and_nothing_else(
    model: LanguageModel, direction: np.ndarray
) -> None:
    plain = teacher_force(model, TURNS)
    ablated = teacher_force(model, TURNS, ablation=Ablation(LAYER, direction.tolist()))
    for before, after in zip(plain, ablated, strict=True):
        for name in ("last_prompt_token", "response_mean"):
            first, second = (getattr(one, name).numpy() for one in (before, after))
            assert np.array_equal(first[:LAYER], second[:LAYER])
            expected = first[LAYER] - (first[LAYER] @ direction) * direction
            assert np.allclose(second[LAYER], expected, atol=1e-5)
            assert np.abs(first[LAYER] @ direction) > 1e-2
            assert not np.allclose(first[LAYER + 1], second[LAYER + 1], atol=1e-3)
        states = before.final_hidden_states, after.final_hidden_states
        assert not torch.allclose(*states, atol=1e-3)
    assert equal(teacher_force(model, TURNS), plain), "a hook stayed"


def test_later_blocks_see_what_is_left(model: LanguageModel, direction: np.ndarray) -> None:
    """Without the hook: the blocks after the ablated one, run by hand on the ablated states."""
    prompt, response = TURNS[0]
    u = torch.tensor(direction, dtype=torch.float32)

    def take_out(_module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = inputs[0]
        return (hidden - (hidden @ u)[..., None] * u, *inputs[1:])

    hook = model.blocks[LAYER + 1].register_forward_pre_hook(take_out)
    try:
        with torch.inference_mode():
            expected = model.body(torch.tensor([prompt + response])).last_hidden_state[0]
    finally:
        hook.remove()
    (found,) = teacher_force(model, TURNS[:1], ablation=Ablation(LAYER, direction.tolist()))
    places = slice(len(prompt) - 1, len(prompt) + len(response) - 1)
    assert torch.allclose(found.final_hidden_states, expected[places], atol=1e-5)


def test_cells_have_keys_of_their_own_on_the_same_responses(study: Any) -> None:
    intervened = items(study(), "model")
    before = items(without_intervention(study()), "model")
    for ours, theirs in zip(intervened, before, strict=True):
        assert (ours.response, ours.key) == (theirs.response, theirs.key)
        assert not {*ours.cells.values()} & {*theirs.cells.values()}


def test_the_directions_content_is_in_the_key_and_its_file_is_not(
    study: Any, tmp_path: Path, direction: np.ndarray
) -> None:
    first = items(study(), "model")
    copy = tmp_path / "elsewhere.npz"
    copy.write_bytes((tmp_path / "directions.npz").read_bytes())
    assert items(study(directions=str(copy)), "model") == first
    assert items(study(layer=LAYER + 1), "model") != first
    changed = np.tile(direction, (8, 1))
    changed[LAYER, 0] = np.nextafter(changed[LAYER, 0], 1)
    write_directions(copy, {"shared": changed}, ["poet", "villain"])
    assert items(study(directions=str(copy)), "model") != first


def test_bad_directions_are_refused_in_one_sentence(
    study: Any, tmp_path: Path, direction: np.ndarray
) -> None:
    def refused(match: str, **changed: Any) -> None:
        with pytest.raises(InputError, match=match) as caught:
            study(**changed)
        assert "\n" not in str(caught.value)

    refused("nowhere.npz does not exist", directions=str(tmp_path / "nowhere.npz"))
    refused(r"direction is 'component_9', which .*; choose among shared\.", direction="component_9")
    refused("layer is 8, but .* has layers 0 to 7", layer=8)
    other = tmp_path / "other.npz"
    write_directions(other, {"shared": np.tile(direction, (8, 1))}, ["poet", "pirate"])
    refused("does not compare pirate; use the personas of the study", directions=str(other))
    with pytest.raises(InputError, match=r"prompt 'learn_language'\); run that first"):
        one = study()
        check_before(one, Store(tmp_path), items(without_intervention(one), "model"))


def test_an_effect_is_means_over_pairs_before_and_after() -> None:
    names = ["a", "b", "c", "d"]
    rng = np.random.default_rng(2)
    vectors = rng.random((2, 3, 6))
    before, after = (RdmStack(tuple(names), ("q", "r", "s"), one) for one in vectors)
    found = effect(before, after, ["a", "c"])
    pairs = list(combinations(names, 2))
    for group, n in {"chosen": 2, "across": 1, "others": 0}.items():
        of = [k for k, pair in enumerate(pairs) if len({*pair} & {"a", "c"}) == n]
        first, second = (one[:, of].mean() for one in vectors)
        row = found["groups"][group]
        assert (row["before"], row["after"]) == (pytest.approx(first), pytest.approx(second))
        assert row["change"] == pytest.approx(second / first - 1)
        down = [vectors[1, q, of].mean() < vectors[0, q, of].mean() for q in range(3)]
        assert row["prompts_down"] == pytest.approx(np.mean(down))
    shown = {"directions": "d.npz", "direction": "shared", "layer": 3, **found}
    assert f"{100 * found['groups']['chosen']['change']:+.1f} %" in describe_effect(shown)
    table = before_and_after(shown, 3.5).table
    assert table["group"].tolist().count("chosen") == 1 and len(table) == 6
    assert math.isclose(table["after"].mean(), vectors[1].mean())
