"""Colours are learnt apart from lightness, and lightness stays what it is at any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kornia
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from simple_methods import simple_model
from tiny import finish, start
from translate.images import Picture
from translate.inference import sizing
from translate.inference.engine import Engine
from translate.inference.sizing import enlarge, keep_lightness
from translate.inference.translator import Translator, load
from translate.method import Batch, Step
from translate.options import Facts, build
from translate.pipeline import lab_to_rgb, rgb_to_lab
from translate.testing import check_method
from translate_pix2pix.colorize import Colorize, ColorizeOptions, ColorizeRunOptions, palette

SMALL: dict[str, Any] = {"width": 4, "halvings": 2, "fold": 2, "spacing": 40}

torch.set_num_threads(1)


def noise(*shape: int, dtype: type = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def image(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def lightness(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W) L in [0, 100] of (H, W, C) integers, by kornia."""
    floats = torch.from_numpy(pixels.astype(np.float64) / np.iinfo(pixels.dtype).max)
    planes = floats.permute(2, 0, 1).expand(3, -1, -1)[None]
    return np.asarray(kornia.color.rgb_to_lab(planes)[0, 0])


def test_lab_is_what_kornia_says_and_comes_back() -> None:
    x = torch.cat([image(1, 3, 20, 20), torch.ones(1, 3, 20, 20), -torch.ones(1, 3, 20, 20)])
    lab = rgb_to_lab(x)
    torch.testing.assert_close(lab, kornia.color.rgb_to_lab((x + 1) / 2), atol=0.02, rtol=0)
    torch.testing.assert_close(lab_to_rgb(lab), x, atol=1e-3, rtol=0)


def test_a_colour_that_no_screen_shows_keeps_its_lightness_and_its_hue() -> None:
    wild = rgb_to_lab(image(1, 3, 40, 40)) * torch.tensor([1.0, 3.0, 3.0])[:, None, None]
    shown = rgb_to_lab(lab_to_rgb(wild))
    torch.testing.assert_close(shown[:, 0], wild[:, 0], atol=1e-3, rtol=0)
    turned = torch.cosine_similarity(shown[:, 1:], wild[:, 1:])
    assert float(turned.median()) > 0.95
    clipped = rgb_to_lab(kornia.color.lab_to_rgb(wild) * 2 - 1)
    assert float((clipped[:, 0] - wild[:, 0]).abs().max()) > 10


def test_gradients_pass_colours_and_stay_finite_at_black_and_white() -> None:
    x = torch.tensor([-1.0, 1.0, 0.0]).repeat(3, 1).reshape(1, 3, 3, 1).requires_grad_()
    lab_to_rgb(rgb_to_lab(x) * 1.5).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(300, 200), (600, 50), (257, 1), (5, 400)])
def test_every_pixels_lightness_survives_colours_from_a_smaller_size(
    shape: tuple[int, int], dtype: type
) -> None:
    pixels, colours = noise(*shape, 3, dtype=dtype), image(3, 9, 7)
    made = keep_lightness(pixels, colours)
    assert made.dtype == dtype
    assert made.shape == pixels.shape
    step = 0.6 if dtype == np.uint8 else 0.003  # of rounding, steepest in the dark
    assert np.abs(lightness(made) - lightness(pixels)).max() < step


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_colours_give_back_every_bit_of_a_grey_picture(dtype: type) -> None:
    pixels = np.repeat(noise(300, 200, 1, dtype=dtype), 3, axis=2)
    made = keep_lightness(pixels, image(1, 9, 7).expand(3, -1, -1))
    assert np.abs(made.astype(int) - pixels.astype(int)).max() <= (dtype == np.uint16)


def test_colours_lie_where_they_were_at_the_smaller_size() -> None:
    small = torch.zeros(3, 4, 8)
    small[0, :2], small[2, :2] = 0.5, -0.5  # reddish above, grey below
    pixels = np.full((800, 80, 3), 128, np.uint8)
    made = keep_lightness(pixels, small).astype(int)
    expected = torch.nn.functional.interpolate(rgb_to_lab(small[None]), (800, 80), mode="bilinear")
    found = rgb_to_lab(torch.from_numpy(made / 127.5 - 1).permute(2, 0, 1)[None].float())
    torch.testing.assert_close(found[:, 1:], expected[:, 1:], atol=1.5, rtol=0)
    assert (made[0, :, 0] > made[0, :, 2] + 20).all()
    assert (made[-1] == 128).all()


def test_an_output_alone_is_enlarged_to_the_exact_size() -> None:
    small = image(1, 6, 5)
    made = enlarge(noise(61, 47, 3), small)
    expected = torch.nn.functional.interpolate(small[None], (61, 47), mode="bicubic")[0]
    wanted = ((expected.permute(1, 2, 0).numpy() + 1) * 127.5).clip(0, 255)
    assert made.shape == (61, 47, 1)
    assert np.abs(made - wanted).max() <= 0.51


@pytest.mark.parametrize("detail", ["change", "lightness", "none"])
def test_what_a_large_picture_keeps_is_what_the_method_says(detail: str) -> None:
    model = simple_model(shift=0.2, detail=detail)
    pixels = noise(64, 64, 3)
    engine = Engine(model, device="cpu", precision="fp32", size=8)
    [done] = engine.run([engine.prepare(Picture(pixels, None))], [0])
    made = engine.finish(done).pixels
    before, after = lightness(pixels), lightness(made)
    alike = np.corrcoef(before.ravel(), after.ravel())[0, 1]
    assert (alike > 0.9) == (detail != "none")
    assert (np.abs(after - before).max() < 0.6) == (detail == "lightness")


def test_what_becomes_another_picture_loses_its_transparency_on_white() -> None:
    alpha = np.zeros((20, 20), np.uint8)
    alpha[:, 10:] = 255
    for detail, size in (("none", None), ("none", 8), ("change", None), ("lightness", 8)):
        engine = Engine(simple_model(detail=detail), device="cpu", precision="fp32", size=size)
        given = Picture(np.full((20, 20, 3), 40, np.uint8), alpha)
        [done] = engine.run([engine.prepare(given)], [0])
        made = engine.finish(done)
        assert (made.alpha is None) == (detail == "none")
        left, right = made.pixels[:, 1].mean(), made.pixels[:, -1].mean()
        assert left == pytest.approx(255 if detail == "none" else 40, abs=12)
        assert right == pytest.approx(40, abs=12)


@pytest.mark.parametrize("detail", ["change", "lightness", "none"])
def test_tensors_come_out_as_files_do(detail: str) -> None:
    model = simple_model(shift=0.2, detail=detail)
    pixels = noise(64, 64, 3)
    translator = Translator(model, device="cpu", precision="fp32", size=8)
    made = np.asarray(translator(Image.fromarray(pixels)))
    x = torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1).float()
    tensor = ((translator(x) + 1) * 127.5).permute(1, 2, 0).numpy()
    assert np.abs(tensor - made).mean() < 2


def test_it_keeps_the_contract() -> None:
    check_method("colorize", options=SMALL)


def test_the_palette_holds_what_screens_show() -> None:
    colours = palette(10)
    assert len(set(colours)) == len(colours) > 200
    assert (0, 0) in colours
    assert all(a % 10 == b % 10 == 0 for a, b in colours)
    assert max(abs(number) for colour in colours for number in colour) <= 120


def method(**options: Any) -> Colorize:
    torch.manual_seed(0)
    return Colorize(build(ColorizeOptions, SMALL | options, what="colorize"), Facts())


def stripes() -> Batch:
    """Dark pixels are blue, light ones yellow; those between are either, half of them each."""
    lab = torch.zeros(4, 3, 16, 16)
    lab[:, 0, :8], lab[:, 0, 8:] = 40, 80
    lab[:, 2, :8], lab[:, 2, 8:] = -40, 40
    return Batch({"a": lab_to_rgb(lab)}, torch.arange(4))


def trained(made: Colorize, batch: Batch, steps: int) -> Colorize:
    optimizer = torch.optim.Adam(made.network.parameters(), 1e-2)
    made.train()
    for number in range(steps):
        optimizer.zero_grad()
        made.losses(batch, Step(number, number))["colours"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return made.eval()


@torch.no_grad()
def coloured(made: Colorize, images: Tensor, **settings: Any) -> Tensor:
    """Return the a and b that it gives."""
    options = ColorizeRunOptions(**settings)
    seeds = torch.arange(len(images))
    lab = rgb_to_lab(made.translate(made.network, Batch({"image": images}, seeds, {}, options)))
    return lab[:, 1:]


def test_small_pictures_keep_their_lightness_too() -> None:
    made, x = method(), image(2, 3, 16, 16)
    with torch.no_grad():
        out = made.eval().translate(made.network, Batch({"image": x}, torch.arange(2)))
    torch.testing.assert_close(rgb_to_lab(out)[:, 0], rgb_to_lab(x)[:, 0], atol=0.01, rtol=0)
    assert float((out - x).abs().mean()) > 0.1


def test_it_learns_colours_from_lightness_alone() -> None:
    batch = stripes()
    made = trained(method(norm="none"), batch, 60)
    truth = rgb_to_lab(batch["a"])[:, 1:]
    grey = lab_to_rgb(rgb_to_lab(batch["a"]) * torch.tensor([1.0, 0.0, 0.0])[:, None, None])
    from_grey = coloured(made, grey)
    assert float((from_grey - truth).abs().mean()) < 0.3 * float(truth.abs().mean())
    torch.testing.assert_close(from_grey, coloured(made, batch["a"]), atol=0.05, rtol=0)


def test_what_it_is_unsure_of_is_as_vivid_as_the_temperature_says() -> None:
    lab = torch.zeros(4, 3, 16, 16)
    lab[:, 0], lab[:3, 2], lab[3:, 2] = 60, 40, -40  # three in four are yellow
    made = trained(method(norm="none"), Batch({"a": lab_to_rgb(lab)}, torch.arange(4)), 60)
    image = lab_to_rgb(lab[:1])
    safe, vivid = (coloured(made, image, temperature=t)[:, 1].mean() for t in (1.0, 0.2))
    assert 5 < float(safe) < 30
    assert float(vivid) > float(safe) + 8
    stronger = coloured(made, image, temperature=1.0, saturation=1.5)[:, 1].mean()
    assert float(stronger) == pytest.approx(1.5 * float(safe), rel=0.1)
    assert float(coloured(made, image, saturation=0).abs().max()) < 0.05


def test_rare_colours_count_more_where_that_is_asked_for() -> None:
    lab = torch.zeros(4, 3, 16, 16)
    lab[:, 0], lab[:, 1, :2, :2] = 60, 40
    chances = method()._chances(torch.nn.functional.avg_pool2d(lab[:, 1:], 2))
    for balance, more in ((0.0, False), (0.9, True)):
        made = method(balance=balance)
        for _ in range(300):
            weights = made._weights(chances, Step(0, 0))
        assert bool(weights[0, 0, 0] > 2 * weights[0, 4, 4]) == more


def test_what_was_trained_colours_grey_files_and_keeps_their_lightness(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(noise(3, 3, 3) // (1 + number)).resize((20, 20)).save(
            folder / f"{number}.png"
        )
    run = start(tmp_path / "run", folder, method="colorize", **SMALL, training__images=2)
    [made] = finish(run)
    model = load(made, device="cpu", settings={"temperature": 0.1, "saturation": 3})
    for mode in ("L", "RGB"):
        given = Image.fromarray(noise(90, 70, 3)).convert(mode)
        done = model(given)
        assert (done.mode, done.size) == ("RGB", (70, 90))
        before = np.asarray(given).reshape(90, 70, -1)
        assert np.abs(lightness(np.asarray(done)) - lightness(before)).max() < 0.6
        assert np.asarray(done).std(axis=2).max() > 5


def test_no_large_picture_is_ever_whole_in_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    for name in ("rgb_to_lab", "lab_to_rgb"):
        real = getattr(sizing, name)

        def watched(x: Tensor, real: Any = real) -> Tensor:
            rows.append(x.shape[2])
            return real(x)  # type: ignore[no-any-return]

        monkeypatch.setattr(sizing, name, watched)
    pixels = noise(3000, 20, 3)
    assert keep_lightness(pixels, image(3, 22, 9)).shape == pixels.shape
    assert max(rows) <= 256
    assert sum(rows) == 2 * 3000 + 22
