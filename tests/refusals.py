"""What the error for a mistake of the user must look like, for the tests of everything that refuses something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from imgloc.errors import UserError


def assert_refused(function: Callable[[], Any], *contains: str) -> None:
    """Calling it raises a UserError of one line, not too long to read, that holds every text of `contains`."""
    with pytest.raises(UserError) as caught:
        function()
    message = str(caught.value)
    assert "\n" not in message, message
    assert len(message) < 1000, message
    for part in contains:
        assert part in message, message
