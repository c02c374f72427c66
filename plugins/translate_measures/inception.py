"""The Inception network that FID and KID are defined on, from a file that the user gives.

Its architecture is torch-fidelity's, which resizes as the reference did; its weights are a file
of 91 MiB that nothing here downloads. On other weights these are other numbers, and are called so.
"""

from __future__ import annotations

import functools
import hashlib
import io
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from translate import UsageError

# The first digits of its SHA-256, which its publisher writes into its name:
# weights-inception-2015-12-05-6726825d.pth
_REFERENCE = "6726825d"
_LONG_NAMES = {"FID": "Fréchet distance", "KID": "kernel distance"}


class Extractor:
    """Gives the features of pictures, (H, W, 3) in [0, 255], as 2,048 numbers each."""

    def __init__(self, network: nn.Module, file: str, *, reference: bool) -> None:
        self.network, self.file, self.reference = network, file, reference
        self._last: tuple[NDArray[np.float32], Tensor] | None = None

    @property
    def protocol(self) -> str:
        network = "Inception of 2015-12-05" if self.reference else f"features of {self.file}"
        return (
            f"{network} (torch-fidelity {version('torch-fidelity')}), 2,048 features, "
            "RGB in 8 bits, resized to 299×299 as TensorFlow 1 does"
        )

    def title(self, name: str) -> str:
        """Return what a number on these features may be called."""
        return name if self.reference else f"{_LONG_NAMES[name]} on {self.file}"

    def __call__(self, pixels: NDArray[np.float32]) -> Tensor:
        # Several measures are shown the same picture, one after the other.
        if self._last is None or self._last[0] is not pixels:
            self._last = pixels, self._features(pixels)
        return self._last[1]

    @torch.inference_mode()
    def _features(self, pixels: NDArray[np.float32]) -> Tensor:
        whole = torch.from_numpy(np.rint(pixels).astype(np.uint8))
        device = next(self.network.parameters()).device
        [features] = self.network(whole.permute(2, 0, 1)[None].to(device))  # each (1, 2048)
        first: Tensor = features[0].cpu()
        return first


@functools.lru_cache(maxsize=1)
def extractor(file: Path, device: torch.device) -> Extractor:
    """Return the network with the weights in ``file``; the same one for all measures.

    Raises:
        UsageError: if torch-fidelity is not installed, or the file holds no such weights.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise UsageError(
            "Inception features need torch-fidelity; pip install 'image-translate[metrics]'"
        ) from None
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from None
    try:
        # torch-fidelity would run what code there is in a file, so it is given what came of
        # reading the file as data.
        safe = io.BytesIO()
        torch.save(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True), safe)
        safe.seek(0)
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], safe)
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise UsageError(f"{file}: not the weights of FID's Inception network ({reason})") from None
    reference = hashlib.sha256(data).hexdigest().startswith(_REFERENCE)
    return Extractor(network.to(device), file.name, reference=reference)
