"""Pix2Pix keeps the contract, and each of its parts does its work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tiny import finish, start
from translate.errors import UsageError
from translate.inference.translator import load
from translate.method import Batch, Step
from translate.options import Facts, build
from translate.pipeline.loader import collate
from translate.testing import check_method
from translate_datasets.paired import Paired, PairedOptions
from translate_pix2pix.method import Pix2Pix, Pix2PixOptions, Pix2PixRunOptions

SMALL: dict[str, Any] = {"width": 4, "halvings": 4, "critic_width": 4, "critic_layers": 1}

torch.set_num_threads(1)


def method(facts: Facts | None = None, **options: Any) -> Pix2Pix:
    torch.manual_seed(0)
    chosen = build(Pix2PixOptions, SMALL | options, what="pix2pix")
    return Pix2Pix(chosen, facts or Facts())


def ten_pairs(side: int = 16) -> Batch:
    """Return squares on grey, each of another place and shade, and discs of the same in colour."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    a, b = torch.zeros(10, 1, side, side), torch.zeros(10, 3, side, side)
    for number in range(10):
        y, x = torch.randint(4, side - 4, (2,), generator=generator)
        a[number, :, y - 3 : y + 3, x - 3 : x + 3] = number / 5 - 0.9
        colour = torch.rand(3, 1, generator=generator) * 2 - 1
        b[number, :, (rows - y) ** 2 + (columns - x) ** 2 < 9] = colour
    return Batch({"a": a, "b": b}, torch.arange(10))


def trained(made: Pix2Pix, batch: Batch, steps: int) -> Pix2Pix:
    """Return the method after so many steps on one batch, turn by turn."""
    made.train()
    phases = made.phases()
    optimizers = [
        torch.optim.Adam([p for m in phase.trains for p in m.parameters()], 3e-3, (0.5, 0.999))
        for phase in phases
    ]
    for number in range(steps):
        step = Step(number, number)
        for phase, optimizer in zip(phases, optimizers, strict=True):
            torch.manual_seed(number)
            made.zero_grad()
            sum(phase.losses(batch, step).values()).backward()  # type: ignore[union-attr]
            optimizer.step()
    return made.eval()


@torch.no_grad()
def l1(made: Pix2Pix, batch: Batch) -> float:
    source = Batch({"image": batch["a"]}, batch.seeds, settings=Pix2PixRunOptions())
    return float((made.translate(made.generator, source) - batch["b"]).abs().mean())


VARIANTS: list[dict[str, Any]] = [
    {},
    {"adversarial_weight": 0, "test_time": "deterministic"},
    {"l1_weight": 0, "norm": "instance", "dropout": 0, "critic_layers": 0},
    {"adversarial": "wgan-gp", "norm": "instance", "upsample": "blur", "detail": "change"},
]


@pytest.mark.parametrize("options", VARIANTS)
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_method("pix2pix", options=SMALL | options)


def test_it_keeps_the_contract_between_other_channels(tmp_path: Path) -> None:
    values = {**Paired.example(tmp_path, 16), "channels_a": 1}
    data = Paired([tmp_path], build(PairedOptions, values, what="data"), {})
    check_method("pix2pix", options=SMALL, sample=data)


def test_the_ablations_leave_out_what_they_name() -> None:
    batch, step = ten_pairs(), Step(0, 0)
    facts = Facts(channels=1, channels_out=3)
    both = method(facts)
    assert [phase.name for phase in both.phases()] == ["generator", "discriminator"]
    assert set(both.generator_losses(batch, step)) == {"adversarial", "l1"}
    alone = method(facts, adversarial_weight=0)
    assert [phase.name for phase in alone.phases()] == ["generator"]
    assert set(alone.generator_losses(batch, step)) == {"l1"}
    assert not any("critic" in name for name in alone.state_dict())
    assert set(method(facts, l1_weight=0).generator_losses(batch, step)) == {"adversarial"}
    with pytest.raises(UsageError, match="nothing teaches it"):
        method(l1_weight=0, adversarial_weight=0)


def test_full_size_networks_have_the_published_sizes() -> None:
    with torch.device("meta"):
        made = Pix2Pix(Pix2PixOptions(), Facts())
    assert sum(p.numel() for p in made.generator.parameters()) == 54_413_955
    assert made.critic is not None
    assert sum(p.numel() for p in made.critic.parameters()) == 2_768_705
    assert Pix2Pix.data(made.options) == {"multiple_of": 256, "minimum": 256}


def test_pictures_are_large_enough_for_both_networks() -> None:
    options = Pix2PixOptions(halvings=2)
    assert Pix2Pix.data(options) == {"multiple_of": 4, "minimum": 24}
    alone = Pix2PixOptions(halvings=2, adversarial_weight=0)
    assert Pix2Pix.data(alone) == {"multiple_of": 4, "minimum": 4}


def test_l1_makes_it_learn_ten_pairs_by_heart() -> None:
    batch, facts = ten_pairs(), Facts(channels=1, channels_out=3)
    before = l1(method(facts, dropout=0), batch)
    taught = l1(trained(method(facts, dropout=0), batch, 80), batch)
    untaught = l1(trained(method(facts, dropout=0, l1_weight=0), batch, 80), batch)
    assert taught < 0.6 * before
    assert taught < 0.4 * untaught


def test_the_discriminator_looks_at_the_input_too() -> None:
    batch, facts = ten_pairs(), Facts(channels=1, channels_out=3)
    made = trained(method(facts, critic_width=8, critic_layers=2, dropout=0), batch, 60)
    assert made.critic is not None
    a, b = batch["a"], batch["b"]
    with torch.no_grad():
        own, other = made.critic(b, a), made.critic(b, a.roll(1, 0))
    assert float(own.mean()) > float(other.mean()) + 0.1


def test_as_published_its_output_varies_with_the_seed_and_by_choice_it_does_not() -> None:
    made, x = method(), ten_pairs()["b"][:1]

    def run(seed: int, made: Pix2Pix = made, **settings: Any) -> Tensor:
        torch.manual_seed(seed)
        options = Pix2PixRunOptions(**settings)
        with torch.no_grad():
            return made.eval().translate(
                made.generator, Batch({"image": x}, torch.tensor([0]), settings=options)
            )

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    assert torch.equal(run(1, deterministic=True), run(2, deterministic=True))
    stored = method(test_time="deterministic")
    assert torch.equal(run(1, stored), run(2, stored))
    assert torch.equal(run(1, stored), run(1, deterministic=True))
    assert not made.fit("generator").independent
    assert stored.fit("generator").independent
    assert method(norm="instance", dropout=0).fit("generator").independent


def pairs_folder(folder: Path) -> Path:
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 255, (3, 3, 3), dtype=np.uint8)
        for side, one in (("A", pixels), ("B", 255 - pixels)):
            (folder / f"train{side}").mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(one).resize((20, 20), Image.Resampling.BICUBIC)
            image.save(folder / f"train{side}" / f"{number}.png")
    return folder


def test_what_was_trained_translates_any_picture(tmp_path: Path) -> None:
    folder = pairs_folder(tmp_path / "pairs")
    values = SMALL | {"data__channels_a": 1, "training__images": 3}
    [made] = finish(start(tmp_path / "run", folder, method="pix2pix", **values))
    model = load(made, device="cpu")
    colour = Image.effect_noise((37, 50), 60).convert("RGB")
    assert model(colour).mode == "RGB"  # from the picture's grey
    for size in ((37, 50), (5, 40), (16, 16)):
        assert model(colour.resize(size)).size == size
    one, two = model(colour, seed=1), model(colour, seed=2)
    assert one.tobytes() != two.tobytes()
    calm = load(made, device="cpu", settings={"deterministic": True})
    assert calm(colour, seed=1).tobytes() == calm(colour, seed=2).tobytes()


def test_the_sample_grid_shows_pairs_that_are_made_on_the_fly(tmp_path: Path) -> None:
    folder = pairs_folder(tmp_path / "pairs") / "trainB"
    values = SMALL | {"data__pairs": "edges", "training__images": 1}
    finish(start(tmp_path / "run", folder, method="pix2pix", **values))
    assert list((tmp_path / "run" / "samples").iterdir())


def test_real_pairs_become_batches() -> None:
    root = os.environ.get("TRANSLATE_TEST_DATA")
    if not root:
        pytest.skip("TRANSLATE_TEST_DATA does not name the folder with the test data")
    sets: list[tuple[str, dict[str, Any], int]] = [
        ("facades_sample", {"direction": "b2a", "labels": "b"}, 11),
        ("horse_masks", {"channels_a": 1, "labels": "a"}, 234),
        ("emoji/pairs.csv", {"match_sizes": True}, 3123),
    ]
    for name, options, count in sets:
        data = Paired([Path(root, name)], build(PairedOptions, options, what="data"), {})
        assert len(data) == count, name
        samples = [data.sample(number, 0) for number in range(2)]
        batch = data.on_device(collate(samples, [0, 1], torch.device("cpu")))
        made = method(data.facts, halvings=8)
        assert set(made.generator_losses(batch, Step(0, 0))) == {"adversarial", "l1"}
