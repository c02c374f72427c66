"""What the paper says holds: PatchNCE by hand, the depths, who learns, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from translate import Batch, Facts, Phase, Step
from translate.networks import features
from translate_cut.method import CUT, CUTOptions, FastCUT, FastCUTOptions, mirror, patch_nce

SMALL: dict[str, Any] = {"width": 4, "blocks": 3, "critic_width": 4, "critic_layers": 1}
SMALL |= {"patches": 16, "features": 8}


def cut(**options: Any) -> CUT:
    torch.manual_seed(0)
    return CUT(CUTOptions(**(SMALL | options)), Facts())


def batch(count: int = 2, size: int = 16) -> Batch:
    g = torch.Generator().manual_seed(5)
    a, b = torch.rand(2, count, 3, size, size, generator=g) * 2 - 1
    return Batch({"a": a, "b": b * 0.5 + 0.5}, torch.arange(count))


def unit(*shape: int) -> Tensor:
    return nn.functional.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def test_patch_nce_is_the_cross_entropy_of_the_diagonal() -> None:
    torch.manual_seed(0)
    query, key = unit(2, 5, 3).requires_grad_(), unit(2, 5, 3)
    loss = patch_nce(query.float(), key.float(), 0.07)
    loss.backward()  # type: ignore[no-untyped-call]

    expected, gradient = 0.0, torch.zeros_like(query)
    for n in range(2):
        for s in range(5):
            chances = torch.stack([(query[n, s] @ key[n, t] / 0.07).exp() for t in range(5)])
            chances = (chances / chances.sum()).detach()
            expected -= float(chances[s].log()) / 10
            # It is drawn to its own key, and pushed from where the others are on average.
            gradient[n, s] = (chances @ key[n] - key[n, s]) / 0.07 / 10
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(query.grad, gradient, rtol=1e-4, atol=1e-6)


def test_patch_nce_knows_what_is_right_and_what_is_chance() -> None:
    directions = torch.eye(6).expand(3, 6, 6)
    assert float(patch_nce(directions, directions, 0.07)) < 1e-4
    assert float(patch_nce(directions, directions.roll(1, 1), 0.07)) > 10
    same = directions[:, :1].expand(3, 6, 6)
    assert float(patch_nce(same, same, 0.07)) == pytest.approx(torch.tensor(6.0).log().item())


def test_other_pictures_are_no_negatives() -> None:
    query, key = unit(2, 5, 3).float(), unit(2, 5, 3).float()
    both = patch_nce(query, key, 0.07)
    alone = [patch_nce(query[n : n + 1], key[n : n + 1], 0.07) for n in range(2)]
    torch.testing.assert_close(both, torch.stack(alone).mean())


def test_the_depths_see_what_the_paper_says() -> None:
    """Appendix C.1 gives receptive fields of 1, 9, 15, 35 and 99 pixels."""
    method = CUT(CUTOptions(**(SMALL | {"blocks": 9, "norm": "batch"})), Facts()).double().eval()
    for parameter in method.generator.parameters():
        nn.init.constant_(parameter, 0.1)  # no ReLU hides what it sees
    x = torch.rand(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    seen = []
    for found in method.encode(x):
        middle = found.shape[2] // 2
        (gradient,) = torch.autograd.grad(found[0, :, middle, middle].sum(), x, retain_graph=True)
        where = gradient[0].sum(0).nonzero()
        seen.append((where.max(0).values - where.min(0).values + 1).tolist())
    assert seen == [[side, side] for side in (1, 9, 15, 35, 99)]


@pytest.mark.parametrize("blocks", [3, 9])
def test_each_depth_has_its_head(blocks: int) -> None:
    method = cut(blocks=blocks)
    channels = [found.shape[1] for found in method.encode(batch()["a"])]
    assert channels == [3, 8, 16, 16, 16]
    assert [head.layers[0].in_features for head in method.heads] == channels  # type: ignore[index,union-attr]
    last = "stages.body2.1" if blocks == 9 else "stages.body3.0"
    assert torch.equal(
        method.encode(batch()["a"])[-1], features(method.generator, batch()["a"], [last])[0]
    )


def test_only_the_output_is_pulled_not_the_input() -> None:
    """Gradients reach the generator through what it made; the input's features are given."""
    method, data = cut(), batch()
    made = data["b"].clone().requires_grad_()
    source = data["a"].clone().requires_grad_()
    method.contrast(made, source, data, torch.zeros(2, dtype=torch.bool)).backward()  # type: ignore[no-untyped-call]
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert source.grad is None or not source.grad.any()


def test_a_sample_is_compared_at_its_own_places_whatever_is_beside_it() -> None:
    method, data = cut(), batch()
    flips = torch.tensor([True, False])
    both = method.contrast(data["b"], data["a"], data, flips)
    alone = []
    for n in range(2):
        one = Batch({k: v[n : n + 1] for k, v in data.tensors.items()}, data.seeds[n : n + 1])
        alone.append(method.contrast(one["b"], one["a"], one, flips[n : n + 1]))
    torch.testing.assert_close(both, torch.stack(alone).mean())


def test_mirrored_features_are_turned_back() -> None:
    """A generator that changes nothing has the same loss on a mirrored picture of columns."""
    data, flips = batch(), torch.tensor([True, True])
    columns = data["a"][:, :, :1].expand(-1, -1, 16, -1)
    pixels = cut()
    pixels.layers, pixels.heads = [], nn.ModuleList([pixels.heads[0]])
    straight = pixels.contrast(columns, columns, data, ~flips)
    turned = pixels.contrast(mirror(columns, flips), columns, data, flips)
    torch.testing.assert_close(turned, straight)
    assert pixels.contrast(mirror(columns, flips), columns, data, ~flips) > straight + 0.1


def test_about_half_of_the_inputs_are_mirrored_each_by_its_own_seed() -> None:
    data = batch(8)
    seen: list[Tensor] = []
    for method in (cut(), cut(flip=True)):
        method.generator.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        method.generator_losses(data, Step(0, 0))
        straight = [torch.equal(x, y) for x, y in zip(seen[0], data["a"], strict=True)]
        turned = [torch.equal(x, y.flip(2)) for x, y in zip(seen[0], data["a"], strict=True)]
        assert all(one != other for one, other in zip(straight, turned, strict=True))
        assert 1 < sum(turned) < 7 if method.options.flip else all(straight)
        seen.clear()


def test_heads_give_directions() -> None:
    method, data = cut(), batch()
    places = torch.arange(5).repeat(2, 1)
    for found, head in zip(method.encode(data["a"]), method.heads, strict=True):
        described = head(found, places)
        assert described.shape == (2, 5, 8)
        torch.testing.assert_close(described.norm(dim=2), torch.ones(2, 5))
        swapped = head(found, places.flip(1)).flip(1)
        torch.testing.assert_close(described, swapped)


def test_fastcut_differs_as_published() -> None:
    fast, full = FastCUTOptions(), CUTOptions()
    assert (full.nce_weight, full.identity_weight, full.flip) == (1, 1, False)
    assert (fast.nce_weight, fast.identity_weight, fast.flip) == (10, 0, True)
    same = set(CUTOptions.model_fields) - {"nce_weight", "identity_weight", "flip"}
    assert all(getattr(fast, name) == getattr(full, name) for name in same)
    small = FastCUT(FastCUTOptions(**SMALL), Facts())
    assert small.generator_losses(batch(), Step(0, 0)).keys() == {"adversarial", "nce"}
    assert cut().generator_losses(batch(), Step(0, 0)).keys() == {"adversarial", "nce", "identity"}


def learn(method: CUT, data: Batch, steps: int) -> list[float]:
    """Take turns on one batch; return the generator's contrastive loss, step by step."""
    rates = [3e-3, 3e-4]
    optimizers = [
        torch.optim.Adam([p for m in phase.trains for p in m.parameters()], rate)
        for phase, rate in zip(method.phases(), rates, strict=True)
    ]
    history = []
    for number in range(steps):
        step = Step(number, number * len(data))
        for phase, optimizer in zip(method.phases(), optimizers, strict=True):
            optimizer.zero_grad()
            terms = phase.losses(data, step)
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if "nce" in terms:
                history.append(terms["nce"].item())
    return history


def test_the_contrast_falls_far_below_chance() -> None:
    method = cut(identity_weight=0)
    history = learn(method, batch(), 60)
    assert history[0] > 2  # chance: log 16 = 2.8
    assert min(history[-5:]) < 0.4 * history[0]


def test_half_precision_pulls_the_same_way() -> None:
    def gradients(precise: bool) -> dict[str, Tensor]:
        method = cut()
        phase: Phase = method.phases()[0]
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            losses = phase.losses(batch(), Step(0, 0))
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
        return {n: p.grad for n, p in method.heads.named_parameters() if p.grad is not None}

    exact, rough = gradients(True), gradients(False)
    assert exact.keys() == rough.keys() == {n for n, _ in cut().heads.named_parameters()}
    for name in exact:
        alike = nn.functional.cosine_similarity(exact[name].flatten(), rough[name].flatten(), 0)
        assert float(alike) > 0.8, name
