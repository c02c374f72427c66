"""The one loop: turns, averages, schedules, and runs that stop, go on and end where they should."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from PIL import Image
from torch import Tensor, nn

from tiny import finish, save_picture, start, unpaired_folder
from translate.bundle import load_bundle, load_model, save_bundle
from translate.cli.group import cli
from translate.errors import TranslateError, UsageError
from translate.home import models_folder
from translate.host import the_host
from translate.method import Batch, Export, Fixed, Method, Optimizer, Phase, Step
from translate.model import Header, read_header
from translate.options import Facts, Settings
from translate.pipeline.cache import InMemory
from translate.training import checkpoint
from translate.training.average import Average
from translate.training.loop import Trainer
from translate.training.phases import Player, only_these_learn, schedule, set_modes
from translate.training.previews import Previews
from translate.training.run import Interrupted, Run
from translate.training.settings import TrainingSettings
from translate_cyclegan.method import CycleGAN, CycleGANOptions
from translate_datasets.unpaired import Unpaired
from translate_distill.method import Distill, DistillOptions

CPU = torch.device("cpu")
TINY = CycleGANOptions(width=4, blocks=3, critic_width=4, critic_layers=1, pool=2)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return unpaired_folder(tmp_path / "pictures")


def pictures(count: int = 2, seed: int = 0, size: int = 16) -> Batch:
    """Return smooth pictures for both sides."""
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(count, 3, 4, 4, generator=generator) * 2 - 1 for _ in "ab")
    return Batch(
        {"a": F.interpolate(a, (size, size)), "b": F.interpolate(b, (size, size))},
        torch.arange(count),
    )


def trainer(method: Method[Any], **settings: Any) -> Trainer:
    return Trainer(method, TrainingSettings(**settings), CPU, torch.float32)


def copies(network: nn.Module) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in network.parameters()]


def changed(network: nn.Module, before: list[Tensor]) -> bool:
    pairs = zip(before, network.parameters(), strict=True)
    return any(not torch.equal(old, new) for old, new in pairs)


def teacher(folder: Path) -> str:
    """Write a small generator as a bundle and return its path."""
    torch.manual_seed(5)
    options = CycleGANOptions(widths=(4, 4, 8), blocks=3, separable=True)
    network = CycleGAN(options, Facts()).a2b
    for parameter in network.parameters():
        parameter.data.mul_(10)  # or all its pictures would be grey
    path = folder / "teacher.safetensors"
    header = Header(method="cyclegan", options=options.model_dump(mode="json"), export="a2b")
    save_bundle(path, header, network.state_dict())
    return str(path)


def student(folder: Path, **options: Any) -> Distill:
    values: dict[str, Any] = {"widths": (4, 4, 8), "blocks": 3, "judge_width": 4} | options
    method = Distill(DistillOptions(teacher=teacher(folder), **values), Facts())
    method.prepare()
    return method


# Turns


@pytest.mark.parametrize("kind", ["cyclegan", "distill"])
def test_each_phase_changes_exactly_the_networks_it_names(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    method: Method[Any] = (
        CycleGAN(TINY, Facts()) if kind == "cyclegan" else student(tmp_path, adversarial_weight=1)
    )
    subject = trainer(method)
    networks = dict(method.named_children())
    fixed = [value.network for value in vars(method).values() if isinstance(value, Fixed)]
    batch = pictures(size=24)
    steps = [Step(0, 0)]
    for turn, player in enumerate(subject.players):
        if not player.phase.active(0):
            continue
        before = {name: copies(network) for name, network in networks.items()}
        fixed_before = [copies(network) for network in fixed]
        subject._turn(turn, player, [batch], steps)
        for name, network in networks.items():
            named = any(network is learning for learning in player.phase.trains)
            assert changed(network, before[name]) == named, (player.phase.name, name)
        assert not any(map(changed, fixed, fixed_before))
    assert len(fixed) == (kind == "distill")


def test_a_turn_leaves_gradients_to_its_own_networks_alone() -> None:
    method = CycleGAN(TINY, Facts())
    method.critic_b.requires_grad_(False)  # the method's own wish
    with only_these_learn(method, list(method.a2b.parameters())):
        assert all(p.requires_grad for p in method.a2b.parameters())
        assert not any(p.requires_grad for p in method.critic_a.parameters())
    assert all(p.requires_grad for p in method.critic_a.parameters())
    assert not any(p.requires_grad for p in method.critic_b.parameters())


def test_what_a_method_froze_stays_frozen() -> None:
    method = CycleGAN(TINY, Facts())
    method.a2b.stages.get_submodule("stem").requires_grad_(False)
    stem, head = (method.a2b.stages.get_submodule(name) for name in ("stem", "head"))
    before = copies(stem), copies(head)
    trainer(method).step([[pictures()]])
    assert not changed(stem, before[0])
    assert changed(head, before[1])


def test_what_does_not_learn_in_a_stage_evaluates() -> None:
    method = CycleGAN(TINY, Facts())
    set_modes(method, [Phase("one", [method.a2b], lambda batch, step: {})])
    assert all(module.training for module in method.a2b.modules())
    assert not any(module.training for module in method.critic_a.modules())
    assert not method.training


class Counter(Method[Settings]):
    """Counts the turns of phases that come, go and pause."""

    def __init__(self) -> None:
        super().__init__(Settings(), Facts())
        self.net = nn.Linear(1, 1)
        self.turns: list[tuple[str, int]] = []

    def phases(self) -> list[Phase]:
        def phase(name: str, **when: Any) -> Phase:
            def losses(batch: Batch, step: Step) -> dict[str, Tensor]:
                self.turns.append((name, step.images))
                step.log(seen=torch.tensor(float(step.images)))
                return {"loss": self.net(torch.ones(1, 1)).sum()}

            return Phase(name, [self.net], losses, Optimizer(), **when)

        return [
            phase("never", until=0),
            phase("first", until=4),
            phase("second", since=4),
            phase("rare", every=3),
        ]

    def exports(self) -> dict[str, Export]:
        return {"net": Export(self.net, {"image": "a"})}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        return source["image"]


def test_phases_come_go_and_pause_as_they_say() -> None:
    subject = trainer(Counter())
    for _ in range(4):
        scalars = subject.step([[pictures(2)]])
    method = subject.method
    assert isinstance(method, Counter)
    assert method.turns == [
        *(("first", 0), ("rare", 0), ("first", 2), ("second", 4)),
        *(("second", 6), ("rare", 6)),
    ]
    assert (subject.number, subject.images) == (4, 8)
    assert float(scalars["rare/seen"]) == 6
    assert float(scalars["rare/loss"]) == pytest.approx(float(scalars["second/loss"]), abs=1e-3)


def test_what_is_logged_is_not_learned_from() -> None:
    """A step's logs must not be added to its losses: they would be a gradient of their own."""
    method = Counter()
    bias = method.net.bias.detach().clone()
    trainer(method).step([[pictures(2)]])
    assert float((bias - method.net.bias.detach()).abs()) == pytest.approx(
        4e-4, rel=0.01
    )  # two Adam steps


def test_accumulating_two_parts_is_as_good_as_the_whole_batch() -> None:
    results = []
    for parts in (1, 2):
        torch.manual_seed(0)
        method = CycleGAN(TINY.model_copy(update={"pool": 0}), Facts()).double()
        batch = pictures(4)
        cut = 4 // parts
        micro = [
            Batch({k: t[i : i + cut].double() for k, t in batch.tensors.items()}, batch.seeds[:cut])
            for i in range(0, 4, cut)
        ]
        subject = trainer(method, batch_size=4, accumulate=parts)
        results.append((subject.step([micro]), copies(method.a2b)))
    for name, value in results[0][0].items():
        torch.testing.assert_close(value, results[1][0][name], rtol=1e-5, atol=1e-6)
    largest = max(
        float((x - y).abs().max()) for x, y in zip(results[0][1], results[1][1], strict=True)
    )
    assert largest < 1e-5


def test_random_numbers_depend_on_the_place_in_the_run_alone() -> None:
    subject = trainer(Counter(), seed=3)
    drawn = []
    for place in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0)):
        subject.number = place[0]
        subject._reseed(*place[1:])
        drawn.append(float(torch.rand(())))
    assert len(set(drawn)) == 4
    assert drawn[0] == drawn[-1]


# Averages and schedules


@pytest.mark.parametrize(
    ("images", "new", "left"),
    # Late, the half-life of 100 images halves the old value; at 20 images it is still 20 / 20.
    [(10_000, 100, 0.5), (20, 10, 2**-10)],
)
def test_an_average_follows_with_its_half_life_and_ramps_up(
    images: int, new: int, left: float
) -> None:
    network = Constant(1.0)
    average = Average(network, halflife=100)
    network.number.data.fill_(0.0)
    average.update(images, new, set(network.parameters()))
    assert float(next(average.network.parameters())) == pytest.approx(left)


def test_what_does_not_learn_and_buffers_are_copied_into_the_average() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(network, halflife=1000)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    network(torch.randn(8, 2))
    average.update(100_000, 1, set(network[0].parameters()))
    pairs = zip(average.network.state_dict().items(), network.state_dict().values(), strict=True)
    for (name, mean), live in pairs:
        assert torch.equal(mean, live) == (not name.startswith("0.")), name


def test_rates_follow_their_schedules() -> None:
    shares = (-0.5, 0.0, 0.5, 0.75, 1.0, 1.5)
    kinds: dict[str, list[float]] = {
        "linear": [1, 1, 1, 0.5, 0, 0],
        "constant": [1] * 6,
        "step": [1, 1, 0.1, 0.01, 0.01, 0.01],
        "cosine": [1, 1, 0.5, 0.5 - 0.125**0.5, 0, 0],
    }
    for kind, factors in kinds.items():
        wanted = Optimizer(schedule=kind)  # type: ignore[arg-type]
        assert [schedule(wanted, share) for share in shares] == pytest.approx(factors), kind
    method = Counter()
    player = Player(Phase("x", [method.net], lambda b, s: {}, Optimizer(lr=1.0, schedule="linear")))
    for images, rate in ((0, 1.0), (100, 1.0), (150, 0.5), (200, 0.0)):
        player.set_rate(images, 200)
        assert player.optimizer.param_groups[0]["lr"] == rate
    staged = Phase(
        *("x", [method.net], lambda b, s: {}, Optimizer(lr=1.0, schedule="linear")),
        since=100,
        until=200,
    )
    player = Player(staged)
    player.set_rate(175, 1000)
    assert player.optimizer.param_groups[0]["lr"] == 0.5


# Methods


class Constant(nn.Module):
    """Adds a number: a generator whose losses can be worked out by hand."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.number


def test_cyclegan_losses_by_hand() -> None:
    method = CycleGAN(TINY.model_copy(update={"pool": 0}), Facts())
    method.a2b, method.b2a = Constant(0.5), Constant(-0.25)  # type: ignore[assignment]
    method.critic_a.network = method.critic_b.network = Constant(0.0)
    a, b = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    batch, step = Batch({"a": a, "b": b}, torch.tensor([0])), Step(0, 0)
    terms = {n: float(value.detach()) for n, value in method.generator_losses(batch, step).items()}
    # fake_b = 0.5, fake_a = 0.75; scores are the pictures themselves, and should be 1
    assert terms["adversarial"] == pytest.approx(0.5**2 + 0.25**2)
    # a -> 0.5 -> 0.25 and b -> 0.75 -> 1.25, both 0.25 off, weighed by the published 10
    assert terms["cycle"] == pytest.approx(10 * (0.25 + 0.25))
    # b2a(a) is 0.25 off, a2b(b) 0.5, weighed by the published 10 × 0.5
    assert terms["identity"] == pytest.approx(5 * (0.25 + 0.5))
    judged = {n: float(value.detach()) for n, value in method.critic_losses(batch, step).items()}
    # a: real scores 0 should be 1, fake scores 0.75 should be 0; b: real 1, fake 0.5
    assert judged["a"] == pytest.approx(0.5 * (1 + 0.75**2))
    assert judged["b"] == pytest.approx(0.5 * (0 + 0.5**2))
    assert "identity" not in CycleGAN(
        TINY.model_copy(update={"identity_weight": 0.0}), Facts()
    ).generator_losses(pictures(), Step(0, 0))


def test_cyclegan_has_the_published_defaults() -> None:
    o = CycleGANOptions()
    assert (o.cycle_weight, o.identity_weight, o.pool, o.adversarial) == (10, 0.5, 50, "lsgan")
    with torch.device("meta"):
        method = CycleGAN(o, Facts())
    optimizers = {phase.optimizer for phase in method.phases()}
    assert optimizers == {Optimizer("adam", 2e-4, (0.5, 0.999), "linear")}
    assert sum(p.numel() for p in method.parameters()) == 2 * (11_378_179 + 2_764_737)


def test_discriminators_train_without_a_generators_turn() -> None:
    method = CycleGAN(TINY, Facts())
    terms = method.critic_losses(pictures(), Step(0, 0))
    sum(terms.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in method.a2b.parameters())


@pytest.mark.parametrize(
    "options", [{"stages_until": 60}, {"feature_weight": 0.0, "widths": (4, 6, 8)}]
)
def test_a_student_learns_what_its_teacher_does(tmp_path: Path, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    method = student(tmp_path, **options)
    subject = trainer(method, images=400, batch_size=4, players={"all": {"lr": 5e-3}})
    heard: list[float] = []
    model = load_bundle(Path(tmp_path, "teacher.safetensors"))
    held_out = Batch({"image": pictures(4, seed=99)["a"]}, torch.arange(4))

    def error() -> float:
        with torch.no_grad():
            out = method.student(held_out["image"])
            return float((out - model(held_out)).abs().mean())

    before = error()
    while subject.images < 400:
        scalars = subject.step([[pictures(4, seed=subject.images)]])
        heard += [float(v) for name, v in scalars.items() if name.endswith("/output")]
    assert sum(heard[-3:]) / 3 < 0.8 * heard[0]
    assert error() < 0.7 * before


def test_a_teacher_is_in_no_checkpoint_and_moves_with_the_method(tmp_path: Path) -> None:
    method = student(tmp_path)
    assert all(name.startswith("student.") for name in method.state_dict())
    method.double()
    assert method.model is not None
    assert next(method.model.network.parameters()).dtype == torch.float64


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"teacher": ""}, "name the model"),
        ({"teacher": "nobody"}, "nobody"),
        (
            {"widths": (4, 6, 8)},
            r"widths \(4, 4, 8\);.* --set feature_weight=0 --set stages_until=0 ",
        ),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(
    tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    values: dict[str, Any] = {"teacher": teacher(tmp_path), "blocks": 3} | options
    with pytest.raises(UsageError, match=reason):
        Distill(DistillOptions(**values), Facts()).prepare()


# Runs


def test_a_run_leaves_a_log_samples_a_checkpoint_and_models(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "run"
    made = finish(start(folder, data, training__sample_every=4))
    assert [path.name for path in made] == ["a2b.safetensors", "b2a.safetensors"]
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [2, 4, 6, 8]
    terms = {"generator/adversarial", "generator/cycle", "generator/identity"}
    terms |= {"discriminator/a", "discriminator/b", "images_per_second", "waiting", "images"}
    terms |= {
        f"{phase}/{n}" for phase in ("generator", "discriminator") for n in ("gradient", "rate")
    }
    terms |= {"critic_a/above", "critic_b/above"}
    seen = ("spread", "luminance")
    terms |= {f"{export}/{number}" for export in ("a2b", "b2a") for number in seen}
    assert all(set(line) == terms for line in lines)
    assert lines[0]["generator/rate"] == 2e-4
    grids = sorted(path.name for path in (folder / "samples").iterdir())
    assert grids == ["00000001.png", "00000004.png", "00000008.png"]
    with Image.open(folder / "samples" / grids[0]) as grid:
        assert grid.size == (4 * 16 + 3 * 2, 4 * 16 + 3 * 2)
    header = read_header(made[0])
    assert (header.method, header.export, header.working_size) == ("cyclegan", "a2b", 16)
    assert header.card.summary == "trained by cyclegan on pictures"
    assert header.card.training["images"] == 8
    assert not list(folder.rglob(".*"))
    out = load_bundle(made[1])(Batch({"image": torch.zeros(1, 3, 16, 16)}, torch.tensor([0])))
    assert out.shape == (1, 3, 16, 16)


def test_a_bundle_holds_the_average(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data)
    made = finish(run)
    state = load_bundle(made[0]).network.state_dict()
    average = run.trainer.averages["a2b"].network.state_dict()
    assert all(torch.equal(state[name], average[name]) for name in average)
    plain = start(tmp_path / "plain", data, training__ema_halflife=0)
    state = load_bundle(finish(plain)[0]).network.state_dict()
    live = plain.trainer.method.get_submodule("a2b").state_dict()
    assert all(torch.equal(state[name], live[name]) for name in live)


def same_state(one: Any, other: Any, where: str = "") -> None:
    """Compare two checkpoints bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            same_state(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for place, (x, y) in enumerate(zip(one, other, strict=True)):
            same_state(x, y, f"{where}.{place}")
    else:
        assert one == other, where


COMMAND = [sys.executable, "-m", "translate", "train", "cyclegan", "--device", "cpu"]
OPTIONS = {
    "width": 4,
    "blocks": 3,
    "critic_width": 4,
    "critic_layers": 1,
    "pool": 3,
    "dropout": 0.5,
    "data.size": 16,
    "data.load": 20,
    "data.colour": 0.3,
    "training.ema_halflife": 20,
    "training.save_every": 10,
    "training.log_every": 5,
    "training.sample_every": 15,
}


def command(data: Path, folder: Path, images: int, *more: str) -> list[str]:
    settings = [part for key, value in OPTIONS.items() for part in ("--set", f"{key}={value}")]
    flags = ["--data", str(data), "--out", str(folder), "--images", str(images)]
    return [*COMMAND, *flags, "--precision", "fp32", "--batch-size", "2", *settings, *more]


def in_this_process(command: list[str]) -> None:
    """Run a command without the seconds that a fresh interpreter takes to import torch."""
    result = CliRunner().invoke(cli, command[command.index("train") :])
    assert result.exit_code == 0, result.output


def wait_for(path: Path, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.usefixtures("threads")
def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, data: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    in_this_process(command(data, whole, 60, "-q"))
    process = subprocess.Popen(command(data, broken, 60, "-q"))
    wait_for(broken / "last.pt", process)
    process.kill()
    process.wait()
    killed_at = checkpoint.load(broken / "last.pt")["images"]
    assert 0 < killed_at < 60
    with (broken / "log.jsonl").open("a") as log:
        log.write('{"images": 59, "lost": 1}\n{"images": 6')  # logged past the checkpoint
    in_this_process(command(data, broken, 60, "-q", "--resume"))

    same_state(checkpoint.load(whole / "last.pt"), checkpoint.load(broken / "last.pt"))
    logs = [
        [json.loads(line)["images"] for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (whole, broken)
    ]
    assert logs[0] == logs[1]
    assert logs[0][0] == 6
    assert logs[0][-1] == 60


@pytest.mark.usefixtures("threads")
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen(
        command(data, folder, 100_000, "--name", "mine"), stderr=subprocess.PIPE, text=True
    )
    wait_for(folder / "samples" / "00000002.png", process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "the same command with --resume goes on" in errors
    images = checkpoint.load(folder / "last.pt")["images"]
    assert f"stopped after {images:,} of 100,000 images" in errors
    assert not (models_folder() / "mine.safetensors").exists()
    assert load_bundle(folder / "a2b.safetensors").header.card.training["images"] == images


def test_a_run_killed_before_its_first_checkpoint_begins_again(tmp_path: Path, data: Path) -> None:
    finish(start(tmp_path / "whole", data))
    finish(start(tmp_path / "killed", data))
    for name in ("last.pt", "a2b.safetensors"):
        (tmp_path / "killed" / name).unlink()
    finish(start(tmp_path / "killed", data, resume=True))
    whole, killed = (checkpoint.load(tmp_path / run / "last.pt") for run in ("whole", "killed"))
    same_state(whole, killed)
    assert len((tmp_path / "killed" / "log.jsonl").read_text().splitlines()) == 4


def test_a_run_may_go_on_for_more_images_and_not_with_other_options(
    tmp_path: Path, data: Path
) -> None:
    folder = tmp_path / "run"
    finish(start(folder, data))
    with pytest.raises(UsageError, match="holds a run already; --resume") as caught:
        start(folder, data)
    assert caught.value.exit_code == 2
    other: dict[str, Any] = {"pool": 7, "data__load": 24, "training__seed": 1}
    with pytest.raises(UsageError) as caught:
        start(folder, data, resume=True, **other)
    for change in (
        "options.pool (was 50, now 7)",
        "data.load (was 20, now 24)",
        "training.seed (was 0, now 1)",
    ):
        assert change in str(caught.value)
    run = start(folder, data, resume=True, training__images=11, training__log_every=1)
    assert run.trainer.images == 8
    finish(run)
    assert checkpoint.load(folder / "last.pt")["images"] == 11
    save_picture(data / "trainA" / "more.png", 9)
    with pytest.raises(UsageError, match=r"found .was 'unpaired: 4 pictures in a.*now.*5 pictures"):
        start(folder, data, resume=True)


def test_resuming_what_is_no_run_is_refused(tmp_path: Path, data: Path) -> None:
    with pytest.raises(UsageError, match="no run to go on with"):
        start(tmp_path / "none", data, resume=True)
    folder = tmp_path / "run"
    finish(start(folder, data))
    for spoilt, reason in (
        (b"no checkpoint", "not a readable checkpoint"),
        ((folder / "last.pt").read_bytes()[:2000], "not a readable checkpoint"),
        ((tmp_path / "x.pt", {"number": 3}), "does not fit"),
        ((tmp_path / "x.pt", [1]), "not a checkpoint of a run"),
    ):
        if isinstance(spoilt, tuple):
            torch.save(spoilt[1], spoilt[0])
        content = spoilt if isinstance(spoilt, bytes) else spoilt[0].read_bytes()
        (folder / "last.pt").write_bytes(content)
        with pytest.raises(TranslateError, match=reason) as caught:
            start(folder, data, resume=True)
        assert "\n" not in str(caught.value)
    (folder / "options.json").write_text("[]")
    with pytest.raises(UsageError, match="not a run's options"):
        start(folder, data, resume=True)


def test_a_wrong_start_leaves_no_run_behind(tmp_path: Path, data: Path) -> None:
    with pytest.raises(UsageError, match="too small"):
        finish(start(tmp_path / "run", data, data__mode="crop", data__size=32))
    for name, value in {
        "blocks": 0,
        "nonsense": 1,
        "data__size": 18,
        "training__images": 0,
    }.items():
        with pytest.raises(UsageError):
            start(tmp_path / "run", data, **{name: value})  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_what_was_learned_is_saved_when_the_data_fails(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data, data__mode="native", training__images=1000)

    def spoil(images: int, scalars: object) -> None:
        if images == 6:
            assert isinstance(run.dataset, Unpaired)
            run.dataset._pixels.store = InMemory()
            for file in (data / "trainA").iterdir():
                file.unlink()

    with pytest.raises(TranslateError, match="none of its pictures can be read"):
        run.train(workers=1, progress=spoil)
    assert checkpoint.load(tmp_path / "run" / "last.pt")["images"] >= 6


@pytest.mark.parametrize("save_every", [2, 3])
def test_nan_stops_the_run_with_the_last_checkpoint_intact(
    tmp_path: Path, data: Path, save_every: int
) -> None:
    run = start(
        tmp_path / "run",
        data,
        training__images=50,
        training__save_every=save_every,
        training__log_every=5,
    )

    def spoil(images: int, scalars: object) -> None:
        if images == 8:
            bias = next(run.trainer.method.get_submodule("a2b").parameters())
            bias.data[0] = float("nan")

    with pytest.raises(TranslateError, match="what was saved before is intact"):
        run.train(workers=1, progress=spoil)
    state = checkpoint.load(tmp_path / "run" / "last.pt")
    assert 0 < state["images"] <= 8
    weights = [t for t in state["method"].values() if isinstance(t, Tensor)]
    assert all(bool(t.isfinite().all()) for t in weights)
    for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines():
        assert "NaN" not in line


def test_a_loss_that_is_no_number_is_named(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data)
    next(run.trainer.method.get_submodule("a2b").parameters()).data.fill_(float("inf"))
    with pytest.raises(TranslateError, match="generator/adversarial is nan"):
        finish(run)
    assert not (tmp_path / "run" / "last.pt").exists()


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Let no file grow past ``limit`` bytes, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_checkpoint_as_it_was(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "run"
    run = start(folder, data, training__images=20)
    files: dict[str, bytes] = {}

    def full(images: int, scalars: object) -> None:
        if images == 4:
            run.saver.save()
            files.update({p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()})

    run.train(workers=1, progress=full)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    run = start(folder, data, training__images=20, resume=True)
    with (
        full_disk(20_000),
        pytest.raises(TranslateError, match=r"last.pt: cannot be written: file"),
    ):
        finish(run)
    assert (folder / "last.pt").read_bytes() == files["last.pt"]
    assert (folder / "a2b.safetensors").read_bytes() == files["a2b.safetensors"]
    assert not list(folder.glob(".*"))
    finish(start(folder, data, training__images=20, resume=True))


def test_a_run_that_cannot_be_written_says_so(tmp_path: Path, data: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TranslateError, match="cannot be written"):
        finish(start(tmp_path / "file" / "run", data))


def test_sample_grids_do_not_disturb_training(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"dropout": 0.5, "norm": "batch"}
    finish(start(tmp_path / "often", data, training__sample_every=1, **options))
    monkeypatch.setattr(Previews, "save", lambda self, path: path)
    monkeypatch.setattr(Previews, "observe", lambda self: {})
    finish(start(tmp_path / "never", data, training__sample_every=1, **options))
    often, never = (checkpoint.load(tmp_path / run / "last.pt") for run in ("often", "never"))
    same_state(often, never)


def test_a_run_in_a_thread_needs_no_signals(tmp_path: Path, data: Path) -> None:
    made: list[Path] = []
    run = start(tmp_path / "run", data)
    thread = threading.Thread(target=lambda: made.extend(finish(run)))
    thread.start()
    thread.join(60)
    assert len(made) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_is_given_back_after_the_run(
    tmp_path: Path, data: Path, number: signal.Signals
) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run = start(tmp_path / "run", data)

    def stop(images: int, scalars: object) -> None:
        os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match="stopped after 1 of 8 images"):
        run.train(workers=1, progress=stop)
    assert checkpoint.load(tmp_path / "run" / "last.pt")["images"] == 1
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_events_are_told(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(the_host(), "notify", lambda event, **facts: told.append(event))
    finish(start(tmp_path / "run", data, training__images=2))
    assert told == [
        *("training_started", "samples_saved", "training_logged", "checkpoint_saved"),
        "training_ended",
    ]


def test_both_directions_are_installed(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data)
    made = finish(run)
    run.install(["there", "back"], made, overwrite=False)
    assert [load_model(name).header.export for name in ("there", "back")] == ["a2b", "b2a"]
    with pytest.raises(UsageError, match="'back' exists"):
        Run.install(["back"], made, overwrite=False)
    Run.install(["back"], made, overwrite=True)
    assert load_model("back").header.export == "a2b"
