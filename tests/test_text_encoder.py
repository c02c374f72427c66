"""Captions as numbers: any of them can be read, and what they are of can be found by them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from translate_text2image.networks import Eyes, Judge
from translate_text2image.text import (
    Heard,
    TextEncoder,
    Whitening,
    alike,
    as_tokens,
    matching_loss,
    others,
    plain,
    rescaled,
)

torch.set_num_threads(1)

EMPTY = 256


def encoder(longest: int = 32) -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(32, layers=2, longest=longest).eval()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30))
def test_any_caption_is_read_as_the_bytes_of_its_text(caption: str) -> None:
    [tokens] = as_tokens([caption], 500)
    read = bytes(t for t in tokens.tolist() if t != EMPTY)
    assert read == plain(caption).encode(errors="replace")
    assert len(tokens) % 16 == 0


def test_what_changes_no_meaning_changes_no_numbers() -> None:
    same = ["Café au  lait", "cafe\u0301 AU lait ", "\ncafé au lait"]
    assert len(set(map(plain, same))) == 1
    assert len({plain(text) for text in ("a cat", "a car", "acat", "猫")}) == 4


@pytest.mark.parametrize(("text", "kept"), [("猫猫猫", "猫猫"), ("aé", "aé"), ("abé", "ab")])
def test_a_long_caption_is_cut_between_characters(text: str, kept: str) -> None:
    [tokens] = as_tokens([text], 3 if text != "猫猫猫" else 8)
    assert bytes(t for t in tokens.tolist() if t != EMPTY).decode() == kept


def test_a_broken_character_is_read_as_a_question_mark() -> None:
    assert torch.equal(as_tokens(["fa\udce7ade"], 16), as_tokens(["fa?ade"], 16))


@torch.no_grad()
def test_a_caption_says_the_same_beside_longer_ones() -> None:
    text = encoder()
    captions = ["a cat", "", "sixteen letters!", "a much longer caption than that", "x" * 1000]
    together = text.read(captions)
    assert together.shape == (5, 32)
    assert together.norm(dim=1).tolist() == pytest.approx([math.sqrt(32)] * 5, rel=1e-4)
    for place, caption in enumerate(captions):
        assert (text.read([caption])[0] - together[place]).abs().max() < 1e-4


@torch.no_grad()
def test_the_order_of_words_matters() -> None:
    one, two = encoder().read(["red on blue", "blue on red"])
    assert (one - two).abs().max() > 1e-3


@torch.no_grad()
def test_what_is_beyond_the_longest_is_not_read() -> None:
    text = encoder(longest=16)
    start = "0123456789abcdef"
    assert torch.equal(text.read([start]), text.read([start + " and more"]))
    assert not torch.equal(text.read([start]), text.read([start[:-1]]))


def test_all_of_the_vocabulary_is_in_the_weights() -> None:
    state = encoder().state_dict()
    assert state["tokens.weight"].shape == (257, 32)
    other = TextEncoder(32, layers=2, longest=32).eval()
    other.load_state_dict(state)
    with torch.no_grad():
        assert torch.equal(other.read(["Ærø, 猫"]), encoder().read(["Ærø, 猫"]))


def test_equal_captions_and_equal_pictures_are_alike() -> None:
    images = torch.rand(5, 3, 8, 8)
    images[4] = images[0]
    same = alike(["a", "b", "A ", "c", "d"], images)
    wanted = torch.eye(5, dtype=torch.bool)
    for one, two in ((0, 2), (0, 4)):
        wanted[one, two] = wanted[two, one] = True
    assert torch.equal(same, wanted)


def loss_of(
    texts: Tensor,
    pictures: Tensor,
    same: Tensor | None = None,
    sharpest: float = 10,
) -> tuple[float, float]:
    same = torch.eye(len(texts), dtype=torch.bool) if same is None else same
    loss, found = matching_loss(texts, pictures, same, torch.tensor(math.log(sharpest)))
    return float(loss), float(found)


def test_the_matching_loss_by_hand() -> None:
    texts = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    pictures = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    # Cosines: 1 and 0.6; 0 and 0.8. By rows, captions among pictures; by columns the reverse.
    rows = [math.log(1 + math.exp(6 - 10)), math.log(1 + math.exp(0 - 8))]
    columns = [math.log(1 + math.exp(0 - 10)), math.log(1 + math.exp(6 - 8))]
    assert loss_of(texts, pictures)[0] == pytest.approx(sum(rows + columns) / 4, rel=1e-4)
    assert loss_of(texts, pictures)[1] == 1
    assert loss_of(texts, pictures.flip(0))[1] == 0


def test_what_belongs_together_as_well_is_no_wrong_answer() -> None:
    texts = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    apart = torch.eye(3, dtype=torch.bool)
    same = apart.clone()
    same[0, 1] = same[1, 0] = True
    assert loss_of(texts, texts, apart)[0] > 0.4
    assert loss_of(texts, texts, same)[0] < 1e-3
    # All alike: nothing can be told apart, and nothing is asked.
    assert loss_of(texts, texts, torch.ones(3, 3, dtype=torch.bool))[0] == pytest.approx(0)


def test_texts_heard_before_are_wrong_answers() -> None:
    pictures, own = torch.eye(3)[:2], torch.eye(2, dtype=torch.bool)
    alone = loss_of(pictures, pictures, own)[0]
    # Softmax of each picture's own caption beside the other's.
    assert alone == pytest.approx(math.log1p(math.exp(-10)), abs=1e-6)
    near = torch.cat([pictures, torch.tensor([[1.0, 0.1, 0.0], [0.1, 1.0, 0.0]])])
    assert loss_of(near, pictures, torch.cat([own, own & False]))[0] > alone + 0.1
    assert loss_of(near, pictures, torch.cat([own, own]))[0] == pytest.approx(alone, abs=0.01)


def test_texts_become_alike_in_all_directions() -> None:
    torch.manual_seed(0)
    mixing = torch.diag(torch.tensor([5.0, 1.0, 0.8, 0.6])) @ torch.linalg.qr(torch.randn(4, 4))[0]
    white = Whitening(4)
    assert torch.equal(white.eval()(torch.eye(4)), torch.eye(4))  # it has seen none
    white.train()
    for _ in range(500):
        white(torch.randn(16, 4) @ mixing + 3)
    fresh = torch.randn(4000, 4) @ mixing + 3
    before = white.mean.clone()
    made = white.eval()(fresh)
    assert torch.equal(white.mean, before)  # it learned from training alone
    assert made.mean(0).abs().max() < 0.2
    variances = torch.linalg.eigvalsh(made.T.cov())
    apart = torch.linalg.eigvalsh(fresh.T.cov())
    assert variances.max() / variances.min() < 4 < 40 < apart.max() / apart.min()


@torch.no_grad()
def test_next_to_nothing_stays_small() -> None:
    torch.manual_seed(0)
    white, strong = Whitening(4).train(), torch.tensor([30.0, 2.0, 0.5, 0.01])
    for _ in range(300):
        white(torch.randn(16, 4) * strong)
    spread = white.eval()(torch.randn(4000, 4) * strong).std(0)
    assert spread[:3].min() > 0.7  # whatever the largest is
    assert spread[3] < 0.15  # noise, which would drown these if it were as loud


@torch.no_grad()
def test_a_batch_that_overflows_leaves_the_moments_finite() -> None:
    white = Whitening(3).train()
    white(torch.tensor([[1.0, 2.0, torch.inf], [torch.nan, 0.0, 1.0]]))
    assert all(moment.isfinite().all() for moment in white.buffers())


@torch.no_grad()
def test_what_is_read_is_white() -> None:
    text = encoder()
    plain = text.read(["a cat", "a dog"])
    text.white.factor.copy_(torch.diag(torch.linspace(1, 30, 32)))
    wanted = plain / torch.linspace(1, 30, 32)
    assert torch.allclose(text.read(["a cat", "a dog"]), rescaled(wanted), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_parts_no_texts(dtype: torch.dtype) -> None:
    own = torch.eye(20, dtype=torch.bool)
    texts, heard = encoder().read([f"caption {n}" for n in range(20)]).detach(), Heard(40, 32, 1)
    heard.keep(texts, each(20))
    with torch.autocast("cpu", dtype):
        again = encoder().read([f"caption {n}" for n in range(20)] + ["a longer one" * 9])[:20]
        _, same = heard.beside(again, -each(20), own)
        loss, found = matching_loss(texts, again, own, torch.tensor(math.log(100)))
    assert (again - texts).abs().max() < 1e-4
    assert torch.equal(same[-20:], own)
    assert float(loss.detach()) == pytest.approx(loss_of(texts, texts, sharpest=100)[0], rel=1e-3)
    assert float(found) == 1


@torch.no_grad()
def test_whitening_survives_fp16() -> None:
    torch.manual_seed(0)
    white, strong = Whitening(8).train(), torch.tensor([300.0, *[1.0] * 7])
    for _ in range(100):
        white(strong * torch.randn(16, 8))
    texts = strong * torch.randn(50, 8)
    wanted = white.eval()(texts)
    stored = Whitening(8).eval()
    stored.load_state_dict({k: fp16(v) for k, v in white.state_dict().items()})
    assert torch.cosine_similarity(stored(texts), wanted).min() > 0.999
    with torch.enable_grad():  # read twice before gradients flow
        white.train()
        texts.requires_grad_()
        (white(texts) + white(texts)).sum().backward()


def fp16(x: Tensor) -> Tensor:
    return x.half() if x.is_floating_point() else x


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("size", [8, 28, 40, 64])
@torch.no_grad()
def test_eyes_see_pictures_of_any_size_and_strength(size: int, residual: bool) -> None:
    torch.manual_seed(0)
    eyes = Eyes(32, channels=3, size=size, width=4, residual=residual).eval()
    for parameter in eyes.parameters():
        parameter.mul_(20)  # as they grow while only directions count
    features, sees = eyes(torch.rand(2, 3, size, size))
    assert features.shape == (2, eyes.features, 4, 4)
    assert features.square().mean((1, 2, 3)).tolist() == pytest.approx([1, 1], rel=1e-3)
    assert sees.norm(dim=1).tolist() == pytest.approx([math.sqrt(32)] * 2, rel=1e-3)


@torch.no_grad()
def test_scores_rise_with_what_is_seen_and_pictures_are_compared_again() -> None:
    torch.manual_seed(0)
    judge = Judge(32, channels=3, size=32, width=4, residual=True).eval()
    judge.tell = Silent()
    images, texts = torch.rand(3, 3, 32, 32), torch.randn(5, 32)
    scores, sees = judge(images, texts)
    assert (scores.shape, sees.shape) == ((5, 1), (3, 32))
    seen = judge.eyes(images)[1]
    assert torch.equal(seen, sees)
    own, _ = judge(images, sees)  # of length √32: the mean of squares is 1
    none, _ = judge(images, torch.zeros(3, 32))
    assert (own - none).flatten().tolist() == pytest.approx([4.0] * 3, rel=1e-4)
    again, _ = judge(images[:2], texts[3:])
    assert torch.allclose(again, scores[3:], atol=1e-5)


class Silent(torch.nn.Module):
    def forward(self, texts: Tensor) -> Tensor:
        return texts * 0


def test_what_other_processes_hear_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    alone, together, heard = Whitening(3).train(), Whitening(3).train(), Heard(12, 3, 3)
    alone(torch.cat([ours, theirs]))
    more = {3: theirs, 48: torch.ones(6, 48)}
    monkeypatch.setattr(
        "translate_text2image.text.gathered", lambda x: torch.cat([x, more[x.shape[1]]])
    )
    together(ours)
    heard.keep(ours, torch.zeros(6, 3, 4, 4))
    assert torch.allclose(together.covariance, alone.covariance)
    assert torch.allclose(together.mean, alone.mean)
    assert torch.equal(heard.texts, torch.cat([ours, theirs]))
    assert heard.known.mean(1).tolist() == [0.0] * 6 + [1.0] * 6


def test_pictures_are_compared_with_texts_heard_before() -> None:
    heard, here = Heard(5, 2, 1), torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    same, images = torch.tensor([[True, False], [False, True]]), each(2)
    texts, together = heard.beside(here, images, same)
    assert texts.shape == (7, 2)
    assert together[2:].all()  # nothing has been heard: none is a wrong answer
    heard.keep(torch.tensor([[1.0, 1.0], [3.0, 0.0]]), -each(2))
    texts, together = heard.beside(here, images, same)
    assert torch.equal(texts[:2], here)
    assert torch.equal(texts[-2:], torch.tensor([[1.0, 1.0], [3.0, 0.0]]))
    assert together.tolist() == [
        [True, False], [False, True], *[[True, True]] * 3, [False, False], [True, False],
    ]  # fmt: skip
    heard.keep(torch.full((4, 2), 7.0), torch.cat([-each(3), images[1:]]))
    texts, together = heard.beside(here, images, same)
    assert heard.texts.tolist() == [[3.0, 0.0], *[[7.0, 7.0]] * 4]
    assert together[-1].tolist() == [False, True]  # another caption, but of the same picture


def each(count: int) -> Tensor:
    """Return pictures (N, 1, 8, 8), none of which is black or like another."""
    return torch.arange(1.0, count + 1).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


def test_wrong_captions_say_something_else() -> None:
    captions = ["a cat", "A CAT", "a dog", "a bird"]
    seen: list[set[int]] = [set() for _ in captions]
    for share in torch.linspace(0, 0.999, 50):
        places = others(captions, torch.full((4,), float(share)))
        assert places is not None
        for found, place in zip(seen, places.tolist(), strict=True):
            found.add(place)
    assert seen == [{2, 3}, {2, 3}, {0, 1, 3}, {0, 1, 2}]
    assert others(["a cat", "a  cat"], torch.zeros(2)) is None


def test_captions_learn_to_find_their_pictures() -> None:
    captions = ["red", "green", "dark blue", "blå himmel"]
    colours = torch.tensor([[1, 0, 0], [0, 1, 0], [-1, -1, 0], [0, 0.5, 1]])
    images = colours[:, :, None, None].expand(-1, -1, 8, 8)
    text, eyes = encoder().train(), Eyes(32, channels=3, size=8, width=4, residual=True)
    optimizer = torch.optim.Adam([*text.parameters(), *eyes.parameters()], 3e-3)
    found = torch.zeros(())
    for _ in range(60):
        optimizer.zero_grad()
        noisy = images + 0.1 * torch.randn(images.shape)
        loss, found = matching_loss(
            text.read(captions), eyes(noisy)[1], alike(captions, noisy), eyes.sharpness
        )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(found) == 1
    assert float(loss.detach()) < 0.2
