"""Why one picture failed, in the line that stands beside its name while the others go on."""

from __future__ import annotations

import traceback

from translate.files import system_reason
from translate.home import switched_on
from translate.inference.tiling import is_lack_of_memory
from translate.registry import one_line


def why(error: Exception, *, sized: bool = False) -> str:
    """Return the reason in one line; with TRANSLATE_DEBUG, print the traceback before.

    Args:
        sized: pictures are run at a working size, which can be made smaller.
    """
    if switched_on("TRANSLATE_DEBUG"):
        traceback.print_exception(error)
    if is_lack_of_memory(error):
        return "not enough memory" + ("; a smaller --size may do" if sized else "")
    return system_reason(error) if isinstance(error, OSError) else one_line(error)
