"""A small classifier that learns from the real pictures in a minute."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_AT_ONCE = 128
_RATE = 4e-3  # at its highest


def make(channels: int, side: int, classes: int, *, width: int) -> nn.Sequential:
    """Return a network from images (N, C, side, side) to scores (N, classes)."""
    parts: list[nn.Module] = []
    ins, outs = channels, width
    while side >= 8 or not parts:  # to 7 pixels or less
        parts += [nn.Conv2d(ins, outs, 3, padding=1, bias=False), nn.BatchNorm2d(outs)]
        parts += [nn.ReLU(), nn.MaxPool2d(2)]
        ins, outs, side = outs, min(2 * outs, 8 * width), side // 2
    features = ins * side**2
    parts += [nn.Flatten(), nn.Dropout(0.2), nn.Linear(features, 128), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(128, classes))


def train(
    images: Tensor,
    labels: Tensor,
    *,
    passes: int,
    width: int,
    seed: int,
    device: torch.device,
) -> nn.Module:
    """Return a classifier of square images (N, C, H, W) in [-1, 1], evaluating.

    Args:
        labels: (N,) int64, from 0 on.
        passes: how often it sees each image.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        network = make(images.shape[1], images.shape[2], int(labels.max()) + 1, width=width)
        network.to(device).train()
        steps = passes * math.ceil(len(images) / _AT_ONCE)
        optimizer = torch.optim.Adam(network.parameters(), _RATE)
        rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
        for _ in range(passes):
            for some in torch.split(torch.randperm(len(images)), _AT_ONCE):
                if len(some) == 1:
                    continue  # which batch norm has no variance of
                scores = network(images[some].to(device))
                loss = F.cross_entropy(scores, labels[some].to(device))
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                rates.step()
    return network.eval()


@torch.inference_mode()
def chosen(classifier: nn.Module, images: Tensor) -> Tensor:
    """Return the class (N,) of images (N, C, H, W) that the classifier finds likeliest."""
    device = next(classifier.parameters()).device
    parts = torch.split(images, 1000)
    return torch.cat([classifier(some.to(device)).argmax(1).cpu() for some in parts])


def accuracy(chosen: Tensor, labels: Tensor) -> float:
    """Return the share of labels (N,) that were chosen."""
    return float((chosen == labels).float().mean())
