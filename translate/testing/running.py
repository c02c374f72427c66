"""Checks of running an export: what comes out, at which sizes, and that it always is the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import safetensors.torch
import torch
from torch import Tensor

from translate.bundle import Model, fill, load_bundle, save_bundle
from translate.method import Fit
from translate.testing.building import CHANNELS, data, meta
from translate.testing.report import Broken, Problem, Skip, check, doing
from translate.testing.subject import Subject, part

_SAME = 1e-4  # of [-1, 1]; batches are computed in another order than single items
_SHARE = 0.1  # of the output's deviation: how far bf16 may be from fp32, on average
_ROUNDING = 2e-5  # of outputs in [-1, 1], by networks that lie otherwise in memory


@check(data)
def output(subject: Subject) -> Iterator[Problem]:
    """translate() gives finite pictures of the shape that Fit and Export.mode say."""
    for name, export in subject.exports.items():
        model, fit = subject.model(name), subject.fit(name)
        side = subject.side(fit)
        height, width = (side, 2 * side) if subject.reads_one_picture(export) else (side, side)
        source = subject.source(export, (height, width))
        with doing(f"{name}: translate() of {width}×{height} pixels fails", "translate"):
            out = subject.run(model, source)
        channels, count = CHANNELS[export.mode[1]], len(source)
        if out.ndim != 4 or out.shape[:2] != (count, channels):
            text = f"{name}: gives {tuple(out.shape)} for {count} items, but the mode out is "
            yield Problem(f"{text}{export.mode[1]}: ({count}, {channels}, H, W)", "translate")
        elif subject.reads_one_picture(export) and out.shape[2:] != _scaled((height, width), fit):
            yield Problem(f"{name}: {_sizes((height, width), out, fit)}", "fit")
        if not out.isfinite().all():
            yield Problem(f"{name}: gives numbers that are not finite", "translate")


def _scaled(shape: tuple[int, int], fit: Fit) -> tuple[int, int]:
    return shape[0] * fit.scale, shape[1] * fit.scale


def _sizes(shape: tuple[int, int], out: Tensor, fit: Fit) -> str:
    (height, width), (high, wide) = shape, _scaled(shape, fit)
    got = f"{width}×{height} pixels become {out.shape[3]}×{out.shape[2]}"
    return f"{got}, but {fit} promises {wide}×{high}"


@check(output)
def value_range(subject: Subject) -> Iterator[Problem]:
    """Output stays in [-1, 1], whatever the weights."""
    for name, export in subject.exports.items():
        model, side = subject.model(name), subject.side(subject.fit(name))
        source = subject.source(export, (side, side))
        for factor in (1, 3, 8):  # what training may do to weights
            larger = copy.deepcopy(model.network)
            with torch.no_grad():
                for parameter in larger.parameters():
                    parameter.mul_(factor)
            out = subject.run(model, source, larger)
            extreme = float(out.abs().max())
            if out.isfinite().all() and extreme > 1 + _SAME:
                text = f"{name}: gives {extreme:.3g}, outside of [-1, 1], with weights {factor} "
                yield Problem(f"{text}times as large; end with tanh or clamp", "translate")
                break


@check(output)
def network(subject: Subject) -> Iterator[Problem]:
    """translate() runs the network that it is given, and lets gradients through."""
    for name, export in subject.exports.items():
        model, side = subject.model(name), subject.side(subject.fit(name))
        given, calls = copy.deepcopy(model.network), list[int]()
        given.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        source = subject.source(export, (side, side), count=1)
        with torch.enable_grad():
            tensors = {
                n: t.clone().requires_grad_(t.is_floating_point())
                for n, t in source.tensors.items()
            }
            out = model.method.translate(given, replace(source, tensors=tensors))
        if not calls:
            text = f"{name}: translate() does not call the network it is given, but another one "
            yield Problem(f"{text}or parts of it; averages and loaded models come in", "translate")
            continue
        learning = [p for p in given.parameters() if p.requires_grad]
        inputs = [t for t in tensors.values() if t.requires_grad]
        for what, wanted in (("the network's weights", learning), ("its source", inputs)):
            if wanted and not _reached(out, wanted):
                text = f"{name}: translate() lets no gradient through to {what}"
                yield Problem(text, "translate")


def _reached(out: Tensor, wanted: Sequence[Tensor]) -> bool:
    if not out.requires_grad:
        return False
    found = torch.autograd.grad(out.sum(), list(wanted), allow_unused=True, retain_graph=True)
    return any(gradient is not None for gradient in found)


@check(network)
def seeds(subject: Subject) -> Iterator[Problem]:
    """The same seeds give the same output."""
    for name, export in subject.exports.items():
        model, side = subject.model(name), subject.side(subject.fit(name))
        source = subject.source(export, (side, side))
        outputs = []
        for state in (1, 2):
            torch.default_generator.manual_seed(state)
            outputs.append(subject.run(model, source))
        apart = _apart(*outputs)
        if apart:
            text = f"{name}: the same seeds give outputs that differ by up to {apart:.2g}; draw "
            yield Problem(f"{text}from source.noise(), and keep no state", "translate")


def _apart(one: Tensor, two: Tensor) -> float:
    return float((one - two).abs().max()) if one.shape == two.shape else float("inf")


@check(output)
def sizes(subject: Subject) -> Iterator[Problem]:
    """Any size goes in through the host's padding and comes out, times the scale."""
    ran = False
    for name, export in subject.exports.items():
        if not subject.reads_one_picture(export):
            continue
        ran, fit, engine = True, subject.fit(name), subject.engine(name)
        side, least = subject.side(fit), subject.side(fit, 1)
        [field] = export.reads
        for shape in ((least, least), (1, 1), (side + 1, side + 3), (2 * side - 1, side + 2)):
            pixels = subject.source(export, shape)[field]
            what = f"{name}: {shape[1]}×{shape[0]} pixels, padded as {fit} says, fail"
            with doing(what, "fit"):
                out = engine.run_tensor(pixels[:1], [0])
            if out.shape[2:] != _scaled(shape, fit):
                yield Problem(f"{name}: {_sizes(shape, out, fit)}", "fit")
                break
    if not ran:
        raise Skip("no export reads a picture alone")


@check(seeds)
def batches(subject: Subject) -> Iterator[Problem]:
    """A batch gives what its items give one by one."""
    ran = False
    for name, export in subject.exports.items():
        model, fit = subject.model(name), subject.fit(name)
        if not fit.independent:
            continue
        ran, side = True, subject.side(fit)
        source = subject.source(export, (side, side), count=3)
        whole = subject.run(model, source)
        alone = torch.cat([subject.run(model, part(source, i)) for i in range(len(source))])
        apart = _apart(whole, alone)
        if apart > _SAME:
            text = f"{name}: three items at once differ from one by one by up to {apart:.2g}; mend "
            yield Problem(f"{text}it, or say so with Fit(independent=False)", "translate")
    if not ran:
        raise Skip("Fit(independent=False)")


@check(sizes, seeds)
def tiles(subject: Subject) -> Iterator[Problem]:
    """A crop with the halo that Fit names equals that part of the whole."""
    ran = False
    for name, export in subject.exports.items():
        fit = subject.fit(name)
        if fit.halo is None:
            continue
        ran, model = True, subject.model(name)
        tile, step = subject.side(fit), fit.multiple_of
        halo = fit.halo + -fit.halo % step
        crop, span = 2 * halo + tile, 2 * halo + 3 * tile
        source = subject.source(export, (span, span), count=1)
        here = slice(tile, tile + crop)
        cropped = {n: t[..., here, here] for n, t in source.tensors.items()}
        whole = _inner(subject.run(model, source), tile + halo, tile, fit)
        alone = _inner(subject.run(model, replace(source, tensors=cropped)), halo, tile, fit)
        apart = _apart(whole, alone)
        if apart > _SAME:
            text = f"{name}: a tile with halo={fit.halo} differs from the whole by {apart:.2g}; "
            yield Problem(f"{text}enlarge it, or None if all of the picture matters", "fit")
    if not ran:
        raise Skip("Fit(halo=None): it needs the whole picture")


def _inner(out: Tensor, start: int, side: int, fit: Fit) -> Tensor:
    here = slice(start * fit.scale, (start + side) * fit.scale)
    return out[..., here, here]


@check(seeds, meta)
def bundle(subject: Subject) -> Iterator[Problem]:
    """What is saved as a bundle and loaded gives the same output."""
    for name in subject.exports:
        model = subject.model(name)
        with torch.no_grad():  # as training would, leave nothing at its initial value
            for tensor in model.network.state_dict().values():
                if tensor.is_floating_point():
                    tensor.mul_(1 + 0.1 * torch.rand(tensor.shape)).add_(0.01)
        yield from survives(subject, name, model)


def survives(subject: Subject, name: str, model: Model) -> Iterator[Problem]:
    """Save and load a model, and compare what both give."""
    export, side = model.export, subject.side(model.fit)
    path = subject.folder / f"{name}.safetensors"
    with doing(f"{name}: its weights cannot be saved", type(model.network)):
        save_bundle(path, subject.header(name), model.network.state_dict())
    with doing(f"{name}: its bundle cannot be loaded", "__init__"):
        loaded = _load(subject, name)
    source = subject.source(export, (side, side))
    beside = [n for n, t in loaded.method.named_buffers(recurse=False) if t.is_meta]
    hint = f" (as the method's own {', '.join(beside)} are)" if beside else ""
    try:
        apart = _apart(subject.run(model, source), subject.run(loaded, source))
    except Exception as error:
        text = f"{name}: translate() fails after loading ({error}); it may use the network given, "
        raise Broken(f"{text}but nothing beside it{hint}", "translate") from error
    if not apart <= _ROUNDING:
        text = f"{name}: output differs by {apart:.2g} after saving and loading; something that it "
        yield Problem(f"{text}needs is not in the network's state dict{hint}", type(model.network))


def _load(subject: Subject, name: str) -> Model:
    path = subject.folder / f"{name}.safetensors"
    if subject.entry is not None:
        return load_bundle(path)
    method = subject.new(device="meta")
    export = method.exports()[name]
    fill(export.network, safetensors.torch.load_file(path), where=str(path))
    export.network.eval()
    return Model(subject.header(name), method, export)


@check(sizes, seeds)
def bf16(subject: Subject) -> Iterator[Problem]:
    """In bf16 the engine gives nearly what it gives in fp32."""
    for name, export in subject.exports.items():
        if not subject.reads_one_picture(export):
            continue
        side = 2 * subject.side(subject.fit(name))
        [field] = export.reads
        pixels = subject.source(export, (side, side), count=1)[field]
        with doing(f"{name}: fails in bf16", "translate"):
            full, half = (
                subject.engine(name, kind).run_tensor(pixels, [0]) for kind in ("fp32", "bf16")
            )
        allowed = _SHARE * float(full.std()) + 0.01
        apart = float((full - half).abs().mean())
        if not apart <= allowed:
            text = f"{name}: in bf16 the output is {apart:.2g} away on average; {allowed:.2g} "
            yield Problem(f"{text}may be", type(export.network))


CHECKS = (output, value_range, network, seeds, sizes, batches, tiles, bundle, bf16)
