"""Checks of training: who learns, from what, and that a stopped run goes on as it was."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from translate.bundle import Model
from translate.method import Batch, Fixed, Method, Phase, Step
from translate.testing.building import data
from translate.testing.report import Broken, Problem, check, doing
from translate.testing.running import bundle, survives
from translate.testing.session import Session, stages
from translate.testing.state import difference, memory_difference
from translate.testing.subject import Subject
from translate.training import checkpoint
from translate.training.phases import Player, only_these_learn, set_modes

_TURNS = 10  # on one batch, until its loss must have fallen


@check(data, trains=True)
def prepare(subject: Subject) -> Iterator[Problem]:
    """What training needs from outside is there."""
    with doing("prepare() fails; give options with which it can work", "prepare"):
        subject.ready()
    yield from ()


@check(prepare, trains=True)
def phases(subject: Subject) -> Iterator[Problem]:
    """Phases have names of their own, networks of the method's own, and sound numbers."""
    method = subject.ready()
    found = method.phases()
    own = set(method.parameters())
    seen = set[str]()
    for phase in found:
        if phase.name in seen:
            yield Problem(f"two phases are called {phase.name!r}", "phases")
        seen.add(phase.name)
        learning = [p for module in phase.trains for p in module.parameters()]
        if not any(p.requires_grad for p in learning):
            yield Problem(f"phase {phase.name!r} names nothing that can learn", "phases")
        if set(learning) - own:
            text = f"phase {phase.name!r} trains a network that is no attribute of the method, so "
            yield Problem(f"{text}that no checkpoint holds it", "phases")
        if phase.every < 1 or phase.since < 0 or not phase.optimizer.lr > 0:
            text = f"phase {phase.name!r}: every={phase.every}, since={phase.since}, lr="
            yield Problem(f"{text}{phase.optimizer.lr}: one of them is too small", "phases")
    if not any(phase.active(0) for phase in found):
        yield Problem("no phase takes part at the beginning, so that nothing learns", "phases")


def _each_turn(subject: Subject) -> Iterator[tuple[Method[Any], Phase, Player, Batch, Step]]:
    """Yield every phase's turn in every stage, in order, nothing learning yet."""
    method, batch = subject.ready(), subject.batch()
    players = [Player(phase) for phase in method.phases()]
    for images in stages([player.phase for player in players]):
        stage = [player for player in players if player.phase.active(images)]
        set_modes(method, [player.phase for player in stage])
        step = Step(0, images)
        for player in stage:
            with only_these_learn(method, player.parameters):
                yield method, player.phase, player, batch, step


@check(phases, trains=True)
def losses(subject: Subject) -> Iterator[Problem]:
    """Each phase gives named terms: finite scalars that its networks can learn from."""
    for _, phase, _, batch, step in _each_turn(subject):
        where = f"phase {phase.name!r}"
        with doing(f"{where}: its losses fail", phase.losses):
            terms = phase.losses(batch, step)
        if not isinstance(terms, dict) or not terms:
            raise Broken(f"{where}: its losses are no dict of terms", phase.losses)
        for name, term in (terms | step.logged).items():
            if not isinstance(term, Tensor) or term.ndim:
                found = tuple(term.shape) if isinstance(term, Tensor) else type(term).__name__
                raise Broken(f"{where}: {name!r} is {found}, not a scalar tensor", phase.losses)
            if not term.isfinite():
                yield Problem(f"{where}: {name!r} is {float(term.detach())}", phase.losses)
        if not any(term.requires_grad for term in terms.values()):
            text = f"{where}: none of its terms ({', '.join(terms)}) has a gradient"
            raise Broken(text, phase.losses)


@check(losses, trains=True)
def losses_in_bf16(subject: Subject) -> Iterator[Problem]:
    """Under autocast the losses stay finite and near."""
    full: dict[tuple[str, int], tuple[float, Phase]] = {}
    half = dict(full)
    for found, enabled in ((full, False), (half, True)):
        for _, phase, _, batch, step in _each_turn(subject):
            torch.default_generator.manual_seed(0)
            with (
                doing(f"phase {phase.name!r}: its losses fail in bf16", phase.losses),
                torch.autocast("cpu", torch.bfloat16, enabled=enabled),
            ):
                terms = phase.losses(batch, step)
            key = (phase.name, step.images)
            found[key] = (sum(float(t.detach()) for t in terms.values()), phase)
    for key, (value, phase) in full.items():
        other = half[key][0]
        if not abs(other - value) <= 0.1 * abs(value) + 0.1:
            text = f"phase {key[0]!r}: its losses are {value:.3g} in fp32, {other:.3g} in bf16"
            yield Problem(f"{text}; compute them with .float()", phase.losses)


@check(losses, trains=True)
def turns(subject: Subject) -> Iterator[Problem]:
    """Every phase changes the networks that it names, each of them, and nothing else."""
    session = subject.session
    for phase in (player.phase for player in session.players):
        mine = [turn for turn in session.turns if turn.phase is phase]
        changed = set[str]().union(*(turn.changed for turn in mine))
        others = sorted(set[str]().union(*(turn.foreign for turn in mine)))
        if others:
            text = f"phase {phase.name!r} changes {others[0]}, which it does not name"
            yield Problem(f"{text}: losses must not write to weights", phase.losses)
        for module in phase.trains if mine else ():
            weights = [n for n, p in session.method.named_parameters() if _within(p, module)]
            if not changed & set(weights):
                text = f"phase {phase.name!r} names {_name(session.method, module)}, but its "
                yield Problem(f"{text}losses do not reach it: no weight changes", phase.losses)
        bad = [f"{n} is {v}" for turn in mine for n, v in turn.scalars.items() if not _finite(v)]
        if bad:
            yield Problem(f"phase {phase.name!r}: {bad[0]} after some steps", phase.losses)


def _within(parameter: nn.Parameter, module: nn.Module) -> bool:
    return any(parameter is own for own in module.parameters())


def _finite(value: float) -> bool:
    return math.isfinite(value)


def _name(method: nn.Module, module: nn.Module) -> str:
    found = [name for name, own in method.named_modules() if own is module]
    return found[0] if found else type(module).__name__


@check(turns, trains=True)
def frozen(subject: Subject) -> Iterator[Problem]:
    """What is frozen stays frozen: requires_grad, and everything Fixed."""
    before, after = subject.ready(), subject.session.method
    for (name, one), (_, two) in zip(
        before.named_parameters(), after.named_parameters(), strict=True
    ):
        if one.requires_grad != two.requires_grad:
            text = f"training set requires_grad of {name} to {two.requires_grad}"
            yield Problem(text, "phases")
    for name, value in vars(after).items():
        if isinstance(value, Fixed):
            other, network = getattr(before, name).network, value.network
            moved = difference(other.state_dict(), network.state_dict(), name)
            if moved:
                yield Problem(f"training changes a Fixed network: {moved}", "phases")
            elif network.training or any(p.requires_grad for p in network.parameters()):
                yield Problem(f"training thaws {name}, a Fixed network", "phases")


@check(turns, trains=True)
def repeats(subject: Subject) -> Iterator[Problem]:
    """Training again from the same seed gives the same, bit for bit."""
    again = Session(subject, seed=0)
    again.visit_stages()
    found = difference(subject.session.state_dict(), again.state_dict())
    if found:
        text = f"trained twice from the same seed, {found} differ; draw from batch.noise() or "
        yield Problem(f"{text}torch's generator, and nowhere else", "phases")


@check(repeats, trains=True)
def learns(subject: Subject) -> Iterator[Problem]:
    """Each phase's losses fall when it alone learns one batch and the others stand still."""
    method = subject.ready()
    found = method.phases()
    start = copy.deepcopy(method.state_dict())
    for phase in found:
        active = [images for images in stages(found) if phase.active(images)]
        if not active:
            continue
        method.load_state_dict(copy.deepcopy(start))
        totals = _overfit(method, found, phase, active[0], subject.batch())
        last = sum(totals[-3:]) / 3
        if not last < totals[0]:
            text = f"phase {phase.name!r} does not learn one batch: its losses were {totals[0]:.6g}"
            text += f", and {last:.6g} after {_TURNS} turns at lr={phase.optimizer.lr}"
            yield Problem(text, phase.losses)


def _overfit(
    method: Method[Any], found: Sequence[Phase], phase: Phase, images: int, batch: Batch
) -> list[float]:
    """Return the sums of a phase's terms, turn by turn, with all memory as it was."""
    stage = [other for other in found if other.active(images)]
    set_modes(method, stage)
    step, player = Step(0, images), Player(phase)
    for earlier in stage[: stage.index(phase)]:  # for what they keep
        with only_these_learn(method, Player(earlier).parameters):
            earlier.losses(batch, step)
    learning = dict(method.named_parameters(remove_duplicate=False)).keys()
    memory = {n: v for n, v in method.state_dict().items() if n not in learning}
    memory, totals = copy.deepcopy(memory), []
    for _ in range(_TURNS):
        method.load_state_dict(copy.deepcopy(memory), strict=False)
        torch.default_generator.manual_seed(0)
        with only_these_learn(method, player.parameters):
            player.optimizer.zero_grad()
            terms = phase.losses(batch, replace(step, kept=dict(step.kept), logged={}))
            total = torch.stack([term.float() for term in terms.values()]).sum()
            total.backward()  # type: ignore[no-untyped-call]
            player.optimizer.step()
        totals.append(float(total.detach()))
    return totals


@check(turns, bundle, trains=True)
def bundle_after_training(subject: Subject) -> Iterator[Problem]:
    """A trained network gives the same output from its bundle."""
    method = subject.session.method.eval()
    subject.session.stage = []  # so that its next step sets the modes again
    for name, export in method.exports().items():
        yield from survives(subject, name, Model(subject.header(name), method, export))


@check(repeats, frozen, trains=True)
def resumes(subject: Subject) -> Iterator[Problem]:
    """A run that was stopped goes on from its checkpoint as if it had not been."""
    gone_on = subject.session  # nothing looks at it after this
    path = subject.folder / "last.pt"
    with doing("its state_dict() cannot be saved and read back", "get_extra_state"):
        checkpoint.save(path, gone_on.state_dict())
        state = checkpoint.load(path)
    resumed = Session(subject, seed=1)
    with doing("its state does not fit a new method", "set_extra_state"):
        resumed.load_state_dict(state)
    for session in (gone_on, resumed):
        session.steps(session.round)
    found = memory_difference(gone_on.method, resumed.method)
    if found:
        text = f"a resumed run has another {found}; memory belongs in buffers or get_extra_state, "
        raise Broken(f"{text}and prepare() fetches the same each time", "__init__")
    found = difference(gone_on.state_dict(), resumed.state_dict())
    if found:
        yield Problem(f"a resumed run differs in {found}; something is in no state dict")


CHECKS = (
    prepare,
    phases,
    losses,
    losses_in_bf16,
    turns,
    frozen,
    repeats,
    learns,
    bundle_after_training,
    resumes,
)
