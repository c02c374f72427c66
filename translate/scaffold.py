"""A new plugin to begin with: a package that installs, passes its own tests and trains at once."""

from __future__ import annotations

import importlib.util
import os
import re
import tempfile
from pathlib import Path
from string import Template

import translate
from translate.errors import TranslateError, UsageError
from translate.host import the_host

_TEMPLATES = Path(__file__).parent / "templates" / "plugin"
_SUFFIX = ".template"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
# What the templates' own names would hide or be hidden by.
_TAKEN_CLASSES = {
    *("None", "True", "False", "AdversarialOptions", "Batch", "Discriminator", "Export", "F"),
    *("Facts", "Field", "Fit", "Image", "Mapping", "Method", "Optimizer", "PatchGAN", "Path"),
    *("Phase", "ResnetGenerator", "Sequence", "Step", "Tensor"),
}


def new_plugin(name: str, folder: Path) -> Path:
    """Write the package ``translate-NAME`` into ``folder``, whole or not at all.

    Returns:
        The package's folder.

    Raises:
        UsageError: if the name is no good or taken, or the package's folder exists.
        TranslateError: if it cannot be written.
    """
    check_new_name(name)
    project = folder / f"translate-{name}"
    if os.path.lexists(project):
        raise UsageError(f"{project}: exists already; choose another name or --folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".translate-", dir=folder) as place:
            made = Path(place, project.name)
            for path, text in package_files(name).items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            made.rename(project)
    except OSError as error:
        raise TranslateError(f"{project}: {error.strerror or error}") from None
    return project


def check_new_name(name: str) -> None:
    """Refuse a name that a new plugin and its method cannot have.

    Raises:
        UsageError: saying what a name may be, or who has it.
    """
    if name == "translate" or name.startswith("translate-"):
        raise UsageError(f"{name}: leave out 'translate-'; the package gets it by itself")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"{name!r}: a plugin's name is lower-case words of letters and digits, joined by '-', "
            f"beginning with a letter, of at most {_LONGEST} characters"
        )
    for status in the_host().plugins.values():
        if status.name == name or status.distribution == f"translate-{name}":
            who = status.distribution
            raise UsageError(f"{name}: a plugin of that name is installed ({who}); choose another")
        if f"method {name}" in status.brings:
            raise UsageError(f"{name}: plugin {status.name} has a method of that name")
    if importlib.util.find_spec(_module(name)) is not None:
        raise UsageError(f"{name}: there is a package {_module(name)} already; choose another name")


def package_files(name: str) -> dict[str, str]:
    """Return what a new plugin's package consists of: texts by path."""
    values = {
        "name": name,
        "distribution": f"translate-{name}",
        "module": _module(name),
        "class_name": _class_name(name),
        "version": translate.__version__,
        "contract": str(translate.CONTRACT),
    }
    files = {}
    for path in sorted(_TEMPLATES.rglob(f"*{_SUFFIX}")):
        place = path.relative_to(_TEMPLATES).as_posix().removesuffix(_SUFFIX)
        text = Template(path.read_text(encoding="utf-8")).substitute(values)
        files[place.replace("NAME", name.replace("-", "_"))] = text
    return files


def next_steps(name: str, project: Path) -> str:
    """Return what to do with a new package, for the screen."""
    return f"""\
Next, in the environment that translate is in:

  cd {project}
  pip install -e ".[test]"
  pytest
  translate train {name} --data DIR --out runs/first    # DIR holds trainA and trainB

Then make {_module(name)}/method.py yours."""


def _module(name: str) -> str:
    return f"translate_{name.replace('-', '_')}"


def _class_name(name: str) -> str:
    camel = "".join(word.capitalize() for word in name.split("-"))
    taken = {camel, f"{camel}Options"} & _TAKEN_CLASSES
    return f"{camel}Method" if taken else camel
