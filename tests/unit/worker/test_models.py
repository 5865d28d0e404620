"""The data on what each model accepts: read whole, found by dated names too, and silent on what is not known."""

import pytest

from eventroute_worker.models import Accepts, Models


@pytest.mark.parametrize(
    ("model", "accepts"),
    [
        ("claude-haiku-5-5", Accepts(thinking_off="disabled", effort=True)),
        ("claude-sonnet-5-5", Accepts(thinking_off="between_tools", effort=True)),
        ("claude-opus-5-5", Accepts(thinking_off=None, effort=True)),
        ("claude-fable-5-2", Accepts(thinking_off=None, effort=True)),
        ("claude-haiku-4-5-20251001", Accepts(thinking_off="disabled", effort=False)),
        ("claude-haiku-6", None),
        ("claude-haiku", None),
        ("", None),
    ],
)
def test_a_model_is_found_by_its_name(model: str, accepts: Accepts | None) -> None:
    assert Models.load().accepts(model) == accepts
