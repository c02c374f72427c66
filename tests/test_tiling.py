"""Tiles: a picture in parts is the picture as a whole, and needs the memory of a part."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

import tiny  # one thread
from enlarging import PLUGIN, engine, noise, save_enlarging, seen, translate
from translate import Fit
from translate.cli.group import cli
from translate.errors import UsageError
from translate.images import Picture
from translate.inference import engine as engine_module
from translate.inference.pipeline import Encoding, Pipeline
from translate.inference.plan import make_plan
from translate.inference.tiling import tiles, usual_side
from translate.inference.translator import Translator

assert tiny


def levels_apart(one: Picture, other: Picture) -> int:
    return int(np.abs(one.pixels.astype(int) - other.pixels.astype(int)).max())


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_in_tiles_a_picture_is_what_it_is_whole(data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(1, 50)) for _ in range(2))
    tile = data.draw(st.integers(1, 30))
    options: dict[str, Any] = {
        "scale": data.draw(st.sampled_from([1, 2, 4])),
        "radius": data.draw(st.integers(1, 5)),
        "gather": data.draw(st.sampled_from([1, 2])),
        "minimum": data.draw(st.sampled_from([1, 7, 12])),
    }
    assume(-(-height // tile) * -(-width // tile) < 60)
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    alpha = noise(height, width, dtype=dtype) if data.draw(st.booleans()) else None
    given_ = Picture(noise(height, width, 3, dtype=dtype), alpha)
    whole = translate(engine(1000, **options), given_)
    parts = translate(engine(tile, **options), given_)
    assert parts.pixels.shape == (height * options["scale"], width * options["scale"], 3)
    assert parts.pixels.dtype == dtype
    # One level of 8 bits, and as little of 16: sums of floats in another order.
    assert levels_apart(whole, parts) <= 1
    if alpha is not None:
        assert whole.alpha is not None and parts.alpha is not None  # noqa: PT018
        assert np.abs(whole.alpha.astype(int) - parts.alpha.astype(int)).max() <= 1


def test_a_halo_that_is_too_small_would_be_seen() -> None:
    given_ = Picture(noise(40, 40, 3), None)
    whole = translate(engine(1000, radius=4), given_)
    short = engine(10, radius=4)
    short.fit = Fit(scale=2, halo=2)
    assert levels_apart(whole, translate(short, given_)) > 1


@settings(deadline=None)
@given(
    st.integers(1, 500),
    st.integers(1, 300),
    st.integers(0, 40),
    st.integers(1, 8),
    st.integers(1, 50),
)
def test_tiles_cover_a_side_once_evenly_and_see_enough(
    length: int, side: int, halo: int, step: int, minimum: int
) -> None:
    end = max(length, minimum)
    end += -end % step
    fit = Fit(multiple_of=step, minimum=minimum, halo=halo)
    spans = [tile.rows for tile in tiles((length, 1), (end, step), side, fit)]
    assert [span.start for span in spans] == [0, *(span.stop for span in spans[:-1])]
    assert spans[-1].stop == length
    sides = [span.stop - span.start for span in spans]
    assert max(sides) <= max(side, step)
    assert max(sides[:-1], default=0) - min(sides[:-1], default=0) <= step
    for span in spans:
        assert span.first <= max(0, span.start - halo)
        assert span.last >= min(end, span.stop + halo)
        assert span.first % step == span.last % step == 0
        assert minimum <= span.last - span.first <= end


def test_the_usual_tile_bounds_its_output_and_is_no_narrower_than_its_halo() -> None:
    fit = Fit(scale=4, halo=18)
    side = usual_side(fit, 2**20)
    assert (side + 2 * 18) * 4 == 1024
    assert usual_side(Fit(scale=4, halo=100), 2**20) == 100
    assert usual_side(Fit(scale=8, halo=0), 64) == 16


def test_large_pictures_run_in_tiles_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_SIDE_BY_SIDE_PIXELS", 80 * 80)
    usual = engine(scale=2, radius=2)
    small = Picture(noise(40, 40, 3), None)
    large = Picture(noise(90, 41, 3), None)
    translate(usual, small)
    assert seen(usual) == [(40, 40)]
    del seen(usual)[:]
    made = translate(usual, large)
    assert len(seen(usual)) == 6
    assert max(map(max, seen(usual))) <= 40
    assert levels_apart(made, translate(engine(1000, scale=2, radius=2), large)) <= 1


@pytest.mark.parametrize("error", ["cuda", "cpu"])
def test_out_of_memory_tiles_are_halved_until_they_fit(error: str) -> None:
    given_ = Picture(noise(64, 50, 3), None)
    tight = engine(largest=20 * 20, error=error)
    made = translate(tight, given_)
    assert seen(tight)[:2] == [(64, 50), (34, 27)]  # the whole; then the first of four
    assert seen(tight)[-1] == (18, 15)
    assert levels_apart(made, translate(engine(1000), given_)) <= 1
    # What did not fit is not tried again.
    del seen(tight)[:]
    translate(tight, given_)
    assert max(rows * columns for rows, columns in seen(tight)) <= 20 * 20


def test_what_fits_in_no_tile_is_an_error() -> None:
    tight = engine(largest=100)
    with pytest.raises(torch.OutOfMemoryError):
        translate(tight, Picture(noise(64, 50, 3), None))
    with pytest.raises(torch.OutOfMemoryError):
        translate(engine(norm=True, largest=100), Picture(noise(64, 50, 3), None))


@pytest.mark.parametrize("options", [{"norm": True}, {"random": True}])
def test_a_model_that_needs_the_whole_picture_refuses_tiles(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"--tile 64: the model needs the whole picture at once$"):
        engine(64, **options)
    with pytest.raises(UsageError, match=r"--size bounds its memory$"):
        engine(64, scale=1, **options)


def test_tensors_go_through_tiles_too() -> None:
    x = torch.rand(2, 3, 45, 31) * 2 - 1
    whole = engine(1000, gather=2).run_tensor(x, [0, 1])
    parts = engine(10, gather=2)
    made = parts.run_tensor(x, [0, 1])
    assert made.shape == (2, 3, 90, 62)
    assert len(seen(parts)) == 20
    assert torch.allclose(made, whole, atol=1e-5)
    assert torch.allclose(engine(gather=2, largest=900).run_tensor(x, [0, 1]), whole, atol=1e-5)


def test_the_python_door_takes_tiles() -> None:
    model = engine().model
    parts = Translator(model, device="cpu", precision="fp32", tile=16)
    x = torch.rand(3, 40, 40) * 2 - 1
    assert torch.allclose(parts(x), Translator(model, device="cpu", precision="fp32")(x), atol=1e-5)
    assert max(map(max, seen(parts.engine))) < 24


def test_16_bits_come_out_finer_than_8() -> None:
    ramp = np.linspace(20_000, 40_000, 64 * 64).astype(np.uint16).reshape(64, 64, 1)
    smooth = engine(20, precision="auto", scale=1, radius=1)
    with torch.no_grad():
        for layer in smooth._network(torch.float32).layers:  # type: ignore[union-attr]
            layer.weight.zero_()
            layer.weight[range(3), range(3), 1, 1] = 0.5
            layer.bias.zero_()
    made = translate(smooth, Picture(ramp.repeat(3, axis=2), None))
    assert made.pixels.dtype == np.uint16
    assert len(np.unique(made.pixels[..., 0])) > 2000


def test_in_bf16_tiles_are_close_to_the_whole() -> None:
    given_ = Picture(noise(64, 64, 3), None)
    options: dict[str, Any] = {"precision": "bf16", "radius": 4}
    whole, parts = (translate(engine(tile, **options), given_) for tile in (1000, 24))
    assert levels_apart(whole, parts) <= 4


def test_a_signal_stops_between_two_tiles(tmp_path: Path) -> None:
    Image.fromarray(noise(64, 64, 3)).save(tmp_path / "a.png")
    running = Pipeline(engine(8, seconds=0.05), Encoding(), batch_size=1, workers=1)
    plan = make_plan([str(tmp_path / "a.png")], "model", out=f"{tmp_path}/out/")
    before = signal.signal(signal.SIGINT, lambda *_: running.stop())
    asks = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
    began = time.monotonic()
    try:
        asks.start()
        assert list(running(plan.to_write)) == []
    finally:
        signal.signal(signal.SIGINT, before)
        asks.join()
    assert 1 <= len(seen(running.engine)) < 40  # of 64, each of a twentieth of a second
    assert time.monotonic() - began < 3
    assert not (tmp_path / "out").exists()


def test_the_command_takes_tiles(tmp_path: Path, home: Path, fake_plugin: Any) -> None:
    fake_plugin(PLUGIN)
    save_enlarging(home / "models" / "twice.safetensors")
    save_enlarging(home / "models" / "normed.safetensors", norm=True)
    Image.fromarray(noise(40, 33, 3)).save(tmp_path / "a.png")
    common = [str(tmp_path / "a.png"), "--device", "cpu", "--precision", "fp32", "-o"]
    for name, more in (("whole", []), ("parts", ["--tile", "16"])):
        out = str(tmp_path / f"{name}.png")
        result = CliRunner().invoke(cli, ["twice", *common, out, *more])
        assert result.exit_code == 0, result.output
    whole, parts = (
        np.asarray(Image.open(tmp_path / f"{name}.png"), np.int16) for name in ("whole", "parts")
    )
    assert whole.shape == (80, 66, 3)
    assert np.abs(whole - parts).max() <= 1
    result = CliRunner().invoke(cli, ["normed", *common, "x.png", "--tile", "16"])
    assert result.exit_code == 2
    assert "--tile 16: the model needs the whole picture at once" in result.output
