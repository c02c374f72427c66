"""The GAN and the conditional GAN keep the contract, and each of their parts does its work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

from tiny import save_picture
from translate.cli.group import cli
from translate.errors import UsageError
from translate.method import Batch, Step
from translate.options import Facts, build
from translate.testing import check_method
from translate.training.plan import make_plan, split_assignments
from translate.training.run import Run
from translate_gan.conditional import Conditional, ConditionalGAN, ConditionalGANOptions
from translate_gan.method import GAN, GANOptions
from translate_gan.networks import Encoder, Generator, Scores, halvings

SMALL: dict[str, Any] = {"size": 16, "code": 4, "width": 4, "critic_width": 4}
PLAIN = {"critic_norm": "none"}
CLASSES = Facts(channels=1, classes=("dark", "light"))

torch.set_num_threads(1)


def gan(facts: Facts | None = None, **options: Any) -> GAN:
    torch.manual_seed(0)
    return GAN(build(GANOptions, SMALL | options, what="gan"), facts or Facts(channels=1))


def cgan(facts: Facts = CLASSES, **options: Any) -> ConditionalGAN:
    torch.manual_seed(0)
    return ConditionalGAN(build(ConditionalGANOptions, SMALL | options, what="cgan"), facts)


def sources(count: int, **tensors: Tensor) -> Batch:
    return Batch(tensors, torch.arange(count), settings=GAN.RunOptions())


def test_a_gan_keeps_the_contract() -> None:
    check_method("gan", options=SMALL)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"network": "fully-connected", "codes": "uniform", "classes": "embedding"},
        {**PLAIN, "adversarial": "began"},
        {**PLAIN, "judged": "projection", "critic_spectral": True, "r1": 1, "upsample": "resize"},
    ],
)
def test_a_conditional_gan_keeps_the_contract(options: dict[str, Any]) -> None:
    check_method("cgan", options=SMALL | options, quick="critic_spectral" not in options)


@pytest.mark.parametrize("network", ["convolutional", "fully-connected"])
@pytest.mark.parametrize(
    "adversarial",
    ["minimax", "non-saturating", "lsgan", "wgan", "wgan-gp", "dragan", "began", "hinge"],
)
def test_every_objective_gives_both_players_something_to_learn(
    adversarial: str, network: str
) -> None:
    norm = "none" if adversarial in ("wgan-gp", "dragan", "began") else "batch"
    made = gan(adversarial=adversarial, network=network, critic_norm=norm, norm=norm)
    made.train()
    batch = Batch({"image": torch.rand(4, 1, 16, 16) * 2 - 1}, torch.arange(4))
    step = Step(0, 0)
    if adversarial == "began":  # the balance begins without the fakes, and changes no score
        made.critic.objective.balance.fill_(0.5)  # type: ignore[union-attr]
    for phase in made.phases():
        made.zero_grad()
        sum(phase.losses(batch, step).values()).backward()  # type: ignore[union-attr]
        [network_] = phase.trains
        gradients = [p.grad for p in network_.parameters() if p.grad is not None]
        assert gradients
        assert all(g.isfinite().all() for g in gradients)
        assert max(float(g.abs().max()) for g in gradients) > 0


@pytest.mark.parametrize(("size", "count"), [(8, 1), (28, 2), (32, 3), (64, 4), (96, 4), (128, 5)])
def test_any_power_of_two_times_a_small_number_can_be_made(size: int, count: int) -> None:
    assert halvings(size) == count
    generator = Generator(3, channels=3, size=size, width=4)
    images = generator(torch.zeros(2, 3), torch.zeros(2, 0))
    assert images.shape == (2, 3, size, size)
    assert Scores(Encoder(3, size, width=4))(images).shape == (2, 1)


@pytest.mark.parametrize("size", [9, 30, 100])
def test_a_size_that_cannot_be_halved_is_refused_but_for_dense_networks(size: int) -> None:
    with pytest.raises(UsageError, match=f"size={size}: not 4, 5, 6 or 7 times a power of two"):
        gan(size=size)
    assert gan(size=size, network="fully-connected").generator is not None


def test_the_published_widths_are_the_defaults() -> None:
    with torch.device("meta"):
        made = GAN(GANOptions(), Facts())
    [generator] = [m for m in made.modules() if isinstance(m, Generator)]
    assert generator.start == (512, 4, 4)
    convolutions = [m for m in generator.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert [m.out_channels for m in convolutions] == [256, 128, 64, 3]


def test_codes_belong_to_their_seeds() -> None:
    for kind in ("normal", "uniform"):
        made = gan(codes=kind, code=2000)
        codes = made.codes(made.generator, sources(3))
        again = made.codes(made.generator, Batch({}, torch.tensor([2, 0])))
        assert torch.equal(codes[[2, 0]], again)
        assert float(codes.std()) == pytest.approx(1 if kind == "normal" else 3**-0.5, abs=0.05)
        assert float(codes.mean()) == pytest.approx(0, abs=0.05)
    assert float(codes.abs().max()) <= 1


@torch.no_grad()
def test_translating_is_encoding_and_decoding() -> None:
    made = cgan(classes="embedding").eval()
    source = sources(3, **{"class": torch.tensor([1, 0, 1])})
    network = made.generator
    codes, conditions = made.encode(network, source)
    assert (codes.shape, conditions.shape) == ((3, 4), (3, 32))
    assert torch.equal(conditions[0], conditions[2])
    assert not torch.equal(conditions[0], conditions[1])
    whole = made.translate(network, source)
    assert torch.equal(whole, made.decode(network, codes, conditions))
    assert not torch.equal(whole[0], whole[2])


def learned(made: GAN, batch: Batch, steps: int) -> GAN:
    """Return the method after so many steps on one batch, with fresh codes each."""
    made.train()
    phases = made.phases()
    optimizers = [
        torch.optim.Adam([p for m in phase.trains for p in m.parameters()], 3e-3, (0.5, 0.99))
        for phase in phases
    ]
    for number in range(steps):
        step = Step(number, number)
        here = Batch(batch.tensors, batch.seeds + number * len(batch))
        for phase, optimizer in zip(phases, optimizers, strict=True):
            for other in phases:
                for module in other.trains:
                    module.requires_grad_(other is phase)
            made.zero_grad()
            sum(phase.losses(here, step).values()).backward()  # type: ignore[union-attr]
            optimizer.step()
    return made.eval()


@pytest.mark.parametrize("judged", ["beside", "projection"])
@torch.random.fork_rng()
def test_a_class_becomes_what_it_was_in_training(judged: str) -> None:
    labels = torch.arange(16) % 2
    greys = (labels * 1.2 - 0.6).view(-1, 1, 1, 1).expand(-1, 1, 16, 16)
    noise = 0.1 * torch.randn(greys.shape, generator=torch.Generator().manual_seed(0))
    batch = Batch({"image": greys + noise, "label": labels}, torch.arange(16))
    made = learned(cgan(judged=judged, critic_norm="none", width=8, critic_width=8), batch, 150)
    with torch.no_grad():
        source = sources(8, **{"class": torch.arange(8) % 2})
        light = made.translate(made.generator, source).mean((1, 2, 3))
    assert (light[1::2] > 0.2).all()
    assert (light[::2] < -0.2).all()


def test_a_conditional_gan_needs_classes() -> None:
    with pytest.raises(UsageError, match="cgan needs data of two classes or more"):
        cgan(Facts(channels=1))
    with pytest.raises(UsageError, match="judged=projection adds to scores"):
        cgan(judged="projection", adversarial="began", critic_norm="none")


def test_what_is_trained_makes_the_classes_of_its_folders(home: Path, tmp_path: Path) -> None:
    for number in range(4):
        save_picture(tmp_path / "data" / ("cat", "dog")[number % 2] / f"{number}.png", number)
    words = ["train", "cgan", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]
    words += ["--images", "8", "--batch-size", "4", "--device", "cpu", "-q", "--name", "pets"]
    words += [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    with Image.open(next((tmp_path / "run" / "samples").glob("*.png"))) as grid:
        assert grid.size == (8 * 18 - 2, 8 * 18 - 2)
    out = tmp_path / "dog.png"
    result = CliRunner().invoke(cli, ["pets", "dog", "--seed", "1", "-o", str(out), "-q"])
    assert result.exit_code == 0, result.output
    with Image.open(out) as picture:
        assert (picture.size, picture.mode) == ((16, 16), "RGB")


def test_a_grid_of_classes_is_in_their_order(tmp_path: Path) -> None:
    for name, grey in (("black", 0), ("white", 255)):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (16, 16), (grey,) * 3).save(tmp_path / "data" / name / "a.png")
    groups = split_assignments({**SMALL, "training": {"images": 8, "batch_size": 4}})
    plan = make_plan("cgan", (str(tmp_path / "data"),), None, {}, groups)
    run = Run(tmp_path / "run", plan, device="cpu", resume=False)
    network = run.trainer.method.generator
    assert isinstance(network, Conditional)
    for one in (network, run.trainer.averages["generator"].network):
        one.forward = lambda codes, conditions: (
            conditions[:, 1].view(-1, 1, 1, 1).expand(-1, 3, 16, 16) * 2 - 1
        )
    path = run.previews.save(tmp_path / "grid.png")
    with Image.open(path) as grid:
        seen = [grid.getpixel((x * 18, y * 18))[0] for y in range(8) for x in range(8)]  # type: ignore[index]
    assert seen == sorted(seen)
    assert set(seen) == {0, 255}
