"""The discriminator: what it sees, whom it teaches, what it remembers, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from translate import AdversarialOptions, Batch, Discriminator, Optimizer, PatchGANOptions
from translate.errors import UsageError
from translate.losses.augment import NUMBERS, augment
from translate.networks import PatchGAN
from translate.options import build

NAMES = ("minimax", "non-saturating", "lsgan", "wgan", "wgan-gp", "dragan", "began", "hinge")
PENALISED: tuple[dict[str, Any], ...] = (
    {"adversarial": "wgan-gp"},
    {"adversarial": "dragan"},
    {"adversarial": "lsgan", "r1": 2.0},
)
ALL_KINDS = ("colour", "translation", "cutout")


class Squeeze(nn.Module):
    """An auto-encoder as small as it goes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Tanh(), nn.Conv2d(2, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


def judge(network: nn.Module | None = None, **options: Any) -> Discriminator:
    torch.manual_seed(0)
    built = AdversarialOptions(**options)
    if built.adversarial == "began":
        return Discriminator(network or Squeeze(), built, reconstructs=True)
    return Discriminator(network or PatchGAN(width=4, layers=1), built)


def pictures(count: int = 4) -> tuple[Tensor, Tensor, Batch]:
    g = torch.Generator().manual_seed(1)
    real, fake = torch.rand(2, count, 3, 16, 16, generator=g) * 2 - 1
    return real, fake * 0.5, Batch({}, torch.arange(10, 10 + count))


def part(batch: Batch, place: int) -> Batch:
    return Batch({}, batch.seeds[place : place + 1])


def gradients(loss: Tensor, critic: Discriminator) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(critic.network.parameters()), allow_unused=False))


@pytest.mark.parametrize("name", NAMES)
def test_each_player_learns_from_its_own_loss(name: str) -> None:
    critic = judge(adversarial=name)
    real, fake, batch = pictures()
    fake.requires_grad_()
    critic.discriminator_loss(real, fake * 1, batch).backward()  # type: ignore[no-untyped-call]
    assert fake.grad is None
    assert not real.requires_grad
    assert all(p.grad is not None for p in critic.parameters())
    critic.generator_loss(fake, real, batch).backward()  # type: ignore[no-untyped-call]
    assert fake.grad is not None
    assert fake.grad.abs().max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_each_player_lowers_its_loss_by_learning(name: str) -> None:
    critic = judge(adversarial=name)
    real, fake, batch = pictures()
    made = fake.clone().requires_grad_()
    for judging in (True, False):

        def loss(judging: bool = judging) -> Tensor:
            if judging:
                return critic.discriminator_loss(real, fake, batch)
            return critic.generator_loss(made, real, batch)

        optimizer = torch.optim.Adam(critic.parameters() if judging else [made], lr=1e-3)
        before = loss().item()
        for _ in range(5):
            optimizer.zero_grad()
            loss().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        assert loss().item() < before


def passes(network: nn.Module) -> list[int]:
    seen: list[int] = []
    network.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    return seen


def test_real_and_fake_are_judged_in_one_pass() -> None:
    critic = judge()
    seen, (real, fake, batch) = passes(critic.network), pictures()
    loss = critic.discriminator_loss(real, fake, batch)
    assert seen == [8]
    critic.together = False
    apart = critic.discriminator_loss(real, fake, batch)
    assert seen == [8, 4, 4]
    torch.testing.assert_close(loss, apart)


def test_batch_norm_sees_them_apart() -> None:
    critic = judge(PatchGAN(width=4, layers=1, norm="batch"))
    seen, (real, fake, batch) = passes(critic.network), pictures()
    critic.discriminator_loss(real, fake, batch)
    assert seen == [4, 4]


def test_conditions_come_after_the_picture() -> None:
    class Conditional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Embedding(3, 1)

        def forward(self, x: Tensor, number: Tensor) -> Tensor:
            out: Tensor = self.scores(number) * x.mean((1, 2, 3))[:, None]
            return out

    real, fake, batch = pictures()
    number = torch.tensor([0, 1, 2, 0])
    for options in PENALISED:
        critic = judge(Conditional(), **options)
        critic.discriminator_loss(real, fake, batch, given=[number]).backward()  # type: ignore[no-untyped-call]
        critic.generator_loss(fake, real, batch, given=[number])
    assert critic(real, number).shape == (4, 1)


def test_penalties_differentiate_by_the_picture_alone() -> None:
    """The slope by x of mean(2x + 100 given) over n pixels has the length 2 / √n."""

    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(2.0))

        def forward(self, x: Tensor, given: Tensor) -> Tensor:
            return self.weight * x + 100 * given

    real, fake, batch = pictures()
    given = real.clone().requires_grad_()
    critic = judge(Beside(), adversarial="hinge", r1=3.0, r1_every=1)
    critic.discriminator_loss(real, fake, batch, given=[given])
    n = real[0].numel()
    assert critic.report()["penalty"].item() == pytest.approx(3 * (4 / n) / 2)


@pytest.mark.parametrize("options", [*PENALISED, {"label_noise": 0.3}, {"augment": ALL_KINDS}])
def test_a_samples_numbers_do_not_hang_on_its_batch(options: dict[str, Any]) -> None:
    critic = judge(**options)
    real, fake, batch = pictures()
    whole = critic.discriminator_loss(real, fake, batch)
    alone = [
        critic.discriminator_loss(real[n : n + 1], fake[n : n + 1], part(batch, n))
        for n in range(4)
    ]
    torch.testing.assert_close(whole, torch.stack(alone).mean())
    again = critic.discriminator_loss(real, fake, batch)
    assert torch.equal(whole, again)
    other = critic.discriminator_loss(real, fake, Batch({}, batch.seeds + 1000))
    assert (other != whole) or "r1" in options


@pytest.mark.parametrize("options", PENALISED)
def test_penalties_are_the_same_under_autocast(options: dict[str, Any]) -> None:
    critic = judge(**options)
    real, fake, batch = pictures()
    critic.discriminator_loss(real, fake, batch)
    alone = critic.report()["penalty"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = critic.discriminator_loss(real, fake.bfloat16().float(), batch)
    inside = critic.report()["penalty"]
    assert loss.dtype == torch.float32
    torch.testing.assert_close(inside, alone, rtol=1e-3, atol=0)
    for gradient in gradients(loss, critic):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("options", PENALISED[::2])
def test_a_compiled_network_can_be_penalised(options: dict[str, Any]) -> None:
    critic, plain = judge(**options), judge(**options)
    real, fake, batch = pictures(1)
    critic.network.compile(backend="aot_eager")
    loss = critic.discriminator_loss(real, fake, batch)
    expected = plain.discriminator_loss(real, fake, batch)
    for one, other in zip(gradients(loss, critic), gradients(expected, plain), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


class Hurried(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses to fetch a value, or a number of values, from any tensor but one."""

    def __init__(self, free: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.free = free.untyped_storage().data_ptr()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            assert args[0].untyped_storage().data_ptr() == self.free, func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_waits_for_the_device(name: str) -> None:
    """On a GPU a value is fetched after all work before it; only seeds are on the CPU."""
    smooth: dict[str, Any] = {"label_noise": 0.1, "r1": 1.0} if name in NAMES[:3] else {}
    critic = judge(adversarial=name, augment=ALL_KINDS, **smooth)
    real, fake, batch = pictures()
    with Hurried(batch.seeds):
        critic.discriminator_loss(real, fake, batch).backward()  # type: ignore[no-untyped-call]
        critic.generator_loss(fake.requires_grad_(), real, batch)
        critic.settle()
        report = critic.report()
        with pytest.raises(AssertionError):
            report["above"].item()


def test_lazy_r1_weighs_as_much_as_an_eager_one() -> None:
    network = nn.Conv2d(3, 1, 1)
    critic = judge(network, adversarial="non-saturating", r1=2.0, r1_every=4)
    plain = judge(network, adversarial="non-saturating")
    real, fake, batch = pictures()
    base, extra = plain.discriminator_loss(real, fake, batch).item(), []
    for _ in range(8):
        loss = [critic.discriminator_loss(real, fake, batch).item() for _ in range(2)]
        assert loss[0] == loss[1]  # micro-batches of one turn are alike
        extra.append(loss[0] - base)
        critic.settle()
    # Of the mean over 256 pixels the slope is the weight / 256 at each of them.
    eager = 2.0 * network.weight.square().sum().item() / 256 / 2
    assert extra == pytest.approx([4 * eager, 0, 0, 0] * 2, rel=1e-3, abs=1e-6)


def test_the_turn_is_remembered() -> None:
    critic, other = judge(r1=1.0, r1_every=3), judge(r1=1.0, r1_every=3)
    real, fake, batch = pictures()
    for _ in range(2):
        critic.discriminator_loss(real, fake, batch)
        critic.settle()
    other.load_state_dict(critic.state_dict())
    for _ in range(2):
        losses = [c.discriminator_loss(real, fake, batch) for c in (critic, other)]
        assert torch.equal(*losses)
        for one in (critic, other):
            one.settle()
    assert torch.equal(critic.report()["above"], other.report()["above"])


def test_wgan_clips_after_each_step() -> None:
    critic = judge(adversarial="wgan", weight_clip=0.05)
    assert max(p.abs().max().item() for p in critic.parameters()) > 0.05
    critic.settle()
    assert max(p.abs().max().item() for p in critic.parameters()) == pytest.approx(0.05)


def test_the_balance_of_began_is_in_the_checkpoint() -> None:
    critic, other = (judge(adversarial="began", diversity=1, balance_rate=0.1) for _ in range(2))
    real, fake, batch = pictures()
    critic.discriminator_loss(real, fake, batch)
    critic.settle()
    other.load_state_dict(critic.state_dict())
    assert critic.report()["balance"] > 0
    assert torch.equal(
        critic.discriminator_loss(real, fake, batch), other.discriminator_loss(real, fake, batch)
    )


def test_began_scores_by_the_error_of_reconstruction() -> None:
    critic = Discriminator(
        nn.Identity(), AdversarialOptions(adversarial="began"), reconstructs=True
    )
    real, _, _ = pictures()
    assert torch.equal(critic(real), torch.zeros(4))
    critic.network = nn.Tanh()
    torch.testing.assert_close(critic(real), -(real - real.tanh()).abs().mean((1, 2, 3)))


def test_the_report_says_how_often_real_is_above_fake() -> None:
    critic = judge(nn.Identity())
    batch = Batch({}, torch.arange(4))
    assert critic.report() == {}
    critic.discriminator_loss(torch.tensor([1.0, 1, 1, 0]), torch.zeros(4), batch)  # 3 and a tie
    assert critic.report()["above"].item() == pytest.approx(3.5 / 4)
    for real in (1.0, -1.0, -1.0):
        critic.discriminator_loss(torch.full((4,), real), torch.zeros(4), batch)
    assert critic.report()["above"].item() == pytest.approx(1 / 3)
    assert critic.report() == {}


def test_swapped_labels_swap_the_scores_of_a_share() -> None:
    critic = judge(nn.Identity(), adversarial="lsgan", label_noise=0.25)
    batch = Batch({}, torch.arange(2000))
    # Right labels cost nothing, wrong ones (1 + 1) / 2.
    loss = critic.discriminator_loss(torch.ones(2000), torch.zeros(2000), batch)
    assert loss.item() == pytest.approx(0.25, abs=0.03)
    assert critic.report()["above"].item() == 1  # which are known all the same


def test_relativistic_players_compare_their_scores() -> None:
    """Of LSGAN's differences real ones should be 1, fake ones -1."""
    critic = judge(nn.Identity(), adversarial="lsgan", relativistic=True)
    real, fake, batch = (
        torch.full((2, 1), 0.5),
        torch.full((2, 1), 0.25),
        Batch({}, torch.arange(2)),
    )
    judged = critic.discriminator_loss(real, fake, batch)
    assert judged.item() == pytest.approx((0.25 - 1) ** 2 + (-0.25 + 1) ** 2)
    made = critic.generator_loss(fake, real, batch)
    assert made.item() == pytest.approx((-0.25 - 1) ** 2 + (0.25 + 1) ** 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lsgan", Optimizer(schedule="linear")),
        ("wgan", Optimizer("rmsprop", 5e-5, schedule="linear")),
        ("wgan-gp", Optimizer("adam", 1e-4, (0.0, 0.9), schedule="linear")),
        ("began", Optimizer("adam", 1e-4, schedule="linear")),
    ],
)
def test_players_learn_as_the_paper_has_it(name: str, expected: Optimizer) -> None:
    critic = judge(adversarial=name)
    assert critic.optimizer(Optimizer(schedule="linear")) == expected
    assert critic.updates == (5 if name in ("wgan", "wgan-gp") else 1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        *(
            ({"adversarial": name, "relativistic": True}, "relativistic has no place in " + name)
            for name in ("minimax", "wgan", "wgan-gp", "began")
        ),
        *(
            ({"adversarial": name, option: 0.1}, f"{option} has no place in {name}: its? ")
            for name in ("wgan", "wgan-gp", "hinge", "began")
            for option in ("label_smoothing", "label_noise")
        ),
        *(
            ({"adversarial": name, "r1": 1.0}, f"r1 has no place in {name}: ")
            for name in ("wgan", "wgan-gp", "dragan", "began")
        ),
        ({"gradient_penalty": 1.0}, "does nothing in lsgan; it is for wgan-gp, dragan"),
        ({"weight_clip": 1.0}, "does nothing in lsgan; it is for wgan"),
        ({"diversity": 0.7}, "does nothing in lsgan; it is for began"),
        ({"adversarial": "hinge", "balance_rate": 0.1}, "does nothing in hinge"),
    ],
)
def test_what_makes_no_sense_together_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        build(PatchGANOptions, values, what="options")
    assert "\n" not in str(caught.value)


def test_what_a_method_has_for_its_default_is_no_change() -> None:
    class Options(AdversarialOptions):
        gradient_penalty: float = 5.0

    assert Options().gradient_penalty == 5


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_network_that_cannot_play_is_refused(device: str) -> None:
    with torch.device(device):
        scores = PatchGAN(width=4, layers=1, norm="batch")
    for network, name, reconstructs, reason in (
        (scores, "began", False, "PatchGAN gives scores"),
        (Squeeze(), "hinge", True, "Squeeze reconstructs; choose began"),
        (scores, "wgan-gp", False, "batch norm in PatchGAN mixes pictures"),
    ):
        with pytest.raises(UsageError, match=reason):
            Discriminator(network, AdversarialOptions(adversarial=name), reconstructs=reconstructs)  # type: ignore[arg-type]


# What the discriminator sees


def chances(count: int) -> Tensor:
    return torch.rand(count, NUMBERS, generator=torch.Generator().manual_seed(2))


def test_gradients_pass_through_augmentation_to_saturated_pixels() -> None:
    images = torch.ones(8, 3, 16, 16).requires_grad_()
    changed, _ = augment(images, [], ("colour",), chances(8))
    assert changed.max() > 1
    (gradient,) = torch.autograd.grad(changed[:, 0].square().sum(), images)
    assert (gradient[:, 0] != 0).all()


def test_colours_change_as_published() -> None:
    images = torch.tensor([0.5, -0.5]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    for chance, expected in (
        ((0.75, 0.5, 0.5), (0.75, -0.25)),  # brighter by a quarter
        ((0.5, 0.0, 0.5), (0.0, 0.0)),  # without colour
        ((0.5, 1.0, 0.5), (1.0, -1.0)),  # with twice as much of it
        ((0.5, 0.5, 0.0), (0.25, -0.25)),  # with half of the contrast
    ):
        numbers = torch.tensor([[*chance, 0, 0, 0, 0]])
        changed, _ = augment(images, [], ("colour",), numbers)
        assert changed[0, :, 1, 1].tolist() == pytest.approx(expected)


def test_pictures_move_by_whole_pixels_each_on_its_own() -> None:
    images = torch.rand(16, 1, 16, 16) + 1
    moved, _ = augment(images, [], ("translation",), chances(16))
    places = set()
    for before, after in zip(images, moved, strict=True):
        found = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if torch.equal(after, shifted(before, dy, dx))
        ]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 8


def shifted(image: Tensor, dy: int, dx: int) -> Tensor:
    """Return (1, H, W) moved down by dy and right by dx, with zeros coming in."""
    out = torch.zeros_like(image)
    h, w = image.shape[1:]
    out[:, max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = image[
        :, max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
    ]
    return out


def test_at_most_a_quarter_is_cut_out() -> None:
    cut, _ = augment(torch.ones(64, 1, 16, 16), [], ("cutout",), chances(64))
    missing = (cut == 0).float().mean((1, 2, 3))
    assert missing.max() == 0.25
    assert 1 / 16 <= missing.min() < 0.15  # in a corner
    assert len({tuple(row.flatten().tolist()) for row in cut}) > 50


def test_conditions_that_are_pictures_stay_aligned_but_keep_their_colours() -> None:
    images = torch.rand(4, 3, 16, 16)
    label, number = torch.ones(4, 1, 16, 16), torch.arange(4)
    for kinds, unchanged in ((("translation", "cutout"), False), (("colour",), True)):
        seen, (its_label, its_number) = augment(images, [label, number], kinds, chances(4))  # type: ignore[arg-type]
        assert its_number is number
        assert torch.equal(its_label, label) == unchanged
        if not unchanged:
            assert torch.equal(its_label == 0, (seen == 0).all(1, keepdim=True))


def test_real_and_fake_are_changed_differently() -> None:
    critic = judge(nn.Identity(), augment=ALL_KINDS)
    real, _, batch = pictures()
    seen: list[Tensor] = []
    critic.network.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    critic.discriminator_loss(real, real, batch)
    one, other = seen[0].chunk(2)
    assert (one != other).any()
    assert (seen[0] == 0).any()


def test_without_augmentation_pictures_are_as_they_were() -> None:
    critic = judge(nn.Identity())
    real, fake, batch = pictures()
    seen: list[Tensor] = []
    critic.network.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    critic.discriminator_loss(real, fake, batch)
    assert torch.equal(seen[0], torch.cat([real, fake]))


class Brightness(nn.Module):
    """Scores pictures, and sees how bright they are."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(x).mean((2, 3)), x.mean((1, 2, 3))


@pytest.mark.parametrize("options", [{}, {"relativistic": True}, {"r1": 1.0}])
def test_what_else_a_network_sees_can_be_learned_from(options: dict[str, Any]) -> None:
    critic = judge(Brightness(), **options)
    real, fake, batch = pictures()
    seen: list[Tensor] = []

    def auxiliary(sees: Tensor) -> Tensor:
        seen.append(sees)
        return 7 + sees.sum() * 0

    for losses, wanted in ((critic.discriminator_loss, real), (critic.generator_loss, fake)):
        images = (real, fake) if wanted is real else (fake, real)
        more, less = losses(*images, batch, auxiliary=auxiliary), losses(*images, batch)
        assert float((more - less).detach()) == pytest.approx(7, rel=1e-4)
        assert torch.equal(seen.pop(), wanted.mean((1, 2, 3)))
    assert torch.equal(critic(real), critic.network(real)[0])
    assert torch.equal(critic.uncompiled(real), critic(real))


def test_what_nobody_sees_cannot_be_learned_from() -> None:
    real, fake, batch = pictures()
    for losses in (judge().discriminator_loss, judge().generator_loss):
        with pytest.raises(ValueError, match="returns scores alone"):
            losses(real, fake, batch, auxiliary=lambda sees: sees.sum())
