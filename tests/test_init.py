"""``--init``: a run begins with the weights of another, of a model, or of a file."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from test_training import same_state
from tiny import DATA, NETWORK, finish, unpaired_folder
from tiny import plan as tiny_plan
from translate import AdversarialOptions, Discriminator
from translate.bundle import load_bundle
from translate.cli.group import cli
from translate.errors import TranslateError, UsageError
from translate.method import Batch, Export, Method, Phase
from translate.networks import ResnetGenerator
from translate.options import Facts
from translate.training import checkpoint
from translate.training.initial import begin_from
from translate.training.loop import Trainer
from translate.training.plan import make_plan, split_assignments
from translate.training.run import Run
from translate.training.settings import TrainingSettings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpaired_folder(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="module")
def first(data: Path) -> Path:
    """Return a finished run with four images."""
    folder = data.parent / "first"
    run = Run(folder, tiny_plan(data, training__images=4), device="cpu", resume=False)
    finish(run)
    return folder


def begin(
    folder: Path, data: Path, init: str | Path, *, resume: bool = False, **values: Any
) -> Run:
    groups: dict[str, Any] = {"data": dict(DATA), "training": {"precision": "fp32", "images": 3}}
    options = NETWORK | values
    plan = make_plan(
        "cyclegan", (str(data),), None, {}, split_assignments(groups | options), str(init)
    )
    return Run(folder, plan, device="cpu", resume=resume)


def weights(run: Run, name: str) -> dict[str, Tensor]:
    state = run.trainer.method.get_submodule(name).state_dict()
    return {key: value.clone() for key, value in state.items() if isinstance(value, Tensor)}


def equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_of_a_run_models_begin_averaged_and_the_others_as_they_were_last(
    tmp_path: Path, data: Path, first: Path
) -> None:
    state = checkpoint.load(first / "last.pt")
    run = begin(tmp_path / "run", data, first)
    assert run.begun_from == f"a2b, b2a, critic_a, critic_b from {first}"
    for name in ("a2b", "b2a"):
        assert equal(weights(run, name), state["averages"][name])
        assert equal(run.trainer.averages[name].network.state_dict(), state["averages"][name])
    live = {k: v for k, v in state["method"].items() if isinstance(v, Tensor)}
    assert not equal(weights(run, "a2b"), {k[4:]: v for k, v in live.items() if k[:4] == "a2b."})
    for name in ("critic_a", "critic_b"):
        mine = weights(run, name)
        assert equal(mine, {key: live[f"{name}.{key}"] for key in mine})
    assert run.trainer.images == run.trainer.number == 0
    assert not run.trainer.players[0].optimizer.state


def test_a_checkpoints_file_does_as_its_run_does(tmp_path: Path, data: Path, first: Path) -> None:
    from_run = begin(tmp_path / "one", data, first)
    from_file = begin(tmp_path / "two", data, shutil.copy(first / "last.pt", tmp_path / "x.pt"))
    same_state(from_run.trainer.state_dict(), from_file.trainer.state_dict())


@pytest.mark.parametrize("by_name", [False, True])
def test_of_a_model_its_network_is_taken_and_the_others_begin_anew(
    tmp_path: Path, data: Path, first: Path, home: Path, by_name: bool, monkeypatch: Any
) -> None:
    source = str(first / "b2a.safetensors")
    if by_name:
        Run.install(["mine"], [Path(source)], overwrite=False)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mine").mkdir()  # a folder of that name is not what is meant
        source = "mine"
    run = begin(tmp_path / "run", data, source)
    assert run.begun_from == f"b2a from {source}; a2b, critic_a, critic_b anew"
    model = load_bundle(first / "b2a.safetensors").network.state_dict()
    assert equal(weights(run, "b2a"), model)
    plain = begin(tmp_path / "plain", data, "")
    assert equal(weights(run, "a2b"), weights(plain, "a2b"))
    assert not equal(weights(run, "b2a"), weights(plain, "b2a"))


def test_a_model_with_one_network_becomes_the_one_of_another_method(
    tmp_path: Path, data: Path, first: Path
) -> None:
    """The names of exports are a method's own business where each has one."""
    source = str(first / "a2b.safetensors")
    method = Nested(["generator"], make=lambda: ResnetGenerator(widths=(4, 8, 16), blocks=3))
    assert begin_from(method, source) == f"networks.generator from {source}; critic anew"
    network = load_bundle(Path(source)).network
    assert equal(method.networks["generator"].state_dict(), network.state_dict())


def test_a_second_stage_has_a_discriminator_that_the_first_had_not(tmp_path: Path) -> None:
    one, two = Stages(judged=False), Stages(judged=True)
    trainer = Trainer(one, TrainingSettings(ema_halflife=0), CPU, torch.float32)
    checkpoint.save(tmp_path / "last.pt", trainer.state_dict())
    before = copy.deepcopy(two.judge.state_dict())
    said = begin_from(two, str(tmp_path))
    assert said == f"generator from {tmp_path}; judge anew"
    assert torch.equal(one.generator.weight, two.generator.weight)
    assert equal({"network.weight": before["network.weight"]}, two.judge.state_dict())
    # And back: what the source has besides is left.
    trainer = Trainer(two, TrainingSettings(), CPU, torch.float32)
    checkpoint.save(tmp_path / "last.pt", trainer.state_dict())
    assert begin_from(Stages(judged=False), str(tmp_path)) == f"generator from {tmp_path}"


# Networks in other places than a method's own attributes


@pytest.mark.parametrize("halflife", [0, 500])
def test_an_export_may_be_part_of_a_module_with_other_networks_in_it(
    tmp_path: Path, halflife: int
) -> None:
    names = ["generator", "other"]
    one, two = saved(tmp_path, Nested(names), halflife), Nested(names)
    said = begin_from(two, str(tmp_path))
    assert said == f"networks.generator, networks, critic from {tmp_path}"
    for name in ("networks.other", "critic"):
        assert equal(one.get_submodule(name).state_dict(), two.get_submodule(name).state_dict())
    mine = two.get_submodule("networks.generator").state_dict()
    theirs = one.get_submodule("networks.generator").state_dict()
    assert all(torch.equal(mine[k], theirs[k] + (100 if halflife else 0)) for k in mine)


def test_an_exported_part_of_a_network_that_is_exported_too_is_taken(tmp_path: Path) -> None:
    one, two = saved(tmp_path, Whole()), Whole()
    assert begin_from(two, str(tmp_path)) == f"generator, generator.0 from {tmp_path}"
    for key, value in two.generator.state_dict().items():
        assert torch.equal(value, one.generator.state_dict()[key] + 100), key


def test_a_part_that_is_an_attribute_too_is_taken_averaged(tmp_path: Path) -> None:
    """Shared weights are in a checkpoint twice, and only once among the averages."""
    one, two = saved(tmp_path, Shared()), Shared()
    assert begin_from(two, str(tmp_path)) == f"generator from {tmp_path}"
    assert torch.equal(two.encoder.weight, one.encoder.weight + 100)
    assert two.encoder.weight is two.generator[0].weight


# What cannot be


def test_another_architecture_is_refused_by_its_first_tensor(
    tmp_path: Path, data: Path, first: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        begin(tmp_path / "run", data, first, width=8)
    assert str(caught.value) == (
        f"--init {first}: a2b is another network there: stages.stem.1.weight is [4, 3, 7, 7] there "
        "and [8, 3, 7, 7] here; set the options that it was made with"
    )
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match=r"it lacks stages\.body1\.1\.first.*; set the options"):
        begin(tmp_path / "run", data, first / "a2b.safetensors", blocks=6)


def test_a_network_with_more_than_ours_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, Nested(["generator", "other"]))
    method = Nested(["generator", "other"], make=lambda: nn.Linear(2, 2, bias=False))
    before = method.critic.weight.detach().clone()
    with pytest.raises(UsageError, match=r"networks\.generator .*: it has bias besides; set"):
        begin_from(method, str(tmp_path))
    assert torch.equal(method.critic.weight, before)


def test_a_discriminator_of_another_size_begins_anew(
    tmp_path: Path, data: Path, first: Path
) -> None:
    run = begin(tmp_path / "run", data, first, critic_width=8)
    assert run.begun_from == f"a2b, b2a from {first}; critic_a, critic_b anew"


def nothing(folder: Path) -> str:
    return "nobody"


def no_run(folder: Path) -> str:
    (folder / "empty").mkdir()
    return str(folder / "empty")


def no_file(folder: Path) -> str:
    return str(folder / "none.pt")


def garbage(folder: Path) -> str:
    (folder / "x.pt").write_bytes(b"garbage")
    return str(folder / "x.pt")


def others_file(folder: Path) -> str:
    torch.save({"state_dict": {"conv.weight": torch.zeros(1)}}, folder / "x.pt")
    return str(folder / "x.pt")


def others_suffix(folder: Path) -> str:
    torch.save({"conv.weight": torch.zeros(1)}, folder / "x.pth")
    return str(folder / "x.pth")


def other_method(folder: Path) -> str:
    saved(folder, Whole())
    return str(folder)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (nothing, "no model is named 'nobody'"),
        (no_run, "empty: no checkpoint in it"),
        (no_file, r"none\.pt: no such model file"),
        (garbage, r"x\.pt: not a readable checkpoint"),
        (others_file, r"x\.pt: not a checkpoint of a run; translate import reads other"),
        (others_suffix, r"x\.pth"),
        (other_method, "has nothing for a2b, b2a"),
    ],
)
def test_what_nothing_can_begin_with_is_one_line(
    make: Callable[[Path], str], says: str, tmp_path: Path, data: Path
) -> None:
    source = make(tmp_path)
    with pytest.raises(TranslateError, match=says) as caught:
        begin(tmp_path / "run", data, source)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_another_methods_network_of_that_name_says_which_there_are(
    data: Path, first: Path, tmp_path: Path
) -> None:
    saved(tmp_path, Nested(["generator"]))
    source = shutil.copy(first / "a2b.safetensors", tmp_path / "m.safetensors")
    with pytest.raises(UsageError, match="is a 'a2b'; this method has whole, part"):
        begin_from(Whole(), str(source))


# Going on


def test_where_a_run_began_is_recorded_and_kept_to(
    tmp_path: Path, data: Path, first: Path, monkeypatch: Any
) -> None:
    source = shutil.copytree(first, tmp_path / "source")
    monkeypatch.chdir(tmp_path)
    finish(begin(tmp_path / "whole", data, "source"))
    recorded = json.loads((tmp_path / "whole" / "options.json").read_text())
    assert recorded["init"] == str(source)
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    (tmp_path / "killed" / "last.pt").unlink()  # killed before its first checkpoint
    finish(begin(tmp_path / "killed", data, "source", resume=True))
    whole, killed = (checkpoint.load(tmp_path / run / "last.pt") for run in ("whole", "killed"))
    same_state(whole, killed)

    for other in ("", str(first)):
        with pytest.raises(UsageError, match=r"--resume: the run began otherwise: init \(was '/"):
            begin(tmp_path / "whole", data, other, resume=True)
    shutil.rmtree(source)
    for same in ("source", str(source)):
        run = begin(tmp_path / "whole", data, same, resume=True)
        assert (run.trainer.images, run.begun_from) == (3, "")
        assert run.plan["init"] == str(source)
    (tmp_path / "killed" / "last.pt").unlink()
    with pytest.raises(UsageError, match="source: no such model file"):
        begin(tmp_path / "killed", data, "source", resume=True)


def test_the_command_says_what_it_begins_with(tmp_path: Path, data: Path, first: Path) -> None:
    words = ["train", "cyclegan", "--data", str(data), "--out", str(tmp_path / "run")]
    options = NETWORK | {f"data.{name}": value for name, value in DATA.items()}
    words += [w for name, value in options.items() for w in ("--set", f"{name}={value}")]
    result = CliRunner().invoke(cli, [*words, "--images", "1", "--init", str(first)])
    assert result.exit_code == 0, result.output
    assert f"beginning with a2b, b2a, critic_a, critic_b from {first}" in result.stderr


class Tiny(Method[AdversarialOptions]):
    """What these methods have in common; they are never trained."""

    def __init__(self) -> None:
        super().__init__(AdversarialOptions(), Facts())

    def phases(self) -> list[Phase]:
        learning = [n for n in self.children() if list(n.parameters())]
        return [Phase("all", learning, lambda batch, step: {})]

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        out: Tensor = network(source["image"])
        return out


class Nested(Tiny):
    """Keeps its generators in one module, and exports one of them."""

    def __init__(
        self, names: list[str], *, make: Callable[[], nn.Module] = lambda: nn.Linear(2, 2)
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleDict({name: make() for name in names})
        self.critic = nn.Linear(2, 1)

    def exports(self) -> dict[str, Export]:
        return {"generator": Export(self.networks["generator"], {"image": "a"})}


class Whole(Tiny):
    """Exports a network and a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))

    def exports(self) -> dict[str, Export]:
        return {
            "whole": Export(self.generator, {"image": "a"}),
            "part": Export(self.generator[0], {"image": "a"}),
        }


class Shared(Tiny):
    """Names a part of its generator once more."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        self.encoder: Any = self.generator[0]

    def exports(self) -> dict[str, Export]:
        return {"it": Export(self.generator, {"image": "a"})}


class Stages(Tiny):
    """A generator that a discriminator judges in a second stage."""

    def __init__(self, *, judged: bool) -> None:
        super().__init__()
        self.generator = nn.Linear(2, 2)
        if judged:
            self.judge = Discriminator(nn.Linear(2, 1), self.options)

    def exports(self) -> dict[str, Export]:
        return {"it": Export(self.generator, {"image": "a"})}


def saved(folder: Path, method: Any, halflife: int = 500) -> Any:
    """Save a checkpoint of the method whose averages are its weights plus 100."""
    trainer = Trainer(method, TrainingSettings(ema_halflife=halflife), CPU, torch.float32)
    for average in trainer.averages.values():
        for mean, live in zip(average.network.parameters(), average.live.parameters(), strict=True):
            mean.data = live.data + 100
    checkpoint.save(folder / "last.pt", trainer.state_dict())
    return method
