"""Text to image keeps the contract, and pictures become what their captions say."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from translate.cli.group import cli
from translate.errors import UsageError
from translate.method import Batch, Step
from translate.options import Facts, build
from translate.pipeline.loader import collate
from translate.testing import check_method
from translate.training.loop import Trainer
from translate.training.plan import read_recipe
from translate.training.settings import PlayerSettings, TrainingSettings
from translate_text2image.method import TextToImage, TextToImageOptions
from translate_text2image.networks import Augmentation
from translate_text2image.text import alike, matching_loss

SMALL: dict[str, Any] = {
    "size": 32,
    "code": 4,
    "width": 4,
    "critic_width": 4,
    "text_width": 32,
    "text_layers": 1,
    "text_bytes": 16,
    "encoder_images": 8,
}
WORDS = ("dark", "a light one", "grey, a bit", "猫")

torch.set_num_threads(1)


def sample(number: int, seed: int) -> dict[str, NDArray[np.uint8] | str]:
    """Return pictures of one grey with its name, and some noise."""
    place = number % len(WORDS)
    noise = np.random.default_rng((seed, number)).integers(0, 20, (32, 32, 3))
    return {"image": (place * 60 + noise).astype(np.uint8), "text": WORDS[place]}


def method(**options: Any) -> TextToImage:
    torch.manual_seed(0)
    return TextToImage(build(TextToImageOptions, SMALL | options, what="text2image"), Facts())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "form": "concat",
            "interpolate": 1,
            "conditioning_augmentation": 1,
            "adversarial": "lsgan",
        },
        {"pixel_weight": 1, "adversarial_since": 12},
        {"contrast": 0, "adversarial": "non-saturating", "r1": 1},
    ],
)
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_method("text2image", options=SMALL | options, sample=sample, facts=Facts())


def batch(count: int = 4, start: int = 0) -> Batch:
    numbers = range(start, start + count)
    return collate([sample(n, 0) for n in numbers], list(numbers), torch.device("cpu"))


def prompts(*texts: str, seed: int = 0) -> Batch:
    seeds = torch.arange(seed, seed + len(texts))
    return Batch({}, seeds, {"text": texts}, TextToImage.RunOptions())


def learned(made: TextToImage, steps: int, encoder_steps: int) -> TextToImage:
    """Return the method after so many steps of the real loop, the encoder's first."""
    players = {
        "encoder": PlayerSettings(lr=3e-3),
        "generator": PlayerSettings(lr=2e-3, betas=(0.5, 0.99)),
        "discriminator": PlayerSettings(lr=2e-3, betas=(0.5, 0.99)),
    }
    settings = TrainingSettings(
        images=10_000, batch_size=8, precision="fp32", players=players, ema_halflife=0
    )
    trainer = Trainer(made, settings, torch.device("cpu"), torch.float32)
    for number in range(encoder_steps + steps):
        if number == encoder_steps:
            trainer.images = made.options.encoder_images
        trainer.step([[batch(8, 8 * number)]])
    return made.eval()


@pytest.mark.parametrize(("form", "width", "steps"), [("affine", 4, 90), ("concat", 8, 140)])
@torch.random.fork_rng()
def test_pictures_become_what_their_captions_say(form: str, width: int, steps: int) -> None:
    # What so few channels see is easily fooled: contrast teaches little here.
    small = method(form=form, width=width, encoder_images=1000, contrast=0.1)
    made = learned(small, steps, 30)
    wanted = torch.tensor([(place * 60 + 10) / 127.5 - 1 for place in range(4)])
    with torch.no_grad():
        greys = made.translate(made.painter, prompts(*WORDS)).mean((1, 2, 3))
    assert (greys - wanted).abs().max() < 0.4, greys


@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("form", ["affine", "concat"])
def test_pictures_have_the_size_that_is_asked_for(size: int, form: str) -> None:
    made = method(size=size, form=form).eval()
    with torch.no_grad():
        images = made.translate(made.painter, prompts("a cat", "two dogs"))
        texts = made.painter.text.read(["a cat", "two dogs"])
        assert made.critic(images, texts).shape == (2, 1)
    assert images.shape == (2, 3, size, size)


def test_whitening_stands_still_once_the_encoder_does() -> None:
    made = method(encoder_images=8)
    settings = TrainingSettings(images=64, batch_size=4, precision="fp32")
    trainer = Trainer(made, settings, torch.device("cpu"), torch.float32)
    seen = []
    for number in range(4):
        trainer.step([[batch(4, 4 * number)]])
        seen.append((int(made.painter.text.white.seen), float(made.painter.text.white.mean.sum())))
    assert [count for count, _ in seen] == [1, 2, 2, 2]
    assert seen[0][1] != seen[1][1] == seen[2][1] == seen[3][1]


def test_the_encoder_learns_first_and_then_stands_still() -> None:
    made = method(encoder_images=100)
    for images, names in ((0, ["encoder"]), (100, ["generator", "discriminator"])):
        active = [phase for phase in made.phases() if phase.active(images)]
        assert [phase.name for phase in active] == names
    first, *_ = made.phases()
    assert {p for module in first.trains for p in module.parameters()} == {
        *made.painter.text.parameters(), *made.eyes.parameters()
    }  # fmt: skip
    learning = {p for phase in active for module in phase.trains for p in module.parameters()}
    assert not learning & set(made.painter.text.parameters())
    assert learning >= set(made.painter.generator.parameters())
    assert [phase.name for phase in method(encoder_images=0).phases() if phase.active(0)] == names


@torch.no_grad()
def test_a_picture_hangs_on_its_seed_and_its_caption() -> None:
    made = method(conditioning_augmentation=1, interpolate=1).eval()
    for parameter in made.painter.generator.parameters():
        parameter.mul_(4)
    codes, conditions = made.encode(made.painter, prompts("a cat", "a dog", "A  CAT"))
    assert (codes.shape, conditions.shape) == ((3, 4), (3, 32))
    assert (conditions[0] - conditions[2]).abs().max() < 1e-5
    assert (conditions[0] - conditions[1]).abs().max() > 1e-3
    whole = made.translate(made.painter, prompts("a cat", "a dog", "a cat"))
    assert torch.equal(whole, made.decode(made.painter, codes, conditions))
    assert torch.equal(whole, made.translate(made.painter, prompts("a cat", "a dog", "a cat")))
    codes = codes[:1].expand(3, -1)  # now the caption alone differs
    one, other, same = made.decode(made.painter, codes, conditions)
    for apart, near in ((whole[0] - whole[2], one - same), (one - other, one - same)):
        assert apart.abs().max() > 1e-3
        assert near.abs().max() < 1e-4


@torch.no_grad()
def test_a_sum_of_captions_is_brought_to_their_length() -> None:
    made = method().eval()
    codes, conditions = made.encode(made.painter, prompts("a cat"))
    one, three = (made.decode(made.painter, codes, x * conditions) for x in (1, 3))
    assert torch.allclose(one, three, atol=1e-5)


@torch.no_grad()
def test_what_is_drawn_around_a_caption_costs_its_distance_from_normal() -> None:
    drawing = Augmentation(2)
    for layer, bias in ((drawing.mean, 1.0), (drawing.spread, math.log(4.0))):
        layer.weight.zero_()
        layer.bias.fill_(bias)
    noise = torch.tensor([[0.0, 1.0], [-1.0, 0.5]])
    drawn, divergence = drawing(torch.zeros(2, 2), noise)
    assert torch.allclose(drawn, 1 + 2 * noise)
    # Of N(1, 2²) from N(0, 1), in each of two numbers: (1 + 4 - 1 - log 4) / 2.
    assert float(divergence) == pytest.approx(4 - math.log(4), rel=1e-5)


def test_each_option_brings_its_term() -> None:
    step, here = Step(0, 100), batch()
    names: dict[str, dict[str, Any]] = {
        "plain": {},
        "between": {"interpolate": 1},
        "divergence": {"conditioning_augmentation": 1},
    }
    for name, options in names.items():
        made = method(**options)
        wanted = {"adversarial"} | ({name} if options else set())
        assert made.generator_losses(here, Step(0, 100)).keys() == wanted
        assert made.critic_losses(here, step).keys() == {"image", "slope"}
    for options in ({"matching_penalty": 0}, {"form": "concat"}):
        assert method(**options).critic_losses(here, step).keys() == {"image"}
    with pytest.raises(UsageError, match="wgan clips what the first stage has learned"):
        method(adversarial="wgan")
    with pytest.raises(UsageError, match="matching_power does nothing in concat"):
        method(form="concat", matching_power=2)


def watched(made: TextToImage, name: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the list that a loss of the discriminator will write its calls into."""
    calls: list[dict[str, Any]] = []
    loss = getattr(made.critic, name)

    def spy(*images: Tensor, **told: Any) -> Tensor:
        calls.append(told)
        result: Tensor = loss(*images, **told)
        return result

    monkeypatch.setattr(made.critic, name, spy)
    return calls


def test_the_discriminator_sees_captions_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    made, here = method(wrong_weight=0.25).eval(), batch()
    calls = watched(made, "discriminator_loss", monkeypatch)
    made.critic_losses(here, Step(0, 100))
    [own], [other] = calls[0]["given"], calls[0]["mismatched"]
    assert calls[0]["mismatched_share"] == 0.25
    distances = torch.cdist(other, own)
    assert (distances.min(1).values < 1e-3).all()  # somebody's
    assert (distances.diag() > 1e-2).all()  # not its own
    made = method(wrong_weight=0)
    made.critic_losses(here, Step(0, 100))
    assert "matching" not in made.critic.report()


def test_what_is_seen_is_to_find_its_caption() -> None:
    made, here = method(contrast=3, wrong_weight=0).eval(), batch()
    texts = made.texts(here, Step(0, 1))
    made.heard.keep(-texts, -here["image"])
    fake, _ = made.fakes(here, texts)
    named = alike(here.texts["text"], here["image"])
    all_texts, same = made.heard.beside(texts, here["image"], named)
    with torch.no_grad():
        wanted = [
            matching_loss(all_texts, made.eyes(images)[1], same, made.eyes.sharpness)[0]
            for images in (fake, here["image"])
        ]
    losses = (made.generator_losses, made.critic_losses)
    told = [next(iter(loss(here, Step(0, 100)).values())) for loss in losses]
    assert torch.equal(made.heard.texts[-4:], texts)  # the discriminator has been shown these
    made.options = made.options.model_copy(update={"contrast": 0.0})
    plain = [next(iter(loss(here, Step(0, 100)).values())) for loss in losses]
    for more, less, term in zip(told, plain, wanted, strict=True):
        assert float((more - less).detach()) == pytest.approx(3 * float(term), rel=1e-3)


def test_what_is_drawn_can_begin_like_the_caption_s_own_picture() -> None:
    made, here = method(pixel_weight=2, adversarial_since=100).eval(), batch()
    assert [phase.name for phase in made.phases() if phase.active(50)] == ["generator"]
    terms = made.generator_losses(here, Step(1, 50))
    with torch.no_grad():
        fake, _ = made.fakes(here, made.texts(here, Step(0, 1)))
    assert terms.keys() == {"pixel"}
    assert float(terms["pixel"].detach()) == pytest.approx(
        2 * float((fake - here["image"]).square().mean())
    )
    assert made.generator_losses(here, Step(1, 100)).keys() == {"pixel", "adversarial"}
    assert len([phase for phase in made.phases() if phase.active(100)]) == 2
    with pytest.raises(UsageError, match="without pixel_weight nothing teaches"):
        method(adversarial_since=100)


def test_interpolation_asks_for_pictures_half_way_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, here = method(interpolate=2).eval(), batch()
    calls = watched(made, "generator_loss", monkeypatch)
    terms = made.generator_losses(here, Step(0, 100))
    [own], [between] = calls[0]["given"], calls[1]["given"]
    assert between.norm(dim=1).tolist() == pytest.approx(own.norm(dim=1).tolist(), rel=1e-4)
    nearest = (torch.cdist(between, own) - torch.cdist(between, own).diag()[:, None]).abs()
    nearest.fill_diagonal_(torch.inf)
    assert (nearest.min(1).values < 1e-3).all()  # as near to another as to its own
    assert float(torch.cdist(between, own).diag().min()) > 1e-3
    assert terms["between"].requires_grad


@pytest.mark.parametrize(
    "adversarial", ["minimax", "non-saturating", "lsgan", "wgan-gp", "dragan", "hinge"]
)
def test_both_players_learn_from_every_objective(adversarial: str) -> None:
    made, here = method(adversarial=adversarial).train(), batch()
    step = Step(0, 100)
    for losses, network in (
        (made.generator_losses, made.painter.generator),
        (made.critic_losses, made.critic),
    ):
        made.zero_grad()
        sum(losses(here, step).values()).backward()  # type: ignore[union-attr]
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert max(float(gradient.abs().max()) for gradient in gradients) > 0


def test_what_only_scores_is_no_began() -> None:
    with pytest.raises(UsageError, match="began judges by how well it reconstructs"):
        method(adversarial="began")


def test_a_batch_in_which_all_say_the_same_has_no_wrong_captions() -> None:
    here = batch()
    same = Batch(here.tensors, here.seeds, {"text": ["a cat"] * 4})
    made = method(interpolate=1)
    assert made.generator_losses(same, Step(0, 100)).keys() == {"adversarial"}
    assert made.critic_losses(same, Step(0, 100))["image"].isfinite()
    assert "matching" not in made.critic.report()


def test_no_process_has_wrong_captions_where_another_has_none() -> None:
    class Elsewhere(Step):
        def mean(self, x: Tensor, dims: Sequence[int] | None = None) -> Tensor:
            return x.mean() / 2  # in the other one all say the same

    made = method(interpolate=1)
    assert made.generator_losses(batch(), Elsewhere(0, 100)).keys() == {"adversarial"}
    made.critic_losses(batch(), Elsewhere(0, 100))
    assert "matching" not in made.critic.report()


def test_one_picture_a_batch_is_refused_in_one_line() -> None:
    made = method()
    for losses in (made.encoder_losses, made.critic_losses):
        with pytest.raises(UsageError, match="--batch-size 2 or more"):
            losses(batch(1), Step(0, 0))


@pytest.mark.parametrize("name", ["emoji", "scenes"])
def test_a_recipe_makes_a_model_that_is_small_enough_to_come_along(name: str) -> None:
    folder = Path(str(importlib.import_module("translate_text2image").__file__)).parent
    recipe = read_recipe(folder / "recipes" / f"{name}.toml")
    options = build(TextToImageOptions, recipe["options"], what="options")
    training = build(TrainingSettings, recipe["training"], what="training")
    assert training.images > options.encoder_images
    assert training.store == "fp16"
    with torch.device("meta"):
        painter = TextToImage(options, Facts()).painter
    assert sum(2 * parameter.numel() for parameter in painter.parameters()) < 6e6
    names = {"encoder", "generator", "discriminator"}
    assert set(training.players) <= names


@pytest.fixture(name="model")
def _model(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Train a model of greys by the command, and return its name."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    for number in range(8):
        fields = sample(number, 0)
        Image.fromarray(np.asarray(fields["image"])).save(data / f"{number}.png")
        (data / f"{number}.txt").write_text(str(fields["text"]), encoding="utf-8")
    words = ["train", "text2image", "--data", "data", "--out", "run", "--images", "16"]
    words += ["--batch-size", "4", "--device", "cpu", "-q", "--name", "greys"]
    words += [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    run(*words)
    return "greys"


def run(*words: str) -> str:
    result = CliRunner().invoke(cli, words, prog_name="translate")
    assert result.exit_code == 0, result.output
    return result.output


def pixels(path: str | Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_model_makes_pictures_of_prompts(model: str) -> None:
    run(model, "a light one", "--seed", "3", "-o", "one.png", "-q")
    assert pixels("one.png").shape == (32, 32, 3)
    Path("prompts.txt").write_text("a light one\n\n猫\n", encoding="utf-8")
    run(model, "--prompts", "prompts.txt", "--seed", "2", "--count", "2", "-o", "out", "-q")
    made = sorted(path.name for path in Path("out").iterdir())
    assert made == ["a-light-one-2.png", "a-light-one-3.png", "猫-2.png", "猫-3.png"]
    assert (pixels("out/a-light-one-3.png") == pixels("one.png")).all()
    run(model, "dark", "猫", "--seed", "2", "--count", "3", "--grid", "-o", "grid.png", "-q")
    grid = pixels("grid.png")
    assert grid.shape == (2 * 34 - 2, 3 * 34 - 2, 3)
    assert (grid[34:, :32] == pixels("out/猫-2.png")).all()
    result = CliRunner().invoke(cli, [model, "--prompts", "missing.txt"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--prompts missing.txt: no such file" in result.stderr


def test_there_is_a_way_from_caption_to_caption(model: str) -> None:
    run("walk", model, "dark", "a light one@7", "--seed", "7", "--steps", "4", "-o", "w.png", "-q")
    run(model, "dark", "a light one", "--seed", "7", "--grid", "-o", "ends.png", "-q")
    walked, ends = pixels("w.png"), pixels("ends.png")
    assert walked.shape == (32, 4 * 34 - 2, 3)
    assert (walked[:, :32] == ends[:32]).all()
    assert (walked[:, -32:] == ends[34:]).all()
    words = ["mix", model, "--plus", "dark@7", "--minus", "猫@7", "--plus", "猫@7"]
    run(*words, "-o", "mixed.png", "--save", "code.safetensors", "-q")
    run("walk", model, "code.safetensors", "dark@7", "--steps", "2", "-o", "back.png", "-q")
    apart = pixels("mixed.png").astype(int) - ends[:32]
    assert abs(apart).max() <= 1
    assert (pixels("back.png")[:, :32] == pixels("mixed.png")).all()
