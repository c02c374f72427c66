"""An embedding of pictures and captions that learns from real ones in a minute."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate import TranslateError
from translate.pipeline import shuffled
from translate_text2image.networks import Eyes
from translate_text2image.text import TextEncoder, alike, matching_loss

_WIDTH = 96  # numbers that a picture and a caption become
_LAYERS = 2
_RATE = 2e-3  # at its highest
_AT_ONCE = 256


class JointEmbedding(nn.Module):
    """Puts a picture near its caption.

    Args:
        side: of the pictures.
        width: channels that they are first seen in.
    """

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.text = TextEncoder(_WIDTH, layers=_LAYERS)
        self.eyes = Eyes(_WIDTH, channels=3, size=side, width=width, residual=False)

    @torch.inference_mode()
    def texts(self, captions: Sequence[str]) -> Tensor:
        """Return what captions say: (N, D) on the CPU, rows of length 1."""
        parts = [captions[at : at + _AT_ONCE] for at in range(0, len(captions), _AT_ONCE)]
        return torch.cat([F.normalize(self.text.read(some).float(), dim=1).cpu() for some in parts])

    @torch.inference_mode()
    def pictures(self, pixels: Tensor) -> Tensor:
        """Return what pictures (N, 3, S, S) uint8 show: (N, D) on the CPU, rows of length 1."""
        return torch.cat(
            [
                F.normalize(self.eyes(self.images(some))[1].float(), dim=1).cpu()
                for some in torch.split(pixels, _AT_ONCE)
            ]
        )

    def images(self, pixels: Tensor) -> Tensor:
        """Return pixels in bytes as images in [-1, 1], where the weights are."""
        moved = pixels.to(self.eyes.sharpness.device).float().div_(127.5).sub_(1)
        return moved.contiguous(memory_format=torch.channels_last)


def train(
    pictures: Sequence[Tensor],
    captions: Sequence[str],
    *,
    images: int,
    batch_size: int,
    width: int,
    seed: int,
    device: torch.device,
) -> JointEmbedding:
    """Return an embedding that has learned which captions belong to which pictures, evaluating.

    Args:
        pictures: N of (3, S, S) uint8.
        captions: N of them, of which two at least differ.
        images: how many it sees, whole batches, one after the other in shuffled passes.
        width: channels that pictures are first seen in.

    Raises:
        TranslateError: if all captions are the same.
    """
    if len(set(captions)) < 2:
        raise TranslateError("no two real pictures to learn from have different captions")
    count = min(batch_size, len(captions))
    steps = math.ceil(images / count)
    with torch.random.fork_rng([]):  # all weights are drawn on the CPU
        torch.manual_seed(seed)
        embedding = JointEmbedding(pictures[0].shape[1], width)
    embedding.to(device).to(memory_format=torch.channels_last)
    embedding.train()
    optimizer = torch.optim.AdamW(embedding.parameters(), _RATE, betas=(0.9, 0.99))
    # torch divides by the steps of the rise, less one: of ten steps in all that would be by 0.
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _RATE, total_steps=max(steps, 11), cycle_momentum=False, pct_start=0.1
    )
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    for step in range(steps):
        places = [shuffled(step * count + n, len(captions), seed) for n in range(count)]
        said = [captions[place] for place in places]
        shown = embedding.images(torch.stack([pictures[place] for place in places]))
        with torch.autocast(device.type, torch.bfloat16, enabled=fast):
            texts, seen = embedding.text.read(said), embedding.eyes(shown)[1]
        loss, _ = matching_loss(texts, seen, alike(said, shown), embedding.eyes.sharpness)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rates.step()
    return embedding.eval()
