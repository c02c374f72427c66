"""The discriminator that judges patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from translate.networks.blocks import Downsample, Norm, blur, norm_layer, spectral_normed


class PatchGAN(nn.Module):
    """Scores overlapping patches: (N, C, H, W) in [-1, 1] to (N, 1, h, w) unbounded scores.

    With 3 layers each score sees 70×70 pixels, with 1 layer 16×16, with 5 layers 286×286. With 0
    it is the PixelGAN, whose 1×1 convolutions judge each pixel's colours alone.

    Args:
        channels: of the image and of what is given beside it, together.
        width: channels after the first layer; they double up to eight times that.
        layers: how many halvings; pictures need sides of at least 3·2^layers, with 0 layers of 1.
        norm: after each convolution but the first and the last.
        downsample: "strided" convolutions as published, or "blur": convolved at the full size,
            blurred and then halved, which scores shifted pictures alike.
        spectral: divide each convolution's weight by its largest singular value.
        dropout: chance that a channel is left out after each layer but the first and the last.

    Source: Isola et al. 2016, arXiv:1611.07004, appendix 6.1.2; the blurred form: Zhang 2019,
    arXiv:1904.11486; spectral norm: Miyato et al. 2018, arXiv:1802.05957.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        width: int = 64,
        layers: int = 3,
        norm: Norm = "instance",
        downsample: Downsample = "strided",
        spectral: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        blurred = downsample == "blur" and layers > 0
        # The 1×1 form has as many layers as that with one halving.
        size, border, layers = (4, 1, layers) if layers else (1, 0, 1)
        stride = 1 if blurred or size == 1 else 2
        first = nn.Conv2d(channels, width, size, stride, border)
        parts: list[nn.Module] = [first, nn.LeakyReLU(0.2, True)]
        if blurred:
            parts.append(blur())
        ins = width
        for layer in range(1, layers + 1):
            outs = width * min(2**layer, 8)
            last = layer == layers
            parts += [
                nn.Conv2d(ins, outs, size, 1 if last else stride, border, bias=norm != "batch"),
                norm_layer(norm, outs),
                nn.LeakyReLU(0.2, True),
            ]
            if dropout:
                parts.append(nn.Dropout2d(dropout))
            if blurred and not last:
                parts.append(blur())
            ins = outs
        self.layers = nn.Sequential(*parts, nn.Conv2d(ins, 1, size, 1, border))
        if spectral:
            for module in self.layers:
                if isinstance(module, nn.Conv2d):
                    spectral_normed(module)

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        """Return the scores of images, judged together with the images ``given`` beside them."""
        scores: Tensor = self.layers(torch.cat([x, *given], 1) if given else x)
        return scores
