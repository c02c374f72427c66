"""What can go wrong in ways we expect: each prints one line and never a traceback."""


class TranslateError(Exception):
    """An expected error: its text names the thing, the reason and the way out."""

    exit_code = 1


class UsageError(TranslateError):
    """The command cannot begin as it was given: a bad option, an unknown name, a bad plan."""

    exit_code = 2


class ImageError(TranslateError):
    """One picture cannot be read or written; the others go on."""


class BundleError(TranslateError):
    """A model file cannot be understood or does not fit its method."""
