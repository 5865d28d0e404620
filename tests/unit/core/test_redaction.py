"""What a route does not want kept is replaced, and everything else stays the provider's own bytes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventroute.redact import REDACTED, build_steps, redact

PAYLOAD = b'{"a": {"mail": "x@y.z", "n": 1.50}, "items": [{"name": "A", "id": 1}, {"name": "B", "id": 2}], "z": 1e2}'


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ((), PAYLOAD),
        (
            ("a.mail",),
            b'{"a":{"mail":"[redacted]","n":1.50},"items":[{"name": "A", "id": 1}, {"name": "B", "id": 2}],"z":1e2}',
        ),
        (("a",), b'{"a":"[redacted]","items":[{"name": "A", "id": 1}, {"name": "B", "id": 2}],"z":1e2}'),
        (("a", "a.mail"), b'{"a":"[redacted]","items":[{"name": "A", "id": 1}, {"name": "B", "id": 2}],"z":1e2}'),
        (
            ("items.*.name",),
            (
                b'{"a":{"mail": "x@y.z", "n": 1.50},'
                b'"items":[{"name":"[redacted]","id":1},{"name":"[redacted]","id":2}],"z":1e2}'
            ),
        ),
        (
            ("items.1.name",),
            b'{"a":{"mail": "x@y.z", "n": 1.50},"items":[{"name": "A", "id": 1},{"name":"[redacted]","id":2}],"z":1e2}',
        ),
        (
            ("*.mail",),
            b'{"a":{"mail":"[redacted]","n":1.50},"items":[{"name": "A", "id": 1},{"name": "B", "id": 2}],"z":1e2}',
        ),
    ],
)
def test_only_what_a_path_names_is_replaced(paths: tuple[str, ...], expected: bytes) -> None:
    if not paths:
        assert bytes(redact(PAYLOAD, build_steps(("nowhere.at.all",)))) == msgspec.json.encode(
            msgspec.json.decode(PAYLOAD, type=dict[str, msgspec.Raw])
        )
        return
    assert bytes(redact(PAYLOAD, build_steps(paths))) == expected


@pytest.mark.parametrize("path", ["items.9.name", "items.x", "a.mail.more", "z.1", "items.-1", "items.٣"])
def test_a_path_that_leads_nowhere_changes_no_value(path: str) -> None:
    assert msgspec.json.decode(redact(PAYLOAD, build_steps((path,)))) == msgspec.json.decode(PAYLOAD)


@pytest.mark.parametrize("payload", [b'"text"', b"1", b"null", b"1e999"])
def test_a_payload_without_parts_stays_as_it_is(payload: bytes) -> None:
    assert bytes(redact(payload, build_steps(("a",)))) == payload


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(
    _json,
    st.lists(st.lists(st.sampled_from(["a", "b", "*", "0", "1"]), min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_redaction_is_what_a_plain_walk_does(payload: object, paths: list[list[str]]) -> None:
    told = msgspec.json.decode(redact(msgspec.json.encode(payload), build_steps(".".join(path) for path in paths)))
    assert told == _walked(payload, paths)


def _walked(value: object, paths: list[list[str]]) -> object:
    if any(not path for path in paths):
        return REDACTED

    def below(name: str) -> list[list[str]]:
        return [path[1:] for path in paths if path[0] in {name, "*"}]

    if isinstance(value, dict):
        return {name: _walked(part, below(name)) for name, part in value.items()}
    if isinstance(value, list):
        return [_walked(part, below(str(index))) for index, part in enumerate(value)]
    return value
