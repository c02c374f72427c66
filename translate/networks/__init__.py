"""Networks that more than one plugin uses."""

from translate.networks.blocks import Norm, initialise
from translate.networks.patchgan import PatchGAN
from translate.networks.resnet import ResnetGenerator, Upsample

__all__ = ["Norm", "PatchGAN", "ResnetGenerator", "Upsample", "initialise"]
