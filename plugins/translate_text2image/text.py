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

from translate.losses import gathered

_BYTES = 256
_EMPTY = 256  # behind a caption's end
_TOKENS = 257
_SHARPEST = math.log(100)  # as in CLIP, too
_NEAR = 7  # bytes that are looked at together at first
_LEAST = 0.01  # variance, which is added to all: noise is not to be heard as the rest
_FIRM = 1e-4  # of the mean variance, added as well: a covariance in fp32 can be solved for then
_FOLLOWED = 0.01  # of the moments, by each batch
_SAME = 0.999  # cosine of two texts of which one is the other, in another batch
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
        longest: bytes of a caption that are read; a multiple of 16.

    Source: Vaswani et al. 2017, arXiv:1706.03762, with norms in front (Xiong et al. 2020,
    arXiv:2002.04745); bytes as in Xue et al. 2021, arXiv:2105.13626.
    """

    def __init__(self, width: int = 128, *, layers: int = 3, longest: int = 128) -> None:
        super().__init__()
        self.width, self.longest = width, longest
        self.tokens = nn.Embedding(_TOKENS, width)
        self.places = nn.Parameter(torch.randn(self.longest, width) * 0.02)
        self.near = nn.Conv1d(width, width, _NEAR, padding=_NEAR // 2)
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.white = Whitening(width)

    def read(self, captions: Sequence[str]) -> Tensor:
        """Return what N strings say: (N, width)."""
        tokens = as_tokens(captions, self.longest).to(self.places.device, non_blocking=True)
        if self.training:
            told: Tensor = self(tokens)
        else:  # beside a generator that learns in half precision: whitening makes rounding louder
            with torch.autocast(tokens.device.type, enabled=False):
                told = self(tokens)
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
        return rescaled(self.white(told))


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


class Whitening(nn.Module):
    """Gives numbers (N, D) a mean of 0 and a covariance nearer to 1: as many, in fp32.

    A few directions of a text encoder hold most of what it says, such as colours, and the others
    the details. Here these are heard as loud, down to a variance of 0.01: what is less stays small.
    While it learns, it follows the moments, which no gradient goes through; then they stand still.

    Source: Huang et al. 2018, arXiv:1804.08450, here with running moments and Cholesky factors, as
    captions are fewer in a batch than numbers; of sentences, Su et al. 2021, arXiv:2103.15316.
    """

    mean: Tensor
    covariance: Tensor
    factor: Tensor
    seen: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("covariance", torch.eye(width))
        # Of the covariance, but unlike that as good in fp16: it can always be solved for.
        self.register_buffer("factor", torch.eye(width))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # batches

    def forward(self, texts: Tensor) -> Tensor:
        texts = texts.float()
        if self.training:
            self.follow(gathered(texts.detach()))
        apart = (texts - self.mean.float()).T
        # A copy: the next batch changes it, maybe before this one's gradients flow.
        factor = self.factor.float().clone()
        white: Tensor = torch.linalg.solve_triangular(factor, apart, upper=False).T
        return white

    @torch.no_grad()
    def follow(self, texts: Tensor) -> None:
        """Take texts (N, D) into the moments."""
        texts = torch.where(texts.isfinite(), texts, self.mean)  # fp16 overflows now and then
        self.seen += 1
        share = torch.clamp(1 / self.seen, min=_FOLLOWED)
        away, inner = texts.mean(0) - self.mean, texts - texts.mean(0)
        with torch.autocast(texts.device.type, enabled=False):
            here = inner.T @ inner / len(texts) + (1 - share) * torch.outer(away, away)
        self.mean += share * away
        self.covariance.lerp_(here, share)
        least = _LEAST + _FIRM * self.covariance.diagonal().mean()
        noise = torch.eye(len(here), device=here.device) * least
        factor, _ = torch.linalg.cholesky_ex(self.covariance + noise)  # waits for no GPU
        self.factor.copy_(factor)


class Heard(nn.Module):
    """The last texts that the discriminator was shown, (K, D), with which pictures are compared.

    Beside each is what its picture was known by, (K, 16 C).

    Source: the memory of Wang et al. 2019, arXiv:1912.06798, here of texts that do not change.
    """

    texts: Tensor
    known: Tensor

    def __init__(self, count: int, width: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("texts", torch.zeros(count, width))
        self.register_buffer("known", torch.zeros(count, 16 * channels))

    @torch.no_grad()
    def keep(self, texts: Tensor, images: Tensor) -> None:
        """Let (N, D) of (N, C, H, W), and all other processes', take the place of the oldest."""
        for memory, rows in ((self.texts, texts), (self.known, known_by(images))):
            memory.copy_(torch.cat([memory, gathered(rows)])[-len(memory) :])

    def beside(self, texts: Tensor, images: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
        """Return texts (N, D) with those heard behind them, and which belong together, (N + K, N).

        Args:
            images: the texts', (N, C, H, W).
            same: (N, N), which of the N do, as ``alike`` says.
        """
        empty = ~self.texts.any(1, keepdim=True)  # so early that there is nothing yet
        heard = (_cosines(self.texts, texts) > _SAME) | _equal(self.known, known_by(images)) | empty
        return torch.cat([texts, self.texts]), torch.cat([same, heard])


def known_by(images: Tensor) -> Tensor:
    """Return means over parts of pictures, (N, 16 C) in fp32: different pictures' differ."""
    return F.adaptive_avg_pool2d(images.float(), 4).flatten(1)


def _equal(some: Tensor, others: Tensor) -> Tensor:
    """Return which of (M, D) are which of (N, D): (M, N)."""
    return (some[:, None] == others).all(2)


def alike(captions: Sequence[str], images: Tensor) -> Tensor:
    """Return which captions say the same as which pictures', (N, N) bool on the images' device.

    Args:
        captions: N of them, of as many pictures.
        images: (N, C, H, W). Where two are the same, so is what is said of them.
    """
    numbers = {text: place for place, text in enumerate(map(plain, captions))}
    said = torch.tensor([[numbers[plain(text)]] for text in captions])
    shown, same = known_by(images), _equal(said, said)
    return _equal(shown, shown) | same.to(images.device, non_blocking=True)


def _cosines(some: Tensor, others: Tensor) -> Tensor:
    """Return how near (M, D) are to (N, D): (M, N) in fp32, whatever the autocast around it."""
    with torch.autocast(some.device.type, enabled=False):
        return F.normalize(some.float(), dim=1) @ F.normalize(others.float(), dim=1).T


def matching_loss(
    texts: Tensor, pictures: Tensor, same: Tensor, sharpness: Tensor
) -> tuple[Tensor, Tensor]:
    """Return how badly captions and pictures find each other, and how often they do: two scalars.

    Args:
        texts: (M, D), M ≥ N. Row i belongs to row i of the pictures; those behind belong to none,
            and are more wrong answers.
        pictures: (N, D).
        same: (M, N), which belong together as well: these are no wrong answers.
        sharpness: the logarithm of what cosines are multiplied by.

    Source: the sentences' part of DAMSM (Xu et al. 2018, arXiv:1711.10485, eq. 10 to 12), which
    takes the place of Reed et al.'s structured joint embedding.
    """
    cosines = _cosines(texts, pictures)
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
