"""Markup that cannot forget to escape: what is not ``Html`` already is text."""

from __future__ import annotations

import html

_WITHOUT_END = {"img", "input", "br"}


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | int | float | None) -> Html:
    """Return an element; ``class_`` is ``class``, other underscores are hyphens, None is left out.

    >>> tag("p", "a < b", tag("b", "c"), class_="note")
    '<p class="note">a &lt; b<b>c</b></p>'
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "" if name in _WITHOUT_END else f"</{name}>"
    return Html(f"<{name}{given}>{join(children)}{end}")


def join(children: tuple[str, ...] | list[str]) -> Html:
    """Return what is markup as it is, and what is text escaped."""
    return Html("".join(c if isinstance(c, Html) else html.escape(c) for c in children))
