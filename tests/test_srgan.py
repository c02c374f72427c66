"""Super-resolution keeps the contract in both stages, and each of its parts does its work."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
import torchvision
from click.testing import CliRunner
from torch import Tensor, nn

import translate_srgan
from tiny import finish, save_picture
from translate.bundle import Model, load_model
from translate.cli.group import cli
from translate.errors import TranslateError, UsageError
from translate.method import Batch, Step
from translate.options import Facts, build
from translate.pipeline import bicubic
from translate.testing import check_method
from translate.training import checkpoint
from translate.training.plan import make_plan, split_assignments
from translate.training.run import Run
from translate_srgan.method import SRGAN, Blended, SRGANOptions, SRGANRunOptions

SMALL: dict[str, Any] = {"network": "compact", "width": 4, "blocks": 1, "critic_width": 4}
SECOND: dict[str, Any] = {"adversarial_weight": 0.1}

torch.set_num_threads(1)


def method(**options: Any) -> SRGAN:
    torch.manual_seed(0)
    return SRGAN(build(SRGANOptions, SMALL | options, what="srgan"), Facts())


def pictures(count: int = 2, side: int = 16, scale: int = 4) -> Batch:
    """Return smooth pictures and what is left of them at a ``scale``-th of their size."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 5, 5, generator=generator) * 2 - 1
    high = F.interpolate(coarse, (side, side), mode="bilinear", align_corners=True)
    return Batch({"high": high, "low": bicubic(high, down=scale)}, torch.arange(count))


VARIANTS: dict[str, dict[str, Any]] = {
    "srresnet": {"network": "srresnet"},
    "srresnet with norm": {"network": "srresnet", "norm": True, "scale": 2},
    "rrdb": {"network": "rrdb", "growth": 4, "scale": 2, "gather": 2},
    "compact": {"base": "bicubic", "blocks": 2},
    "srresnet, second": {"network": "srresnet", "scale": 2, **SECOND},
    "rrdb, second": {"network": "rrdb", "growth": 4, "scale": 2, "keep_start": False, **SECOND},
    "compact, second": {"base": "nearest", "content": "discriminator", **SECOND},
    "as published": {"critic": "vgg", "adversarial": "minimax", "scale": 2, **SECOND},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_keeps_the_contract(variant: str) -> None:
    check_method("srgan", options=SMALL | VARIANTS[variant])


def test_the_first_stage_has_no_discriminator_and_the_second_has() -> None:
    batch = pictures()
    first, second = method(), method(content="discriminator", **SECOND)
    assert [phase.name for phase in first.phases()] == ["generator"]
    assert set(first.generator_losses(batch, Step(0, 0))) == {"pixel"}
    assert first.critic is None
    assert not any("critic" in name for name in first.state_dict())
    assert [phase.name for phase in second.phases()] == ["generator", "discriminator"]
    assert set(second.generator_losses(batch, Step(0, 0))) == {"pixel", "content", "adversarial"}
    assert set(second.critic_losses(batch, Step(0, 0))) == {"real or not"}
    alone = method(pixel_weight=0, **SECOND)
    assert set(alone.generator_losses(batch, Step(0, 0))) == {"adversarial"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"pixel_weight": 0}, "nothing teaches it"),
        ({"content": "discriminator"}, "set adversarial_weight"),
        ({"gather": 2}, "for network=rrdb"),
        ({"adversarial": "began", **SECOND}, "UNetCritic gives scores"),
        ({"critic": "vgg", "adversarial": "wgan-gp", **SECOND}, "batch norm in VGGCritic"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        method(**options)


def test_the_data_set_is_told_what_all_networks_take() -> None:
    assert SRGAN.data(SRGANOptions()) == {"scale": 4, "multiple_of": 1}
    gathered = SRGANOptions(network="rrdb", gather=2, scale=2, adversarial_weight=1)
    assert SRGAN.data(gathered) == {"scale": 2, "multiple_of": 2, "high_multiple_of": 8}
    published = SRGANOptions(critic="vgg", adversarial_weight=1)
    assert SRGAN.data(published)["high_multiple_of"] == 16


@pytest.mark.parametrize("base", ["none", "nearest", "bicubic"])
def test_the_base_is_what_is_added_to(base: str) -> None:
    made, x = method(base=base), pictures()["low"]
    for parameter in made.generator.parameters():
        nn.init.zeros_(parameter)
    expected = {
        "none": torch.full((2, 3, 16, 16), -1.0),  # black
        "nearest": x.repeat_interleave(4, 2).repeat_interleave(4, 3),
        "bicubic": bicubic(x, up=4),
    }[base]
    torch.testing.assert_close(made.enlarge(made.generator, x), expected)


def test_it_learns_to_enlarge_better_than_the_base_alone() -> None:
    batch = pictures(count=8)
    made = method(base="bicubic", width=8, blocks=2)
    optimizer = torch.optim.Adam(made.generator.parameters(), 1e-2)
    for number in range(100):
        optimizer.zero_grad()
        [loss] = made.generator_losses(batch, Step(number, 0)).values()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    plain = float((bicubic(batch["low"], up=4) - batch["high"]).abs().mean())
    assert float(loss.detach()) < 0.7 * plain


def test_the_generator_hears_the_relativistic_average() -> None:
    batch, made = pictures(), method(relativistic=True, adversarial_weight=0.5).eval()
    terms = made.generator_losses(batch, Step(0, 0))
    assert made.critic is not None
    real = made.critic(batch["high"])
    fake = made.critic(made.enlarge(made.generator, batch["low"]))
    loss = F.softplus(real.mean() - fake).mean() + F.softplus(real - fake.mean()).mean()
    torch.testing.assert_close(terms["adversarial"], 0.5 * loss)
    other = Batch({**batch.tensors, "high": -batch["high"]}, batch.seeds)
    assert made.generator_losses(other, Step(0, 0))["adversarial"] != terms["adversarial"]


def test_the_discriminators_own_features_are_compared() -> None:
    batch, made = pictures(), method(content="discriminator", **SECOND).eval()
    high = batch["high"]
    assert float(made.content_loss(high, high).detach()) == 0
    fake = (high + 0.1).requires_grad_()
    loss = made.content_loss(fake, high)
    assert float(loss.detach()) > 0
    loss.backward()  # type: ignore[no-untyped-call]
    assert fake.grad is not None
    assert bool(fake.grad.any())


@pytest.fixture
def narrow_vgg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a file of what takes VGG-19's place: as deep, narrow, and not to be downloaded."""

    class Narrow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            cfg = torchvision.models.vgg.cfgs["E"]
            narrow = [part if part == "M" else part // 16 for part in cfg]
            self.features = torchvision.models.vgg.make_layers(narrow)

    def vgg19(*, weights: object = None, progress: bool = True) -> nn.Module:
        if weights is not None:
            raise URLError("[Errno 111] Connection refused")
        return Narrow()

    monkeypatch.setattr(torchvision.models, "vgg19", vgg19)
    torch.manual_seed(0)
    torch.save(Narrow().state_dict(), tmp_path / "vgg.pth")
    return tmp_path / "vgg.pth"


def test_features_of_vgg_are_compared_and_never_learn(narrow_vgg: Path) -> None:
    batch = pictures(side=32)
    layers = ("conv2_2", "conv5_4")
    made = method(content="vgg", vgg_weights=str(narrow_vgg), content_layers=layers)
    made.prepare()
    assert made.content is not None
    assert not any(p.requires_grad for p in made.content.network.parameters())
    assert not any("content" in name for name in made.state_dict())
    terms = made.generator_losses(batch, Step(0, 0))
    assert set(terms) == {"pixel", "content"}
    terms["content"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in made.generator.parameters())
    with torch.no_grad():
        assert float(made.content_loss(batch["high"], batch["high"])) == 0
        wanted = made.content.network(batch["high"], layers)
        found = made.content.network(made.enlarge(made.generator, batch["low"]), layers)
        distances = [(a - b).abs().mean() for a, b in zip(wanted, found, strict=True)]
    torch.testing.assert_close(terms["content"].detach(), torch.stack(distances).mean())


def test_a_refused_download_is_one_line_that_names_both_ways_out(narrow_vgg: Path) -> None:
    with pytest.raises(TranslateError) as caught:
        method(content="vgg").prepare()
    said = str(caught.value)
    assert "Connection refused" in said
    assert "vgg_weights=" in said
    assert "content=discriminator" in said
    assert "\n" not in said


def test_a_file_that_is_no_vgg_is_named(narrow_vgg: Path, tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.ones(2)}, tmp_path / "other.pth")
    for name in ("other.pth", "none.pth"):
        with pytest.raises(TranslateError, match=rf"{name}: .*vgg_weights=") as caught:
            method(content="vgg", vgg_weights=str(tmp_path / name)).prepare()
        assert "\n" not in str(caught.value)


# Two stages


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "pictures"
    for number in range(3):
        save_picture(folder / f"{number}.png", number)
    return folder


def run(folder: Path, data: Path, init: str | Path = "", **values: Any) -> Run:
    """Return a tiny run that has not begun."""
    training = {"precision": "fp32", "images": 4, "batch_size": 2}
    groups = {"data": {"size": 16}, "training": training, **SMALL, **values}
    plan = make_plan("srgan", (str(data),), None, {}, split_assignments(groups), str(init))
    return Run(folder, plan, device="cpu", resume=False)


@pytest.fixture(scope="module")
def first(data: Path) -> Path:
    """Return a finished run of the first stage."""
    finish(run(data.parent / "first", data))
    return data.parent / "first"


@pytest.fixture(scope="module")
def second(data: Path, first: Path) -> Path:
    """Return a finished run of the second stage, from the first."""
    finish(run(data.parent / "second", data, first, **SECOND))
    return data.parent / "second"


def model(folder: Path) -> Model:
    return load_model(str(next(folder.glob("*.safetensors"))))


def averaged(folder: Path) -> dict[str, Tensor]:
    """Return the weights that a finished run's model has."""
    found = checkpoint.load(folder / "last.pt")["averages"]["generator"]
    return cast(dict[str, Tensor], found)


def same(network: nn.Module, weights: dict[str, Tensor]) -> bool:
    state = network.state_dict()
    return state.keys() == weights.keys() and all(torch.equal(state[k], weights[k]) for k in state)


def part(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(name): w for k, w in weights.items() if k.startswith(name)}


@torch.no_grad()
def enlarged(made: Model, blend: float = 1.0) -> Tensor:
    settings = SRGANRunOptions(blend=blend)
    return made(Batch({"image": pictures()["low"]}, torch.arange(2), settings=settings))


def test_the_second_stage_begins_with_the_first_and_keeps_it(
    tmp_path: Path, data: Path, first: Path, second: Path
) -> None:
    begun = run(tmp_path / "run", data, first, **SECOND).trainer.method
    generator = begun.get_submodule("generator")
    assert isinstance(generator, Blended)
    assert same(generator.network, averaged(first))
    assert same(generator.start, averaged(first))
    state = averaged(second)
    assert same(generator.start, part(state, "start."))
    assert not same(generator.network, part(state, "network."))


def test_a_second_stage_goes_on_from_a_second_stage_with_the_same_start(
    tmp_path: Path, data: Path, first: Path, second: Path
) -> None:
    begun = run(tmp_path / "run", data, second, **SECOND).trainer.method
    assert same(begun.get_submodule("generator.network"), part(averaged(second), "network."))
    assert same(begun.get_submodule("generator.start"), averaged(first))


@pytest.mark.parametrize("options", [{}, {"keep_start": False, **SECOND}])
def test_without_a_start_the_second_stages_network_alone_is_taken(
    options: dict[str, Any], tmp_path: Path, data: Path, second: Path
) -> None:
    begun = run(tmp_path / "run", data, second, **options).trainer.method
    assert same(begun.get_submodule("generator"), part(averaged(second), "network."))


def test_a_model_is_begun_from_as_a_run_is(
    tmp_path: Path, data: Path, first: Path, second: Path
) -> None:
    file = next(first.glob("*.safetensors"))
    begun = run(tmp_path / "run", data, file, **SECOND).trainer.method
    assert same(begun.get_submodule("generator.start"), averaged(first))


def test_models_blend_from_the_first_stage_to_the_second(first: Path, second: Path) -> None:
    start, both = model(first), model(second)
    assert torch.equal(enlarged(both, 0), enlarged(start))
    network = both.network.network
    with torch.no_grad():
        out = cast(Tensor, network((pictures()["low"] + 1) / 2))  # type: ignore[operator]
    alone = (2 * out - 1).clamp(-1, 1)
    assert torch.equal(enlarged(both, 1), alone)
    assert torch.equal(enlarged(both), alone)
    assert not torch.equal(enlarged(both, 0), alone)


def test_weights_are_blended_and_not_outputs() -> None:
    made, x = method(blocks=3, **SECOND), pictures()["low"]
    generator = made.generator
    assert isinstance(generator, Blended)
    with torch.no_grad():
        for parameter in generator.network.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.3)
        start, half, end = (generator(x, blend) for blend in (0.0, 0.5, 1.0))
        weights = {
            name: (a + b) / 2
            for (name, a), b in zip(
                generator.start.state_dict().items(),
                generator.network.state_dict().values(),
                strict=True,
            )
        }
        generator.network.load_state_dict(weights)
        torch.testing.assert_close(half, generator(x))
    assert float((half - (start + end) / 2).abs().max()) > 0.01


def test_tiles_overlap_by_what_the_networks_depend_on() -> None:
    with torch.device("meta"):
        halos = [
            method(**options).fit("generator").halo
            for options in (
                {"blocks": None},
                {"blocks": 32, "base": "bicubic"},
                {"network": "srresnet", "blocks": None},
                {"network": "rrdb", "blocks": 1},
                {"network": "rrdb", "blocks": None},
                {"network": "rrdb", "blocks": None, "gather": 2, "scale": 2},
            )
        ]
    assert halos == [18, 34, 40, 19, 32, 64]


def test_outputs_are_pictures_and_what_losses_see_is_not_cut_off() -> None:
    made, low = method(width=16), 3 * pictures()["low"]
    out = made.translate(made.generator, Batch({"image": low}, torch.arange(2)))
    wide = made.enlarge(made.generator, low)
    assert float(wide.detach().abs().max()) > 1
    assert torch.equal(out, wide.clamp(-1, 1))


def test_where_no_start_is_kept_blending_is_refused(first: Path, tmp_path: Path) -> None:
    assert isinstance(method(keep_start=False, **SECOND).generator, type(method().generator))
    with pytest.raises(UsageError, match=r"blend=0\.5: .*first stage"):
        enlarged(model(first), 0.5)


RECIPES = sorted((Path(translate_srgan.__file__).parent / "recipes").glob("*.toml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_resolve(recipe: Path, tmp_path: Path) -> None:
    save_picture(tmp_path / "data" / "one.png", 0, (160, 160))
    words = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--dry-run"]
    result = CliRunner().invoke(cli, ["train", "srgan", "--recipe", str(recipe), *words])
    assert result.exit_code == 0, result.output
    assert "superres: 1 picture" in result.stdout
