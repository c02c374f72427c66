"""The ``translate`` command; ``translate MODEL`` is short for ``translate run MODEL``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from translate import __version__
from translate.cli.lazy import LazyGroup
from translate.errors import TranslateError
from translate.files import SUFFIXES
from translate.home import switched_on
from translate.host import the_host

# Where each command is, below translate.cli, and what the help says of it.
COMMANDS = {
    "run": ("run:run", "Translate pictures, or make them; 'translate MODEL' is short for it."),
    "walk": ("walk:walk", "Make the pictures on the way from one to another."),
    "mix": ("mix:mix", "Add and subtract what pictures are made of."),
    "train": ("train:train", "Train a method on your own pictures."),
    "evaluate": ("evaluate:evaluate", "Measure how good a model is on pictures of your own."),
    "report": ("reporting:report", "Write a page on a training run: curves, pictures, options."),
    "models": ("lists:models", "List the models."),
    "methods": ("lists:methods", "List the methods that train models, or what one can be told."),
    "datasets": ("lists:datasets", "List the readers of training data, or what one can be told."),
    "measures": ("lists:measures", "List the measures, or what one can be told."),
    "plugins": ("plugins:plugins", "List the plugins, and why one does not work."),
    "info": ("info:info", "Show what a model is and where it comes from."),
    "download": (
        "download:download",
        "Download published models, to be there when they are needed.",
    ),
    "export": ("export:export", "Write a model to a file: to pass on, or as ONNX."),
    "import": ("importing:import_", "Make a model of another project's checkpoint."),
    "remove": ("remove:remove", "Delete one of your own or downloaded models."),
}
OWN_OPTIONS = ("-h", "--help", "--version")
INTERRUPTED = 130


class Commands(LazyGroup):
    """The built-in commands, those of plugins, and the models as if they were commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the built-in commands, and behind them those of plugins."""
        return [*super().list_commands(ctx), *sorted(the_host().commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, importing what it is in."""
        command = super().get_command(ctx, cmd_name)
        if command is None and (entry := the_host().commands.get(cmd_name)):
            return entry.command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take options of ``run`` that come before the model, too."""
        if args and args[0].startswith("-") and args[0] not in ("-", *OWN_OPTIONS):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Read a first word that is no command as the model of ``run``."""
        if self.get_command(ctx, args[0]) is None:
            picture = Path(args[0]).suffix.lower() in SUFFIXES
            if not ctx.resilient_parsing and (picture or not the_host().has_model(args[0])):
                raise self._unknown(ctx, args[0])
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx: click.Context, word: str) -> TranslateError:
        host = the_host()
        error = host.unknown(
            "model or command", word, [*host.model_names(), *self.list_commands(ctx)]
        )
        if word and os.path.exists(word):
            return type(error)(f"{error}; the model comes first: translate MODEL {word}")
        return error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what goes wrong prints one line and becomes an exit code."""
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:  # which nobody may have opened
                sys.stdout.flush()  # a reader that has gone is noticed here, not at exit
            return result
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise  # click knows what to do
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(INTERRUPTED)
        except Exception as error:
            _report(ctx, error)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands into the help, of plugins' with what these say."""
        super().format_commands(ctx, formatter)
        added = the_host().commands
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(
                    [(name, added[name].command.get_short_help_str()) for name in sorted(added)]
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and models that begin with ``incomplete``, importing none."""
        host = the_host()
        words = {name: summary for name, (_, summary) in COMMANDS.items()}
        words |= {name: entry.command.get_short_help_str() for name, entry in host.commands.items()}
        words |= {name: entry.summary for name, entry in host.models.items() if name not in words}
        found = [
            CompletionItem(word, help=summary)
            for word, summary in words.items()
            if word.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


def _report(ctx: click.Context, error: Exception) -> NoReturn:
    if switched_on("TRANSLATE_DEBUG"):
        raise error
    if isinstance(error, TranslateError):
        click.echo(f"Error: {error}", err=True)
        ctx.exit(error.exit_code)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    click.echo(
        f"Error: internal error ({text}); run with TRANSLATE_DEBUG=1 for the traceback", err=True
    )
    ctx.exit(1)


@click.group(
    cls=Commands,
    places=COMMANDS,
    subcommand_metavar="MODEL INPUT... | COMMAND ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="translate %(version)s")
def cli() -> None:
    """Translate images into other images with generative adversarial networks.

    \b
    translate horse2zebra photos/            writes photos-horse2zebra/
    translate horse2zebra a.jpg -o b.png     one picture
    translate models                         what there is
    translate MODEL --help                   all options
    """
