"""The residual generator of CycleGAN, with ordinary or depthwise separable blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from translate.networks.blocks import Downsample, Norm, ResidualBlock, blur, norm_layer

Upsample = Literal["transposed", "resize", "blur"]


class ResnetGenerator(nn.Module):
    """Maps (N, C, H, W) in [-1, 1] to (N, C_out, H, W) in [-1, 1]; H, W multiples of 4.

    A 7×7 stem, two halvings, residual blocks, two doublings and a 7×7 head. It is a sequence of
    nine named ``stages`` (the blocks are three of them), so that another network's features can
    be compared with its own at the same depths.

    Args:
        channels: image channels in and out.
        widths: channels after the stem and after each halving.
        blocks: number of residual blocks, at least 3.
        inners: channels inside each block; the blocks' own width where not given.
        separable: use depthwise separable convolutions inside the blocks.
        norm: after each convolution but the last.
        dropout: probability inside the blocks.
        downsample: "strided" convolutions as published, or "blur": convolved at the full size,
            blurred and then halved, so that a shifted picture gives a shifted result.
        upsample: "transposed" convolutions as published, "resize" (nearest, then a convolution),
            which cannot leave a checkerboard (Odena et al. 2016), or "blur" (doubled with the
            filter [1, 3, 3, 1], which is bilinear, then a convolution).

    Raises:
        ValueError: if ``blocks`` is under 3 or ``inners`` are not as many as the blocks.

    Source: Zhu et al. 2017, arXiv:1703.10593, appendix 7.2; the separable form: Li et al. 2020,
    arXiv:2003.08936; the blurred one: Zhang 2019, arXiv:1904.11486.
    """

    def __init__(
        self,
        channels: tuple[int, int] = (3, 3),
        *,
        widths: tuple[int, int, int] = (64, 128, 256),
        blocks: int = 9,
        inners: Sequence[int] = (),
        separable: bool = False,
        norm: Norm = "instance",
        dropout: float = 0.0,
        downsample: Downsample = "strided",
        upsample: Upsample = "transposed",
    ) -> None:
        super().__init__()
        self.widths = widths
        inners = tuple(inners) or (widths[2],) * blocks
        if blocks < 3 or len(inners) != blocks:
            raise ValueError(f"{len(inners)} inner widths for {blocks} blocks, of which 3 or more")
        bias = norm != "batch"

        def normed(outs: int, *layers: nn.Module) -> nn.Sequential:
            return nn.Sequential(*layers, norm_layer(norm, outs), nn.ReLU(inplace=True))

        def halve(ins: int, outs: int) -> nn.Sequential:
            if downsample == "strided":
                return normed(outs, nn.Conv2d(ins, outs, 3, 2, 1, bias=bias))
            return nn.Sequential(*normed(outs, nn.Conv2d(ins, outs, 3, 1, 1, bias=bias)), blur())

        def double(ins: int, outs: int) -> nn.Sequential:
            if upsample == "transposed":
                up = nn.ConvTranspose2d(ins, outs, 3, 2, 1, output_padding=1, bias=bias)
                return normed(outs, up)
            if upsample == "blur":
                resize = nn.Upsample(scale_factor=2, mode="bilinear")
                return normed(outs, resize, nn.Conv2d(ins, outs, 3, 1, 1, bias=bias))
            resize = nn.Upsample(scale_factor=2, mode="nearest")
            conv = nn.Conv2d(ins, outs, 3, bias=bias)
            return normed(outs, resize, nn.ReflectionPad2d(1), conv)

        def body(inners: Sequence[int]) -> nn.Sequential:
            return nn.Sequential(
                *(
                    ResidualBlock(widths[2], inner, separable=separable, norm=norm, dropout=dropout)
                    for inner in inners
                )
            )

        first, second = -(-blocks // 3), -(-2 * blocks // 3)  # thirds, rounded up
        stem = nn.Conv2d(channels[0], widths[0], 7, bias=bias)
        head = nn.Conv2d(widths[0], channels[1], 7)
        self.stages = nn.Sequential(
            OrderedDict(
                stem=normed(widths[0], nn.ReflectionPad2d(3), stem),
                down1=halve(widths[0], widths[1]),
                down2=halve(widths[1], widths[2]),
                body1=body(inners[:first]),
                body2=body(inners[first:second]),
                body3=body(inners[second:]),
                up1=double(widths[2], widths[1]),
                up2=double(widths[1], widths[0]),
                head=nn.Sequential(nn.ReflectionPad2d(3), head, nn.Tanh()),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.stages(x)
        return out
