"""What a run would be, before anything is trained: for ``--dry-run``."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from translate.training.plan import recipe_of
from translate.training.toml import as_toml

if TYPE_CHECKING:
    from translate.training.run import Run


def describe(run: Run, workers: int) -> str:
    """Return options, networks with their sizes, players and one batch's shapes, as text.

    The options are a recipe: what stands before the networks can be given to ``--recipe``.
    """
    plan, trainer = run.plan, run.trainer
    lines = [as_toml(recipe_of(plan))]
    lines.append(f"# data: {plan['found']}")
    for name, network in trainer.method.named_children():
        count = sum(p.numel() for p in network.parameters())
        if count:
            lines.append(f"# network: {name}, {type(network).__name__}, {count:,} parameters")
    for player in trainer.players:
        o, phase = player.wanted, player.phase
        until = "the end" if phase.until is None else f"{phase.until:,}"
        lines.append(
            f"# player: {phase.name}, {o.name} at {o.lr:g} ({o.schedule}), "
            f"{player.updates} a step, images {phase.since:,} to {until}"
        )
    for name, export in trainer.method.exports().items():
        lines.append(f"# model: {name}, from {', '.join(export.reads)}")
    if run.begun_from:
        lines.append(f"# begins with: {run.begun_from}")
    with closing(run.batches(workers)) as batches:
        batch = next(batches)
    for field, tensor in batch.tensors.items():
        shape = "×".join(map(str, tensor.shape))
        low, high = float(tensor.min()), float(tensor.max())
        lines.append(f"# batch: {field}, {shape} {str(tensor.dtype)[6:]}, {low:.2f} to {high:.2f}")
    for field, texts in batch.texts.items():
        lines.append(f"# batch: {field}, {len(texts)} texts such as {texts[0]!r}")
    device = f"{trainer.device}, {str(trainer.dtype).removeprefix('torch.')}"
    return "\n".join([*lines, f"# computes: on {device}; nothing was trained or written"]) + "\n"
