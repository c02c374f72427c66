"""Whether pictures show their captions, by an embedding that learned from real ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from translate.errors import TranslateError
from translate.evaluation.choosing import choose
from translate.evaluation.data import as_measured, read
from translate.evaluation.measure import Comparison, Result
from translate.method import Export
from translate_datasets.scene import COLOURS
from translate_datasets.scenes import Scenes, ScenesOptions
from translate_text2image import retrieval
from translate_text2image.joint import JointEmbedding, train
from translate_text2image.retrieval import Retrieval, RetrievalOptions, candidates, ranks

Pixels = NDArray[np.float32]

CPU = torch.device("cpu")
PAIRS = [pair for pair in product(COLOURS, COLOURS) if pair[0] != pair[1]]
UNSEEN = PAIRS[3::5]
QUICK = RetrievalOptions(among=4, images=640, batch_size=16, size=8, width=8)
BRIEF = QUICK.model_copy(update={"images": 64})

torch.set_num_threads(1)


def say(pair: tuple[str, str]) -> str:
    return f"{pair[0]} over {pair[1]}"


def halves(pair: tuple[str, str], side: int = 8) -> Pixels:
    pixels = np.empty((side, side, 3), np.float32)
    pixels[: side // 2], pixels[side // 2 :] = COLOURS[pair[0]], COLOURS[pair[1]]
    return pixels


def shown(
    made: Callable[[int, Sequence[tuple[str, str]]], Pixels],
    options: RetrievalOptions = QUICK,
    *,
    unseen: bool = True,
) -> list[Result]:
    """Return the results of outputs that ``made`` gives, by their place among all captions."""
    measure = Retrieval(options, CPU)
    for number, pair in enumerate(PAIRS):
        new = unseen and pair in UNSEEN
        measure.add(Comparison("it", None, made(number, PAIRS), value=say(pair), unseen=new))
    for pair in PAIRS:
        measure.add_captioned(halves(pair), say(pair), unseen=unseen and pair in UNSEEN)
    return list(measure.results())


def numbers(results: Sequence[Result]) -> dict[str, float]:
    return {result.name: result.value for result in results}


def right(number: int, pairs: Sequence[tuple[str, str]]) -> Pixels:
    return halves(pairs[number])


def another(number: int, pairs: Sequence[tuple[str, str]]) -> Pixels:
    return halves((pairs[number][1], pairs[number][0]))


def the_same(number: int, pairs: Sequence[tuple[str, str]]) -> Pixels:
    return halves(pairs[0])


@pytest.fixture(scope="module")
def embedding() -> JointEmbedding:
    """What QUICK's measure trains: once, for all models that it is to judge."""
    learned = [pair for pair in PAIRS if pair not in UNSEEN]
    pictures = [torch.from_numpy(halves(pair)).permute(2, 0, 1).byte() for pair in learned]
    captions = [say(pair) for pair in learned]
    return train(pictures, captions, images=640, batch_size=16, width=8, seed=0, device=CPU)


@pytest.fixture
def ready(embedding: JointEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "train", lambda *data, **how: embedding)


@pytest.fixture
def perfect(ready: None) -> list[Result]:
    return shown(right)


def test_a_perfect_model_is_as_good_as_real_pictures(perfect: list[Result]) -> None:
    found = numbers(perfect)
    assert len(found) == len(perfect) == 8
    for suffix in ("", ", unseen"):
        assert found[f"R@1{suffix}"] == found[f"R@1 of real ones{suffix}"]
        assert found[f"median rank{suffix}"] == found[f"median rank of real ones{suffix}"] == 1
    assert found["R@1"] == 100
    assert found["R@1, unseen"] >= 80


def test_pictures_of_other_captions_find_theirs_hardly_ever(ready: None) -> None:
    found = numbers(shown(another, QUICK.model_copy(update={"among": 24})))
    assert found["R@1"] <= 10
    assert found["median rank"] > 1
    assert found["R@1 of real ones"] == 100


def test_a_model_that_ignores_captions_is_at_chance(ready: None) -> None:
    found = numbers(shown(the_same))
    assert found["R@1"] == pytest.approx(25, abs=13)
    assert found["median rank"] in (2, 2.5, 3)


def test_the_same_seed_gives_the_same_numbers() -> None:
    state = torch.random.get_rng_state()
    first = shown(right, BRIEF)
    torch.rand(7)
    assert shown(right, BRIEF) == first
    assert shown(right, BRIEF.model_copy(update={"seed": 1})) != first
    torch.random.set_rng_state(state)
    shown(right, BRIEF)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_protocol_says_among_how_many_and_by_which_embedding(perfect: list[Result]) -> None:
    told = {result.name: result.protocol for result in perfect}
    assert told["R@1"] == (
        "right caption nearest, of 4 that are learned (chance 25 %), 24 outputs, by an embedding "
        "that learned in 640 images, from 24 real pictures, 8×8"
    )
    assert "of 4 that are unseen (chance 25 %), 6 real" in told["R@1 of real ones, unseen"]


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11])
def test_an_embedding_may_learn_as_little_as_it_is_told_to(steps: int) -> None:
    pictures = [torch.zeros(3, 8, 8, dtype=torch.uint8)] * 2
    learned = train(
        pictures, ["a", "b"], images=2 * steps, batch_size=2, width=4, seed=0, device=CPU
    )
    assert learned.texts(["a"]).isfinite().all()


def test_there_are_fewer_captions_where_there_are_no_more() -> None:
    few = BRIEF.model_copy(update={"among": 100})
    told = {result.name: result.protocol for result in shown(right, few)}
    assert "of 24 that are learned (chance 4.17 %)" in told["R@1"]
    assert "of 6 that are unseen (chance 16.7 %)" in told["R@1, unseen"]


def test_without_unseen_pictures_every_tenth_is_held_out() -> None:
    found = shown(right, BRIEF, unseen=False)
    told = {result.name: result.protocol for result in found}
    assert "30 outputs" in told["R@1"]
    assert "from 27 real pictures" in told["R@1"]
    assert "R@1, unseen" not in told
    assert "of 3 that are unseen" in told["R@1 of real ones, unseen"]


def test_large_and_oblong_pictures_are_shrunk_to_the_side_of_the_first() -> None:
    measure = Retrieval(BRIEF.model_copy(update={"size": 16}), CPU)
    for pair in PAIRS:
        measure.add(Comparison("it", None, halves(pair, 40), value=say(pair)))
        measure.add_captioned(halves(pair, 12)[:, :9], say(pair), unseen=pair in UNSEEN)
    assert "from 24 real pictures, 16×16" in next(iter(measure.results())).protocol


def test_what_cannot_be_looked_for_is_said() -> None:
    measure = Retrieval(QUICK, CPU)
    assert measure.results() == []
    with pytest.raises(TranslateError, match="no caption was asked for"):
        measure.add(Comparison("it", None, halves(PAIRS[0])))
    measure.add(Comparison("it", None, halves(PAIRS[0]), value="A  cat"))
    for caption in ("a cat", "A cat ") * 6:  # which differ in nothing that is said
        measure.add_captioned(halves(PAIRS[0]), caption, unseen=False)
    with pytest.raises(TranslateError, match="no two real pictures to learn from have different"):
        measure.results()


def test_captions_beside_the_right_one_are_others_drawn_by_the_seed() -> None:
    drawn = candidates(30, 10, 0)
    assert drawn.shape == (30, 10)
    assert drawn[:, 0].tolist() == list(range(30))
    assert all(len(set(row)) == 10 and max(row) < 30 for row in drawn.tolist())
    assert len(set(drawn[:, 1:].flatten().tolist())) == 30
    assert torch.equal(drawn, candidates(30, 10, 0))
    assert not torch.equal(drawn, candidates(30, 10, 1))
    assert candidates(5, 10, 0).sort().values.tolist() == [list(range(5))] * 5


def test_ranks_begin_at_one_and_equal_captions_go_before() -> None:
    texts = torch.eye(3)
    pictures = torch.tensor([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.5, 0.5, 0.5]])
    beside = torch.tensor([[0, 1, 2], [1, 0, 2], [2, 0, 1]])
    assert ranks(pictures, texts, beside).tolist() == [1, 2, 3]
    assert ranks(pictures * torch.nan, texts, beside).tolist() == [3, 3, 3]


def test_retrieval_is_for_captions_only() -> None:
    assert "retrieval" in choose([], "captions", {}, {}, CPU)[0]
    assert "retrieval" not in choose(["l1"], "pairs", {}, {}, CPU)[0]


def test_real_scenes_of_mnist_find_captions() -> None:
    if "TRANSLATE_TEST_DATA" not in os.environ:
        pytest.skip("TRANSLATE_TEST_DATA names no folder of real data")
    folder = Path(os.environ["TRANSLATE_TEST_DATA"]) / "mnist"
    export = Export(torch.nn.Identity(), {"text": "text"})
    tried = Scenes.evaluation([folder], ScenesOptions(), {"size": 32}, export)
    measure = Retrieval(RetrievalOptions(images=3200, width=8), CPU)
    real = list(zip(tried.real, tried.captions, strict=True))
    parts = ((False, real[: -tried.unseen : 2]), (True, real[-tried.unseen :: 5]))
    for unseen, (source, caption) in ((new, one) for new, some in parts for one in some):
        pixels = as_measured(read(source))
        measure.add_captioned(pixels, caption, unseen=unseen)
        if unseen:
            measure.add(Comparison("it", None, pixels, value=caption, unseen=True))
    found = numbers(measure.results())
    assert found["R@1, unseen"] == found["R@1 of real ones, unseen"] > 10
