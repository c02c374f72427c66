"""The discriminator that judges patches."""

from __future__ import annotations

from torch import Tensor, nn

from translate.networks.blocks import Downsample, Norm, blur, norm_layer


class PatchGAN(nn.Module):
    """Scores overlapping patches: (N, C, H, W) in [-1, 1] to (N, 1, h, w) unbounded scores.

    With 3 layers each score sees 70×70 pixels, with 1 layer 16×16, with 5 layers 286×286.

    Args:
        channels: of the image, or of the images laid on each other.
        width: channels after the first layer; they double up to eight times that.
        layers: how many halvings; pictures need sides of at least 3·2^layers.
        norm: after each convolution but the first and the last.
        downsample: "strided" convolutions as published, or "blur": convolved at the full size,
            blurred and then halved, which scores shifted pictures alike.

    Source: Isola et al. 2016, arXiv:1611.07004, appendix 6.1.2; the blurred form: Zhang 2019,
    arXiv:1904.11486.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        width: int = 64,
        layers: int = 3,
        norm: Norm = "instance",
        downsample: Downsample = "strided",
    ) -> None:
        super().__init__()
        blurred = downsample == "blur"
        stride = 1 if blurred else 2
        parts: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride, 1), nn.LeakyReLU(0.2, True)]
        if blurred:
            parts.append(blur())
        ins = width
        for layer in range(1, layers + 1):
            outs = width * min(2**layer, 8)
            last = layer == layers
            parts += [
                nn.Conv2d(ins, outs, 4, 1 if last else stride, 1, bias=norm != "batch"),
                norm_layer(norm, outs),
                nn.LeakyReLU(0.2, True),
            ]
            if blurred and not last:
                parts.append(blur())
            ins = outs
        self.layers = nn.Sequential(*parts, nn.Conv2d(ins, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layers(x)
        return scores
