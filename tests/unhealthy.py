"""Small trainings that go wrong, each in one way, for the alarms; and one that goes well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from tiny import plan, save_picture
from translate import (
    AdversarialOptions,
    Batch,
    Discriminator,
    Export,
    Facts,
    Method,
    Optimizer,
    Phase,
    Settings,
    Step,
)
from translate.training.run import Run

SIZE = 16
CODE = 8

PLUGIN = """
@hookimpl
def register_methods(register):
    for name, kind in (("doodle", "Doodle"), ("duel", "Duel"), ("mirror", "Mirror")):
        register(
            name=name, summary="a small one", source="image" if name == "mirror" else "noise",
            data="unpaired", factory=f"unhealthy:{kind}",
        )
"""

# The alarm that a fault should give -> the method and the settings that bring the fault about.
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "discriminator-too-strong": (
        "doodle",
        {
            "adversarial": "non-saturating",
            "training.players.discriminator.lr": 0.05,
            "training.players.generator.lr": 1e-5,
        },
    ),
    "discriminator-too-weak": ("doodle", {"training.players.discriminator.lr": 0}),
    "vanishing-gradient": (
        "doodle",
        {"adversarial": "minimax", "training.players.discriminator.lr": 0.05},
    ),
    "mode-collapse": ("doodle", {"forgets": 600}),
    "oscillation": ("duel", {"adversarial": "wgan", "weight_clip": 100}),
    "colour-inversion": ("mirror", {}),
    "diverged": ("doodle", {"training.players.generator.lr": 1e38}),
}
HEALTHY: tuple[str, dict[str, Any]] = ("doodle", {})
# A line every 5 steps; a fault must last 120 images, a twentieth of the run.
TRAINING = {"images": 2400, "batch_size": 8, "log_every": 40, "sample_every": 10**6}


class Maker(nn.Module):
    """Maps a code (N, 8) to a picture (N, 3, 16, 16), and may stop listening to the code."""

    deaf: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(CODE, 64), nn.LeakyReLU(0.2), nn.Linear(64, 3 * SIZE**2), nn.Tanh()
        )
        self.register_buffer("deaf", torch.zeros((), dtype=torch.bool))

    def forward(self, code: Tensor) -> Tensor:
        out: Tensor = self.layers(code * ~self.deaf)
        return out.view(-1, 3, SIZE, SIZE)


class DoodleOptions(AdversarialOptions):
    forgets: int = Field(default=0, ge=0, description="images until it ignores codes; 0: never")


class Doodle(Method[DoodleOptions]):
    """Small pictures from noise."""

    Options = DoodleOptions

    def __init__(self, options: DoodleOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        maker, judge = self.networks()
        self.maker, self.critic = maker, Discriminator(judge, options)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        judge = nn.Sequential(
            nn.Flatten(), nn.Linear(3 * SIZE**2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)
        )
        return Maker(), judge

    @classmethod
    def data(cls, options: DoodleOptions) -> Mapping[str, object]:
        return {"domains": ("a",), "minimum": SIZE}

    def phases(self) -> Sequence[Phase]:
        learn = self.critic.optimizer(Optimizer(lr=1e-3))
        return [
            Phase("generator", [self.maker], self.maker_losses, learn),
            Phase("discriminator", [self.critic], self.critic_losses, learn),
        ]

    def made(self, batch: Batch) -> Tensor:
        out: Tensor = self.maker(batch.noise(CODE).to(batch["a"].device))
        return out

    def maker_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        if isinstance(self.maker, Maker) and self.options.forgets:
            self.maker.deaf.fill_(step.images >= self.options.forgets)
        made = self.made(batch)
        step.keep(made=made)
        return {"adversarial": self.critic.generator_loss(made, batch["a"], batch)}

    def critic_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        made = step.recall("made", lambda: self.made(batch))
        return {"critic": self.critic.discriminator_loss(batch["a"], made, batch)}

    def exports(self) -> Mapping[str, Export]:
        return {"maker": Export(self.maker, {}, like="a")}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        device = next(network.parameters()).device
        out: Tensor = network(source.noise(CODE).to(device))
        return out


class Grey(nn.Module):
    """Gives stripes for a code, on a grey that gets brighter or darker as it learns."""

    stripes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(-0.9))
        waves = torch.arange(1, CODE + 1)[:, None] * torch.linspace(0, 6.28, SIZE + 1)[:-1]
        self.register_buffer("stripes", 0.1 * torch.sin(waves))  # (8, 16), each of mean 0

    def forward(self, code: Tensor) -> Tensor:
        return self.level + (code @ self.stripes)[:, None, None].expand(-1, 3, SIZE, SIZE)


class Balance(nn.Module):
    """Scores a picture by its brightness, times what it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.1))

    def forward(self, images: Tensor) -> Tensor:
        return self.slope * images.flatten(1).mean(1)


class Duel(Doodle):
    """f(x, y) = xy: the plainest game in which both players' steps lead in circles."""

    def networks(self) -> tuple[nn.Module, nn.Module]:
        return Grey(), Balance()

    def phases(self) -> Sequence[Phase]:
        learn = Optimizer(lr=0.02, betas=(0.0, 0.9))
        return [
            Phase("generator", [self.maker], self.maker_losses, learn),
            Phase("discriminator", [self.critic], self.critic_losses, learn, updates=1),
        ]


class Mirror(Method[Settings]):
    """Should leave pictures alone, begins by inverting them, and learns too slowly to mend it."""

    def __init__(self, options: Settings, facts: Facts) -> None:
        super().__init__(options, facts)
        self.maker = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.maker.weight.copy_(-torch.eye(3)[:, :, None, None])
            nn.init.zeros_(self.maker.bias)  # type: ignore[arg-type]

    @classmethod
    def data(cls, options: Settings) -> Mapping[str, object]:
        return {"domains": ("a",)}

    def phases(self) -> Sequence[Phase]:
        return [Phase("generator", [self.maker], self.losses, Optimizer(lr=1e-6))]

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"same": (self.maker(batch["a"]) - batch["a"]).abs().mean()}

    def exports(self) -> Mapping[str, Export]:
        return {"maker": Export(self.maker, {"image": "a"}, like="a")}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        out: Tensor = network(source["image"])
        return out


def begin(
    folder: Path, data: Path, method: str, settings: Mapping[str, Any], *, resume: bool = False
) -> Run:
    """Return a run that has not begun, or has stopped."""
    values: dict[str, Any] = {f"training__{name}": value for name, value in TRAINING.items()}
    for name, value in settings.items():
        group, _, rest = name.partition(".")
        if rest.startswith("players."):
            _, phase, key = rest.split(".")
            players = values.setdefault("training__players", {})
            players.setdefault(phase, {})[key] = value
        else:
            values[f"{group}__{rest}" if rest else name] = value
    return Run(folder, plan(data, method, **values), device="cpu", resume=resume)


def pictures(folder: Path, count: int = 24) -> Path:
    """Write smooth pictures of very different colours."""
    for number in range(count):
        save_picture(folder / f"{number:02}.png", number, (SIZE, SIZE))
    return folder
