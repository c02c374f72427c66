"""A small sound method, and others, each broken in one way, for the conformance kit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, field_validator
from torch import Tensor, nn

from translate import Batch, Export, Facts, Fit, Fixed, Method, Phase, Settings, Step


def sample(number: int, seed: int) -> Mapping[str, NDArray[np.uint8] | int | str]:
    """Return noise and its negative, with a label and a text."""
    a = np.random.default_rng((number, seed)).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    return {"a": a, "b": 255 - a, "label": number % 3, "caption": f"picture {number}"}


class TinyOptions(Settings):
    weight: float = Field(default=1.0, ge=0, le=100, description="of looking like b")


class Tiny(Method[TinyOptions]):
    """A convolutional maker, a judge, a teacher that is Fixed, and a memory."""

    Options = TinyOptions
    balance: Tensor

    def __init__(self, options: TinyOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.maker = self.network()
        self.judge = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(), nn.Conv2d(4, 1, 3))
        self.register_buffer("balance", torch.zeros(()))

    def network(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1), nn.Tanh()
        )

    def prepare(self) -> None:
        teacher = nn.Conv2d(3, 3, 1)
        nn.init.constant_(teacher.weight, -0.1)
        nn.init.zeros_(teacher.bias)  # type: ignore[arg-type]
        self.teacher = Fixed(teacher)

    def phases(self) -> Sequence[Phase]:
        return [
            Phase("maker", [self.maker], self.maker_losses),
            Phase("judge", [self.judge], self.judge_losses, after=self.remember),
        ]

    def maker_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        fake = self.maker(batch["a"])
        step.keep(fake=fake)
        far = (fake.float() - batch["b"]).abs().mean()
        taught = (fake.float() - self.teacher.network(batch["a"])).square().mean()
        fooled = (self.judge(fake).float() - 1).square().mean()
        return {"like": self.options.weight * far, "taught": taught, "judged": fooled}

    def judge_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        real, fake = self.judge(batch["b"]).float(), self.judge(step.kept["fake"]).float()
        return {"judge": (real - 1).square().mean() + fake.square().mean() * (1 + self.balance)}

    def remember(self, terms: Mapping[str, Tensor]) -> None:
        self.balance.lerp_(terms["judge"], 0.1)

    def exports(self) -> Mapping[str, Export]:
        return {"maker": Export(self.maker, {"image": "a"}, like="b")}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        out: Tensor = network(source["image"])
        return out

    def fit(self, export: str) -> Fit:
        return Fit(halo=2)


# What follows is broken: (the check that must say so, what it must say, the class).
BROKEN: list[tuple[str, str, type[Method[Any]]]] = []


def breaks(name: str, says: str) -> Any:
    def add(kind: type[Method[Any]]) -> type[Method[Any]]:
        BROKEN.append((name, says, kind))
        return kind

    return add


def _with_options(name: str, says: str, options: type[Settings]) -> None:
    members = {"Options": options, "__module__": __name__}
    breaks("options", says)(type(f"{name}Options", (Tiny,), members))


class Undescribed(TinyOptions):
    rate: float = Field(default=1.0, ge=0)


class Unbounded(TinyOptions):
    rate: float | None = Field(default=1.0, description="how fast")


class Lenient(TinyOptions):
    model_config = ConfigDict(extra="ignore")


class Changeable(TinyOptions):
    model_config = ConfigDict(frozen=False)


class Clamped(TinyOptions):
    @field_validator("weight", mode="before")
    @classmethod
    def _clamp(cls, value: float) -> float:
        return min(max(value, 0), 100)


class Lossy(TinyOptions):
    path: object = Field(default=(1, 2), description="a tuple, which JSON has not")


class Impossible(TinyOptions):
    weight: float = Field(default=-1.0, ge=0, description="below its own bound")


_with_options("Undescribed", "option rate has no description", Undescribed)
_with_options("Unbounded", "option rate is a number without bounds", Unbounded)
_with_options("Lenient", "unknown option is taken", Lenient)
_with_options("Changeable", "frozen=True", Changeable)
_with_options("Clamped", "option weight takes -1, although ge=0", Clamped)
_with_options("Lossy", "option path is (1, 2), but [1, 2]", Lossy)
_with_options("Impossible", "weight: Input should be greater than or equal to 0", Impossible)


@breaks("builds", "it cannot be built: ValueError: no such width")
class Unbuildable(Tiny):
    def network(self) -> nn.Module:
        raise ValueError("no such width")


@breaks("builds", "maker.0.weight differs between two methods built under the same seed")
class DrawnElsewhere(Tiny):
    def network(self) -> nn.Module:
        network = super().network()
        weight = network.get_parameter("0.weight")
        weight.data += torch.from_numpy(np.random.rand(*weight.shape)).float()
        return network


@breaks("exports", "exports() is empty")
class NothingExported(Tiny):
    def exports(self) -> Mapping[str, Export]:
        return {}


@breaks("exports", "maker: its network is none of the method's attributes")
class ForeignExport(Tiny):
    def exports(self) -> Mapping[str, Export]:
        return {"maker": Export(self.network(), {"image": "a"})}


@breaks("exports", "mode 'CMYK' is none of L, RGB, RGBA")
class UnknownMode(Tiny):
    def exports(self) -> Mapping[str, Export]:
        return {"maker": Export(self.maker, {"image": "a"}, mode=("RGB", "CMYK"))}


class Blurred(nn.Sequential):
    """A network with a constant kernel."""

    def __init__(self, network: nn.Module, *, persistent: bool | None) -> None:
        super().__init__(network)
        kernel = torch.full((3, 1, 1, 1), 0.9)
        if persistent is None:
            self.kernel = kernel
        else:
            self.register_buffer("kernel", kernel, persistent=persistent)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return nn.functional.conv2d(out, self.kernel.to(x.dtype), groups=3)


@breaks("meta", "nothing in the file gives kernel its values")
class NotPersistent(Tiny):
    def network(self) -> nn.Module:
        return Blurred(super().network(), persistent=False)


@breaks("meta", "kernel is a tensor that no bundle holds")
class NoBuffer(Tiny):
    def network(self) -> nn.Module:
        return Blurred(super().network(), persistent=None)


@breaks("meta", "it cannot be built without memory")
class ReadsItsWeights(Tiny):
    def __init__(self, options: TinyOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.first = next(self.maker.parameters()).mean().item()


@breaks("data", "there is no training field 'c', only a, b, label, caption")
class ReadsNothing(Tiny):
    def exports(self) -> Mapping[str, Export]:
        return {"maker": Export(self.maker, {"image": "c"})}


@breaks("data", "reads 'image' as L, but 'a' in training has 3 channels")
class ReadsGrey(Tiny):
    def exports(self) -> Mapping[str, Export]:
        return {"maker": Export(self.maker, {"image": "a"}, mode=("L", "RGB"))}


class OnOutput(Tiny):
    """Does something to the network's output, at run time only."""

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        return self.change(network(source["image"]), source)

    def change(self, out: Tensor, source: Batch) -> Tensor:
        return out


@breaks("output", "but the mode out is RGB: (2, 3, H, W)")
class OneChannel(OnOutput):
    def change(self, out: Tensor, source: Batch) -> Tensor:
        return out[:, :1]


@breaks("output", "32×16 pixels become 32×16, but Fit(")
class WrongScale(Tiny):
    def fit(self, export: str) -> Fit:
        return Fit(scale=2)


@breaks("output", "gives numbers that are not finite")
class NotFinite(OnOutput):
    def change(self, out: Tensor, source: Batch) -> Tensor:
        return out.sign() * out.abs().add(1).log() / (out * 0 + 0) * 0


@breaks("value range", "outside of [-1, 1]")
class Unlimited(Tiny):
    def network(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1))

    def fit(self, export: str) -> Fit:
        return Fit(halo=1)


@breaks("network", "translate() does not call the network it is given")
class RunsItsOwn(Tiny):
    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        out: Tensor = self.maker(source["image"])
        return out


@breaks("network", "lets no gradient through to the network's weights")
class Detached(OnOutput):
    def change(self, out: Tensor, source: Batch) -> Tensor:
        return out.detach()


@breaks("seeds", "the same seeds give outputs that differ by up to")
class Unseeded(OnOutput):
    def change(self, out: Tensor, source: Batch) -> Tensor:
        return (out + 0.1 * torch.randn(out.shape)).clamp(-1, 1)


@breaks("sizes", "1×1 pixels, padded as Fit(multiple_of=1")
class WrongMultiple(Tiny):
    def network(self) -> nn.Module:
        half = nn.Conv2d(3, 3, 2, stride=2)
        return nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)), half, nn.Upsample(scale_factor=2), nn.Tanh()
        )

    def fit(self, export: str) -> Fit:
        return Fit()


@breaks("sizes", "1×1 pixels, padded as Fit(multiple_of=1, minimum=1")
class WrongMinimum(Tiny):
    def network(self) -> nn.Module:
        return nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(3, 3, 3), nn.Tanh())

    def fit(self, export: str) -> Fit:
        return Fit()


@breaks("batches", "three items at once differ from one by one by up to")
class LooksAtOthers(OnOutput):
    def change(self, out: Tensor, source: Batch) -> Tensor:
        return (out - out.mean(0)).clamp(-1, 1)


@breaks("tiles", "a tile with halo=1 differs from the whole")
class SmallHalo(Tiny):
    def fit(self, export: str) -> Fit:
        return Fit(halo=1)


@breaks("tiles", "None if all of the picture matters")
class Normalised(Tiny):
    def network(self) -> nn.Module:
        return nn.Sequential(nn.InstanceNorm2d(3), super().network())

    def fit(self, export: str) -> Fit:
        return Fit(halo=2, minimum=4)


@breaks("bundle", "nothing beside it (as the method's own balance, tint are)")
class KeptBesideTheNetwork(OnOutput):
    tint: Tensor

    def __init__(self, options: TinyOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.register_buffer("tint", torch.full((3, 1, 1), 0.5))

    def change(self, out: Tensor, source: Batch) -> Tensor:
        return out * self.tint


class Extra(nn.Conv2d):
    def get_extra_state(self) -> dict[str, int]:
        return {"seen": 0}

    def set_extra_state(self, state: dict[str, int]) -> None:
        pass


@breaks("meta", "0._extra_state in its state dict is no tensor")
class NotOnlyTensors(Tiny):
    def network(self) -> nn.Module:
        return nn.Sequential(Extra(3, 3, 3, padding=1), nn.Tanh())


@breaks("bundle", "its weights cannot be saved: RuntimeError")
class TiedWeights(Tiny):
    def network(self) -> nn.Module:
        one, two = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        two.weight = one.weight
        return nn.Sequential(one, two, nn.Tanh())


class Cancelling(nn.Conv2d):
    """Loses in bf16 all that it computes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1002 - 1002


@breaks("bf16", "in bf16 the output is")
class Cancels(Tiny):
    def network(self) -> nn.Module:
        return nn.Sequential(Cancelling(3, 3, 3, padding=1), nn.Tanh())


class Constant(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight.to(x.dtype) * torch.ones(1), padding=1)


@breaks("bf16", "maker: fails in bf16")
class MixesTypes(Tiny):
    def network(self) -> nn.Module:
        return nn.Sequential(Constant(3, 3, 3, padding=1), nn.Tanh())
