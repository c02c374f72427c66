"""Captions become numbers: their bytes, read by a small transformer.

A vocabulary of bytes is part of the network itself: any caption can be read, in any script, and
there is no list of words to be kept beside the weights.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BYTES = 256
_EMPTY = 256  # behind a caption's end
_TOKENS = 257
_SHARPEST = math.log(100)  # as in CLIP, too
_NEAR = 7  # bytes that are looked at together at first
_STEP = 16  # lengths are multiples of it, so that compiled networks see few of them


def plain(caption: str) -> str:
    """Return a caption without what does not change its meaning: case, spaces, composition."""
    return unicodedata.normalize("NFC", " ".join(caption.casefold().split()))


def as_tokens(captions: Sequence[str], longest: int) -> Tensor:
    """Return captions as the bytes of their UTF-8, (N, T) int64 with T a multiple of 16.

    Args:
        longest: in bytes; what is longer is cut between two characters.
    """
    rows = []
    for caption in captions:
        # A lone surrogate, which comes of broken input, is no character: it is read as "?".
        start = plain(caption).encode(errors="replace")[:longest]
        rows.append(list(start.decode(errors="ignore").encode()))
    length = max(1, *map(len, rows))
    length += -length % _STEP
    return torch.tensor([row + [_EMPTY] * (length - len(row)) for row in rows])


class TextEncoder(nn.Module):
    """Reads captions as tokens: (N, T) to (N, width), each row of length √width.

    Args:
        width: numbers that a caption becomes; a multiple of 32, the width of a head.
        layers: of the transformer.
        longest: bytes of a caption that are read.

    Source: Vaswani et al. 2017, arXiv:1706.03762, with norms in front (Xiong et al. 2020,
    arXiv:2002.04745); bytes as in Xue et al. 2021, arXiv:2105.13626.
    """

    def __init__(self, width: int = 128, *, layers: int = 3, longest: int = 128) -> None:
        super().__init__()
        self.width, self.longest = width, longest + -longest % _STEP
        self.tokens = nn.Embedding(_TOKENS, width)
        self.places = nn.Parameter(torch.randn(self.longest, width) * 0.02)
        self.near = nn.Conv1d(width, width, _NEAR, padding=_NEAR // 2)
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def read(self, captions: Sequence[str]) -> Tensor:
        """Return what N strings say: (N, width)."""
        tokens = as_tokens(captions, self.longest).to(self.places.device, non_blocking=True)
        told: Tensor = self(tokens)
        return told

    def forward(self, tokens: Tensor) -> Tensor:
        there = tokens != _EMPTY  # (N, T)
        x = self.tokens(tokens) * there[..., None]  # (N, T, width)
        # Bytes mean something with those beside them: attention is slow to find that out.
        x = x + F.gelu(self.near(x.transpose(1, 2)).transpose(1, 2))
        x = x + self.places[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, there)
        shares = there / there.sum(1, keepdim=True).clamp(min=1)  # an empty caption has none
        told: Tensor = self.out((self.norm(x) * shares[..., None].to(x.dtype)).sum(1))
        return rescaled(told.float())


def rescaled(texts: Tensor) -> Tensor:
    """Return (N, D) with rows of length √D, so that each number is about 1 in size."""
    return F.normalize(texts, dim=1) * math.sqrt(texts.shape[1])


class Layer(nn.Module):
    """One layer of a transformer: (N, T, width) to the same; nothing looks at empty places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // 32
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.look, self.answer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        parts = self.look(self.first(x)).unflatten(2, (3, self.heads, -1))  # (N, T, 3, heads, 32)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        # An empty caption's places look at each other, since a softmax of nothing is no number.
        mask = (there | ~there.any(1, keepdim=True))[:, None, None]  # (N, 1, 1, T)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.answer(seen.transpose(1, 2).flatten(2))
        out: Tensor = x + self.think(self.second(x))
        return out


class PictureEncoder(nn.Module):
    """What captions learn from: pictures (N, C, S, S) to (N, width), the same numbers as theirs.

    Args:
        size: S, at least 8.
        base: channels after the first halving; they double to eight times as many.

    Attributes:
        sharpness: the logarithm of what cosines are multiplied by, learned as in CLIP (Radford
            et al. 2021, arXiv:2103.00020).
    """

    def __init__(self, channels: int, size: int, width: int, *, base: int = 32) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        ins, level = channels, 0
        while size > 4:
            outs = base * min(2**level, 8)
            parts += [nn.Conv2d(ins, outs, 4, 2, 1, bias=False), nn.BatchNorm2d(outs)]
            parts.append(nn.LeakyReLU(0.2, True))
            ins, size, level = outs, size // 2, level + 1
        self.layers = nn.Sequential(*parts)
        self.out = nn.Linear(ins * size**2, width)
        self.sharpness = nn.Parameter(torch.tensor(math.log(10)))

    def forward(self, images: Tensor) -> Tensor:
        seen: Tensor = self.out(self.layers(images).flatten(1))
        return seen


def alike(captions: Sequence[str], images: Tensor) -> Tensor:
    """Return which captions say the same as which pictures', (M, N) bool on the images' device.

    Args:
        captions: M of them, N at least; the first N belong to the pictures.
        images: (N, C, H, W). Where two are the same, so is what is said of them.
    """
    numbers = {text: place for place, text in enumerate(map(plain, captions))}
    said = torch.tensor([numbers[plain(text)] for text in captions], device=images.device)
    means = F.adaptive_avg_pool2d(images, 4).flatten(1)  # (N, 16 C): different pictures' differ
    shown = (means[:, None] == means).all(2)
    same = said[:, None] == said[: len(images)]
    same[: len(images)] |= shown
    return same


def matching_loss(
    texts: Tensor, pictures: Tensor, same: Tensor, sharpness: Tensor
) -> tuple[Tensor, Tensor]:
    """Return how badly captions and pictures find each other, and how often they do: two scalars.

    Args:
        texts: (M, D), M ≥ N. Row i belongs to row i of the pictures; those behind belong to none,
            and are more wrong answers (Yuksekgonul et al. 2022, arXiv:2210.01936, section 4).
        pictures: (N, D).
        same: (M, N), which belong together as well: these are no wrong answers.
        sharpness: the logarithm of what cosines are multiplied by.

    Source: the sentences' part of DAMSM (Xu et al. 2018, arXiv:1711.10485, eq. 10 to 12), which
    takes the place of Reed et al.'s structured joint embedding.
    """
    cosines = F.normalize(texts.float(), dim=1) @ F.normalize(pictures.float(), dim=1).T
    own = torch.eye(*cosines.shape, dtype=torch.bool, device=texts.device)
    scores = sharpness.clamp(max=_SHARPEST).exp() * cosines
    scores = scores.masked_fill(same & ~own, -torch.inf)
    right = torch.arange(len(pictures), device=texts.device)
    looking = F.cross_entropy(scores[: len(pictures)], right)
    loss = 0.5 * (looking + F.cross_entropy(scores.T, right))
    return loss, (scores.argmax(0) == right).float().mean()


def others(captions: Sequence[str], chance: Tensor) -> Tensor | None:
    """Return for each caption the place of one that says something else: (N,) int64 on the CPU.

    Args:
        chance: (N,) in [0, 1), which of them.

    Returns:
        None where all say the same.
    """
    texts = [plain(caption) for caption in captions]
    if len(set(texts)) == 1:
        return None
    found = []
    for text, share in zip(texts, chance.tolist(), strict=True):
        places = [place for place, other in enumerate(texts) if other != text]
        found.append(places[int(share * len(places))])
    return torch.tensor(found)


def reworded(captions: Sequence[str], chances: Tensor) -> list[str]:
    """Return each caption with one word replaced by that of another, in the same place.

    The other one has as many words. Where there is none that differs, a caption stays as it is.

    Args:
        chances: (N, 2) in [0, 1), which of the others, and which of the words that differ.
    """
    texts = [plain(caption).split() for caption in captions]
    changed = []
    for words, (which, where) in zip(texts, chances.tolist(), strict=True):
        near = [other for other in texts if len(other) == len(words) and other != words]
        if near:
            other = near[int(which * len(near))]
            places = [n for n, (a, b) in enumerate(zip(words, other, strict=True)) if a != b]
            place = places[int(where * len(places))]
            words = [*words[:place], other[place], *words[place + 1 :]]
        changed.append(" ".join(words))
    return changed
