"""CUT and FastCUT, after Park et al. 2020, arXiv:2007.15651.

A patch of the output should say which patch of the input it was made from. So the features of an
output patch must be nearer to those of the input patch at its place than to those of the picture's
other patches. That takes no second generator, and no way back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from translate import (
    Batch,
    Discriminator,
    Export,
    Facts,
    Fit,
    Method,
    Optimizer,
    PatchGANOptions,
    Phase,
    Step,
)
from translate.networks import (
    Downsample,
    PatchGAN,
    ResidualBlock,
    ResnetGenerator,
    Upsample,
    features,
    initialise,
)

_FLIPS = 7  # the stream of a batch's noise that decides them; a depth's positions have its number


class CUTOptions(PatchGANOptions):
    """The published values are the defaults."""

    width: int = Field(default=64, ge=4, le=256, description="generator's channels after the stem")
    blocks: int = Field(default=9, ge=3, le=32, description="residual blocks; 6 for 128 pixels")
    norm: Literal["instance", "batch"] = Field(
        default="instance", description="normalisation in the generator"
    )
    downsample: Downsample = Field(
        default="blur", description="in both networks; strided is faster, and minds shifts"
    )
    upsample: Upsample = Field(default="blur", description="in the generator")
    nce_weight: float = Field(
        default=1.0, ge=0, description="of keeping each patch's content; more changes less"
    )
    identity_weight: float = Field(
        default=1.0, ge=0, description="of the same on side B, which should stay as it is"
    )
    flip: bool = Field(
        default=False, description="mirror half of the inputs, and their features back"
    )
    patches: int = Field(default=256, ge=2, le=4096, description="compared at each depth")
    features: int = Field(default=256, ge=1, le=4096, description="numbers that describe a patch")
    temperature: float = Field(
        default=0.07, gt=0, le=1, description="less looks harder at the most similar patches"
    )


class FastCUTOptions(CUTOptions):
    """What FastCUT does otherwise."""

    nce_weight: float = Field(
        default=10.0, ge=0, description="of keeping each patch's content; more changes less"
    )
    identity_weight: float = Field(default=0.0, ge=0, description="of the same on side B")
    flip: bool = Field(
        default=True, description="mirror half of the inputs, and their features back"
    )


class CUT(Method[CUTOptions]):
    """One generator, its discriminator, and a head for each depth of features."""

    Options = CUTOptions

    def __init__(self, options: CUTOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        w, channels = options.width, facts.channels
        self.generator = initialise(
            ResnetGenerator(
                (channels, channels),
                widths=(w, 2 * w, 4 * w),
                blocks=options.blocks,
                norm=options.norm,
                downsample=options.downsample,
                upsample=options.upsample,
            )
        )
        critic = PatchGAN(
            channels,
            width=options.critic_width,
            layers=options.critic_layers,
            downsample=options.downsample,
            spectral=options.critic_spectral,
            dropout=options.critic_dropout,
        )
        self.critic = Discriminator(initialise(critic), options)
        # The pixels, both halving convolutions, the first and the fifth block.
        named = self.generator.named_modules()
        blocks = [name for name, module in named if isinstance(module, ResidualBlock)]
        self.layers = ["stages.down1.0", "stages.down2.0", blocks[0], blocks[:5][-1]]
        depths = (channels, 2 * w, 4 * w, 4 * w, 4 * w)
        self.heads = initialise(nn.ModuleList(Head(d, options.features) for d in depths))

    @classmethod
    def data(cls, options: CUTOptions) -> Mapping[str, object]:
        return {"multiple_of": 4, "minimum": max(16, 3 * 2**options.critic_layers)}

    def phases(self) -> Sequence[Phase]:
        learn = self.critic.optimizer(Optimizer(schedule="linear"))
        return [
            Phase("generator", [self.generator, self.heads], self.generator_losses, learn),
            Phase("discriminator", [self.critic], self.critic_losses, learn),
        ]

    def generator_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        a, b, o = batch["a"], batch["b"], self.options
        mirrored = (batch.noise(1, stream=_FLIPS)[:, 0].to(a.device) > 0) & o.flip  # (N,)
        fake = self.generator(mirror(a, mirrored))
        step.keep(fake=fake)
        terms = {
            "adversarial": self.critic.generator_loss(fake, b, batch),
            "nce": o.nce_weight * self.contrast(fake, a, batch, mirrored),
        }
        if o.identity_weight:
            same = self.contrast(self.generator(b), b, batch, torch.zeros_like(mirrored))
            terms["identity"] = o.identity_weight * same
        return terms

    def contrast(self, made: Tensor, source: Tensor, batch: Batch, mirrored: Tensor) -> Tensor:
        """Return the mean over depths of PatchNCE between (N, C, H, W) and what it is made of."""
        losses = []
        pairs = zip(self.encode(made), self.encode(source), self.heads, strict=True)
        for depth, (query, key, head) in enumerate(pairs):
            positions = key.shape[2] * key.shape[3]
            count = min(self.options.patches, positions)
            noise = batch.noise(positions, stream=depth)  # each sample's own, reproducibly
            places = noise.topk(count).indices.to(key.device)  # (N, S), none of them twice
            query, key = head(mirror(query, mirrored), places), head(key, places)
            losses.append(patch_nce(query, key.detach(), self.options.temperature))
        return torch.stack(losses).mean()

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return (N, C, H, W) and its features inside the generator, depth by depth."""
        return [images, *features(self.generator, images, self.layers)]

    def critic_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        fake = step.recall("fake", lambda: self.generator(batch["a"]))
        return {"b": self.critic.discriminator_loss(batch["b"], fake, batch)}

    def exports(self) -> Mapping[str, Export]:
        mode = ("L", "L") if self.facts.channels == 1 else ("RGB", "RGB")
        return {"a2b": Export(self.generator, {"image": "a"}, like="b", mode=mode)}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        out: Tensor = network(source["image"])
        return out

    def fit(self, export: str) -> Fit:
        return Fit(multiple_of=4, minimum=16)


class FastCUT(CUT):
    """CUT without the identity term, but with ten times the weight and mirrored inputs."""

    Options = FastCUTOptions


class Head(nn.Module):
    """Describes patches by directions: features (N, C, H, W) at places (N, S) to (N, S, D)."""

    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(ins, outs), nn.ReLU(), nn.Linear(outs, outs))

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        at = places[:, None].expand(-1, x.shape[1], -1)  # (N, C, S)
        patches = x.flatten(2).gather(2, at).transpose(1, 2)  # (N, S, C)
        return F.normalize(self.layers(patches).float(), dim=2)


def patch_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """Return how badly each query tells its own key from the picture's others: a scalar.

    Args:
        query, key: (N, S, D) of length 1; a picture's S patches are compared with each other.
        temperature: what the similarities are divided by.

    Source: Park et al. 2020, arXiv:2007.15651, eq. 3 and 4.
    """
    with torch.autocast(query.device.type, enabled=False):  # a small temperature needs digits
        similar = query.float() @ key.float().transpose(1, 2) / temperature  # (N, S, S)
    right = torch.arange(similar.shape[1], device=similar.device).expand(similar.shape[:2])
    return F.cross_entropy(similar.flatten(0, 1), right.flatten())


def mirror(images: Tensor, which: Tensor) -> Tensor:
    """Return (N, C, H, W) with some of the N turned left to right: ``which`` is (N,) bool."""
    return torch.where(which[:, None, None, None], images.flip(3), images)
