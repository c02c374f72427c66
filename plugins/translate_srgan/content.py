"""VGG-19, whose features say what a picture shows."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from translate import TranslateError
from translate.networks import features

Layer = Literal["conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4"]

_PLACES = {"conv1_2": "2", "conv2_2": "7", "conv3_4": "16", "conv4_4": "25", "conv5_4": "34"}
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class VGG(nn.Module):
    """VGG-19's features before their activations, as ESRGAN compares them.

    Args:
        layers: the feature network, torchvision's ``vgg19().features``.

    Source: Simonyan and Zisserman 2014, arXiv:1409.1556; Wang et al. 2018, arXiv:1809.00219,
    section 3.3.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        for module in layers.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False  # what stands before it is asked for
        self.layers = layers
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None])

    def forward(self, x: Tensor, names: tuple[Layer, ...]) -> list[Tensor]:
        """Return the features of (N, 3, H, W) in [-1, 1] at some layers."""
        x = ((x + 1) / 2 - self.mean) / self.deviation
        return features(self.layers, x, [_PLACES[name] for name in names])


def vgg(file: Path | None) -> VGG:
    """Return VGG-19 with torchvision's weights: those of a file, or downloaded.

    Raises:
        TranslateError: if there are none to be had, or the file is another network's.
    """
    from torchvision.models import VGG19_Weights, vgg19

    way_out = (
        "give torchvision's file with --set vgg_weights=vgg19-dcbb9e9d.pth, "
        "or choose --set content=discriminator"
    )
    try:
        if file is None:
            network = vgg19(weights=VGG19_Weights.IMAGENET1K_V1, progress=False)
        else:
            network = vgg19()
            network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # the network's, the disk's, the file's
        reason = " ".join(str(error).split())[:150]
        where = "torchvision's weights" if file is None else str(file)
        raise TranslateError(f"content=vgg: {where}: {reason}; {way_out}") from None
    return VGG(network.features)
