"""Both methods keep translate's contract."""

from __future__ import annotations

from typing import Any

import pytest

from translate.testing import check_method
from translate_cut.method import CUT, FastCUT

SMALL: dict[str, Any] = {"width": 4, "blocks": 3, "critic_width": 4, "critic_layers": 1}
SMALL |= {"patches": 16, "features": 8}


@pytest.mark.parametrize("method", [CUT, FastCUT])
@pytest.mark.parametrize("more", [{}, {"norm": "batch", "downsample": "strided"}])
def test_it_keeps_the_contract(method: type[CUT], more: dict[str, Any]) -> None:
    check_method(method, options=SMALL | more, sample="unpaired")
