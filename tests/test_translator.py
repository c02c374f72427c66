"""The Python door: PIL images, paths and tensors go in, and the same come out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torch import Tensor

import translate
from simple_methods import PLUGIN, save_simple, simple_model
from translate.errors import ImageError, UsageError
from translate.inference.translator import Translator


def translator(size: Any = "native", **options: Any) -> Translator:
    return Translator(simple_model(**options), device="cpu", precision="fp32", size=size)


def noisy(mode: str = "RGB", size: tuple[int, int] = (30, 20)) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    rng = np.random.default_rng(0)
    shape = (size[1], size[0], channels)
    samples = rng.integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(samples[..., 0] if channels == 1 else samples, mode=mode)


def pixels(image: Image.Image) -> Any:
    return np.asarray(image)


def test_a_model_is_loaded_by_name_or_path(tmp_path: Path, home: Path, fake_plugin: Any) -> None:
    fake_plugin(PLUGIN)
    path = save_simple(home / "models" / "same.safetensors")
    given = noisy()
    for name in ("same", str(path), path):
        assert np.array_equal(pixels(translate.load(name)(given)), pixels(given))
    with pytest.raises(UsageError, match="nothing"):
        translate.load("nothing")


def test_a_path_gives_an_image(tmp_path: Path) -> None:
    noisy().save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        made = translator()(path)
        assert np.array_equal(pixels(made), pixels(noisy()))
    with pytest.raises(ImageError, match=r"^\S*b\.png: no such file"):
        translator()(tmp_path / "b.png")


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "L", "LA", "1", "P", "CMYK", "YCbCr", "HSV", "I;16", "I;16B"]
)
def test_images_of_any_mode_come_out_in_their_colours(mode: str) -> None:
    if mode.startswith("I;16"):
        samples = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
        given = Image.fromarray(samples)
        expected = given.point(lambda v: v / 257).convert("L").convert("RGB")
        if mode == "I;16B":
            given = Image.frombytes(mode, given.size, samples.astype(">u2").tobytes())
    else:
        given = noisy().convert("RGBA" if mode == "LA" else "RGB").convert(mode)
        if mode in ("RGBA", "LA"):
            given.putalpha(noisy("L"))
        expected = given.convert("RGBA" if mode in ("RGBA", "LA") else "RGB")
    made = translator()(given)
    assert made.mode == expected.mode
    assert made.size == given.size
    assert np.abs(pixels(made).astype(int) - pixels(expected)).max() <= 2


@pytest.mark.parametrize("image", [Image.new("La", (4, 4)), Image.new("RGB", (0, 0))])
def test_an_image_that_cannot_be_read_is_one_error(image: Image.Image) -> None:
    with pytest.raises(ImageError, match=r"^image: "):
        translator()(image)


def test_a_transparent_colour_stays_transparent() -> None:
    given = noisy().convert("P")
    given.info["transparency"] = given.getpixel((3, 3))
    made = translator()(given)
    assert made.mode == "RGBA"
    assert made.getpixel((3, 3))[3] == 0  # type: ignore[index]


def test_orientation_is_applied_and_the_rest_of_exif_and_the_profile_stay() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    noisy().save(file, "PNG", exif=exif, icc_profile=profile)
    made = translator()(Image.open(file))
    assert made.size == (20, 30)
    assert np.array_equal(pixels(made), np.rot90(pixels(noisy()), -1))
    assert dict(made.getexif()) == {0x010F: "Maker"}
    assert made.info["icc_profile"] == profile


def test_damaged_exif_does_not_cost_the_picture() -> None:
    given = noisy()
    given.info["exif"] = b"Exif\0\0MM nonsense"
    assert np.array_equal(pixels(translator()(given)), pixels(noisy()))


def test_the_given_image_is_left_as_it_was() -> None:
    given = noisy("RGBA")
    before = given.copy()
    translator(shift=0.3)(given)
    assert given == before


@pytest.mark.parametrize("size", ["native", 16])
@pytest.mark.parametrize("shape", [(3, 33, 50), (2, 3, 33, 50), (1, 3, 1, 1)])
def test_a_tensor_gives_a_tensor_of_its_shape(shape: tuple[int, ...], size: Any) -> None:
    x = torch.rand(shape) * 1.6 - 0.8
    shifted = translator(size, shift=0.1, multiple_of=4, minimum=8)
    y = shifted(x)
    assert y.shape == x.shape
    assert torch.allclose(y, x + 0.1, atol=1e-6)


def test_tensors_of_other_channels_and_scales() -> None:
    x = torch.rand(2, 1, 40, 40) * 2 - 1
    for size in ("native", 8):
        y = translator(size, mode=("L", "RGB"))(x)
        assert torch.allclose(y, x.expand(2, 3, 40, 40), atol=1e-6)
        grey = translator(size, mode=("RGB", "L"))(x.expand(2, 3, 40, 40))
        assert torch.allclose(grey, x, atol=1e-3)  # luma's three weights add up to 1
    y = translator(8, scale=2)(x.expand(2, 3, 40, 40))
    assert y.shape == (2, 3, 80, 80)


def test_a_tensor_and_a_picture_come_out_alike() -> None:
    given = noisy(size=(64, 48)).resize((90, 70), Image.Resampling.BICUBIC)
    model = translator(24, shift=0.2, multiple_of=4)
    x = torch.from_numpy(pixels(given).copy()).permute(2, 0, 1).float() / 127.5 - 1
    y = ((model(x) + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert np.abs(y - pixels(model(given)).astype(int)).max() <= 2


@pytest.mark.parametrize(
    "x",
    [torch.zeros(1, 8, 8), torch.zeros(8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)],
    ids=["grey", "flat", "integers"],
)
def test_a_tensor_that_the_model_does_not_take_is_refused(x: Tensor) -> None:
    with pytest.raises(UsageError, match=r"expected floats in \[-1, 1\]"):
        translator()(x)


def test_random_models_give_each_of_a_batch_what_it_gets_alone() -> None:
    x = torch.zeros(2, 3, 8, 8)
    drawing = translator(random=True)
    y = drawing(x, seed=3)
    assert torch.equal(y[0], y[1])
    assert torch.equal(y[0], drawing(x[0], seed=3))
    assert not torch.equal(y, drawing(x, seed=4))


@pytest.mark.parametrize("size", ["huge", 0, 2.5])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(UsageError, match="size="):
        translator(size)


def test_the_working_size_is_the_models_own(home: Path, fake_plugin: Any) -> None:
    fake_plugin(PLUGIN)
    save_simple(home / "models" / "small.safetensors", working_size=16)
    assert translate.load("small").engine.size == 16
    assert translate.load("small", size="native").engine.size is None
    assert translate.load("small", size=40).engine.size == 40


def test_a_tensor_without_pixels_is_refused() -> None:
    with pytest.raises(UsageError, match="without pixels"):
        translator()(torch.zeros(3, 0, 5))


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="fp8: there are auto, fp32, bf16, fp16"):
        Translator(simple_model(), device="cpu", precision="fp8")
