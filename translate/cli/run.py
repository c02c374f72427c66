"""translate MODEL INPUT...: translate a picture, a folder, or standard input."""

from __future__ import annotations

import json
from typing import Any

import click

from translate.cli.parameters import ModelName
from translate.errors import TranslateError, UsageError
from translate.files import WRITABLE
from translate.host import the_host
from translate.inference.plan import Item, Plan, make_plan, show, stale_parts

_LISTED = 20  # failures repeated at the end


class Size(click.ParamType):  # type: ignore[type-arg]  # generic only for the type checker
    """``working``, ``native``, or pixels."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value in ("working", "native"):
            return str(value)
        try:
            pixels = int(value)
        except ValueError:
            self.fail(f"{value!r} is neither working, native nor a number of pixels", param, ctx)
        if pixels < 1:
            self.fail("at least 1 pixel", param, ctx)
        return pixels


@click.command(short_help="Translate pictures.")
@click.argument("model", type=ModelName())
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path())
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    help="Folder, file, or - for standard output. Default: beside the input.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["keep", *WRITABLE]),
    default="keep",
    show_default=True,
    help="Of the files written.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    help="Of JPEG and WebP.",
)
@click.option(
    "--overwrite/--skip-existing",
    default=False,
    help="What to do where the output exists.  [default: skip]",
)
@click.option(
    "--recursive/--no-recursive", default=True, help="Folders inside folders.  [default: yes]"
)
@click.option(
    "--size",
    type=Size(),
    default="working",
    show_default=True,
    metavar="working|native|N",
    help="Larger pictures are translated at N×N pixels and keep their own detail.",
)
@click.option("--strip", is_flag=True, help="Drop EXIF, with the place and time in it.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of models that draw random numbers.",
)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]|mps")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="auto: bf16 where the device is fast at it.",
)
@click.option("--batch-size", type=click.IntRange(1, 1024), help="Pictures run at once.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Threads that read, and as many that write.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be written, and stop.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first picture that fails.")
@click.option("--json", "as_json", is_flag=True, help="One object a picture on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Print a line for every picture.")
def run(
    model: str,
    inputs: tuple[str, ...],
    out: str | None,
    format_: str,
    quality: int,
    overwrite: bool,
    recursive: bool,
    size: int | str,
    strip: bool,
    seed: int,
    device: str,
    precision: str,
    batch_size: int | None,
    workers: int,
    dry_run: bool,
    fail_fast: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Translate each INPUT (a picture, a folder, or - for standard input) with MODEL.

    MODEL is a name that 'translate models' lists, or a model's file.

    \b
    translate horse2zebra photos/                writes photos-horse2zebra/
    translate horse2zebra a.jpg                  writes a-horse2zebra.jpg
    translate horse2zebra a.jpg -o zebra.png
    cat a.jpg | translate horse2zebra - > b.png

    Outputs that exist are left alone, so the same command again goes on where it stopped.
    """
    entry = the_host().model(model)
    plan = make_plan(
        inputs, entry.name, out=out, format=format_, overwrite=overwrite, recursive=recursive
    )
    to_stdout = any(item.output is None for item in plan.items)
    if as_json and to_stdout:
        raise UsageError("--json and the picture would share standard output; give -o a file")
    if dry_run:
        _print_plan(plan, as_json=as_json)
        return
    for part in stale_parts(plan):
        part.unlink(missing_ok=True)

    report = Report(plan, entry.name, as_json=as_json, quiet=quiet, verbose=verbose)
    with report:
        if plan.to_write:
            # Nothing above is slow; what follows imports torch.
            from translate.bundle import load_bundle
            from translate.inference.pipeline import Encoding, Pipeline
            from translate.inference.translator import Translator

            translator = Translator(
                load_bundle(entry.path),
                device=device,
                precision=precision,
                size=size,  # type: ignore[arg-type]
            )
            pipeline = Pipeline(
                translator.engine,
                Encoding(quality, strip),
                workers=workers,
                seed=seed,
                batch_size=translator.engine.batch_size(batch_size),
            )
            for outcome in pipeline(plan.to_write):
                report.done(outcome.item, outcome.error, outcome.seconds)
                if outcome.error and fail_fast:
                    break
    report.close()


def _print_plan(plan: Plan, *, as_json: bool) -> None:
    for item in plan.items:
        output = "-" if item.output is None else str(item.output)
        if as_json:
            line = {"input": item.source.name, "output": output, "action": item.action}
            click.echo(json.dumps(line))
        else:
            click.echo(f"{show(item.source.name)} -> {show(output)} ({item.action})")


class Report:
    """Says what becomes of each picture: a bar on a terminal, lines elsewhere, JSON if asked."""

    def __init__(
        self, plan: Plan, model: str, *, as_json: bool, quiet: bool, verbose: bool
    ) -> None:
        self.plan, self.model = plan, model
        self.as_json, self.quiet, self.verbose = as_json, quiet, verbose
        self.written = 0
        self.failures: list[str] = []
        self._total = len(plan.to_write)
        self._bar: Any = None

    def __enter__(self) -> Report:
        for note in self.plan.notes:
            self._note(note)
        for item in self.plan.existing:
            self._json(item, "skipped", None, 0.0)
        if self._total > 1 and not self.quiet:
            from translate.cli.progress import Counter

            self._bar = Counter(self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if self._bar:
            self._bar.stop()
        if kind is KeyboardInterrupt:
            click.echo(
                f"stopped after {self.written} of {self._total}; run the same command to go on",
                err=True,
            )

    def done(self, item: Item, error: str | None, seconds: float) -> None:
        output = "-" if item.output is None else str(item.output)
        if error:
            self.failures.append(error)
            self._note(f"failed: {error}", always=True)
        else:
            self.written += 1
            the_host().notify(
                "image_translated",
                source=item.source.name,
                output=output,
                model=self.model,
                seconds=seconds,
            )
            if self.verbose:
                self._note(f"{show(item.source.name)} -> {show(output)} ({seconds:.2f} s)")
        self._json(item, "failed" if error else "written", error, seconds)
        if self._bar:
            self._bar.advance(self.written, len(self.failures))

    def close(self) -> None:
        """Print the summary.

        Raises:
            TranslateError: if a picture failed, so that the exit code says it.
        """
        existed = len(self.plan.existing)
        parts = [f"{self.written} written"] if self.written or not existed else []
        if existed:
            parts.append(
                f"{existed} existed, perhaps made with other options (--overwrite redoes them)"
            )
        if not self.failures:
            if len(self.plan.items) > 1 or existed:
                self._note(", ".join(parts))
            return
        if len(self.plan.items) > 1:
            for failure in self.failures[:_LISTED]:
                click.echo(f"  {failure}", err=True)
            if len(self.failures) > _LISTED:
                click.echo(f"  and {len(self.failures) - _LISTED} more", err=True)
        raise TranslateError(", ".join([*parts, f"{len(self.failures)} failed"]))

    def _json(self, item: Item, status: str, error: str | None, seconds: float) -> None:
        if self.as_json:
            output = "-" if item.output is None else str(item.output)
            line = {
                "input": item.source.name,
                "output": output,
                "status": status,
                "error": error,
                "seconds": round(seconds, 3),
            }
            click.echo(json.dumps(line))

    def _note(self, text: str, *, always: bool = False) -> None:
        if not self.quiet or always:
            if self._bar:
                self._bar.print(text)
            else:
                click.echo(text, err=True)
