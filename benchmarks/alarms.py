"""How many images it takes until each fault is told, and whether healthy trainings stay silent.

    python benchmarks/alarms.py [--seeds 3]
    python benchmarks/alarms.py --healthy RUN [RUN ...]

The first makes every fault in a small real training (those of tests/unhealthy.py: 2,400 images,
batches of 8) and prints when its alarm came, and what else was told; then the same training
without a fault. The second replays the logs of runs that went well: each alarm is a false one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from translate.host import the_host
from translate.training.health import Alarm, Health
from translate.training.log import Diverged, Log
from translate.training.plan import RunPlan, stored
from translate.training.run import Run

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import unhealthy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--healthy", type=Path, nargs="+", metavar="RUN")
    options = parser.parse_args()
    if options.healthy:
        replay_all(options.healthy)
    else:
        make_all(options.seeds)


def make_all(seeds: int) -> None:
    """Print a row for each fault: its alarm's images with each seed, and all else told."""
    print(f"{'fault':26s}{'images until its alarm':28s}told besides")
    trainings = unhealthy.FAULTS | {"(none)": unhealthy.HEALTHY}
    with tempfile.TemporaryDirectory() as place, installed(Path(place)):
        data = unhealthy.pictures(Path(place) / "pictures")
        for fault, (method, settings) in trainings.items():
            told, others = [], set[str]()
            for seed in range(seeds):
                folder = Path(place) / f"{fault}-{seed}"
                alarms = train(folder, data, method, settings | {"training.seed": seed})
                told.append(str(alarms.pop(fault, "never")))
                others |= alarms.keys()
            own = "" if fault == "(none)" else ", ".join(told)
            print(f"{fault:26s}{own:28s}{', '.join(sorted(others)) or '-'}")


@contextmanager
def installed(place: Path) -> Iterator[None]:
    """Install the faulty methods as a plugin for as long as the block runs."""
    info = place / "alarms-1.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: alarms\nVersion: 1\n")
    info.joinpath("entry_points.txt").write_text("[translate]\nalarms = alarms_plugin\n")
    (place / "alarms_plugin.py").write_text(f"from translate import hookimpl\n{unhealthy.PLUGIN}")
    sys.path.insert(0, str(place))
    the_host.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(place))


def train(folder: Path, data: Path, method: str, settings: Mapping[str, Any]) -> dict[str, int]:
    """Return the images at which each alarm was told."""
    run = unhealthy.begin(folder, data, method, settings)
    with suppress(Diverged):
        run.train(workers=1, progress=lambda images, scalars: None, say=lambda text: None)
    return {line["alarm"]: line["images"] for line in run.log.lines() if "alarm" in line}


def replay_all(runs: list[Path]) -> None:
    """Print what today's rules say of each run, and how often they spoke."""
    count = 0
    for folder in runs:
        lines, alarms = 0, list[Alarm]()
        health = health_of(folder)
        for line in Log(folder / "log.jsonl").lines():
            if "alarm" not in line:
                lines += 1
                alarms += health.line(line["images"], line)
        print(f"{folder}: {lines} lines, {len(alarms)} alarms")
        for alarm in alarms:
            print(f"  {alarm.images}: {alarm.name}: {alarm.text}")
        count += len(alarms)
    print(f"{count} false alarms in {len(runs)} runs")


def health_of(folder: Path) -> Health:
    """Return what watches the run in ``folder``, whose data must still be there."""
    plan = stored(folder / "options.json")
    asked = {name: plan[name] for name in RunPlan.__dataclass_fields__}
    return Run(folder, RunPlan(**asked), device="cpu", resume=True).health


if __name__ == "__main__":
    main()
