"""Networks that more than one plugin uses."""

from translate.networks.blocks import Downsample, Norm, ResidualBlock, initialise, spectral_normed
from translate.networks.features import features
from translate.networks.patchgan import PatchGAN
from translate.networks.resnet import ResnetGenerator, Upsample
from translate.networks.unet import UNet

__all__ = [
    "Downsample",
    "Norm",
    "PatchGAN",
    "ResidualBlock",
    "ResnetGenerator",
    "UNet",
    "Upsample",
    "features",
    "initialise",
    "spectral_normed",
]
