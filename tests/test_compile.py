"""``--compile`` changes the speed, not what is learned."""

from __future__ import annotations

import os
import shutil
from functools import partialmethod
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

import test_text2image
from test_players import batch, pair, trainer
from translate.networks import ResnetGenerator, features
from translate.training.loop import Trainer
from translate.training.settings import TrainingSettings


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile as far as gradients, which is where it can go wrong, and make no machine code."""
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))
    torch._dynamo.reset()
    counters.clear()


def learned(adversarial: str, *, compiled: bool) -> tuple[Trainer, list[Tensor]]:
    subject = trainer(pair(adversarial))
    if compiled:
        subject.compile()
    for number in range(3):
        subject.step([[batch(10 * number + place)] for place in range(subject.updates())])
    return subject, [p.detach().clone() for p in subject.method.parameters()]


def same_weights(adversarial: str) -> None:
    plain, expected = learned(adversarial, compiled=False)
    compiled, found = learned(adversarial, compiled=True)
    assert counters["frames"]["ok"] >= 2  # the generator and the discriminator
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    # It is the same checkpoint, too.
    state = compiled.state_dict()
    assert state["method"].keys() == plain.state_dict()["method"].keys()
    plain.load_state_dict(state)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("adversarial", ["lsgan", "wgan-gp", "dragan"])
def test_compiled_networks_learn_what_others_do(adversarial: str) -> None:
    """A penalty's gradient has a gradient itself, which a compiled graph has not."""
    same_weights(adversarial)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("options", [{}, {"adversarial": "non-saturating", "r1": 1.0}])
def test_a_part_that_is_compiled_by_itself_can_be_penalised(options: dict[str, Any]) -> None:
    """The eyes of the discriminator learn in a stage of their own."""
    losses = []
    for compiled in (False, True):
        made = test_text2image.method(**options)
        settings = TrainingSettings(images=64, batch_size=4, precision="fp32")
        subject = Trainer(made, settings, torch.device("cpu"), torch.float32)
        if compiled:
            subject.compile()
        steps = [subject.step([[test_text2image.batch(4, 4 * n)]]) for n in range(4)]
        losses.append(float(steps[-1]["discriminator/image"]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
@pytest.mark.skipif(
    not os.environ.get("TRANSLATE_TEST_COMPILE"),
    reason="takes a minute; TRANSLATE_TEST_COMPILE=1 runs it",
)
def test_machine_code_learns_what_others_do() -> None:
    torch._dynamo.reset()
    counters.clear()
    same_weights("wgan-gp")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("part", ["", "stages"])
def test_features_of_a_compiled_network_are_those_of_a_plain_one(part: str) -> None:
    """Hooks come after the network was compiled, and after it was called without them."""
    network = ResnetGenerator(widths=(4, 4, 4), blocks=3, norm="none")
    x = torch.randn(1, 3, 16, 16)
    layers = ["stages.body1", "", "stages.stem"]
    expected, whole = features(network, x, layers), network(x)
    network.get_submodule(part).compile()
    torch.testing.assert_close(network(x), whole)
    ran: list[str] = []
    network.stages[-1].register_forward_hook(lambda module, args, out: ran.append("head"))
    for _ in range(2):
        for one, other in zip(features(network, x, layers), expected, strict=True):
            torch.testing.assert_close(one, other)
    assert ran == ["head", "head"]
    [stem] = features(network, x, ["stages.stem"])
    torch.testing.assert_close(stem, expected[2])
    assert ran == ["head", "head"]
    frames = counters["frames"]["ok"]
    torch.testing.assert_close(network(x), whole)  # and it is compiled as before
    assert counters["frames"]["ok"] >= frames >= 1  # torch 2.10 compiles it anew
