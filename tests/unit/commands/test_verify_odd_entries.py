"""Files come from people: an entry with missing or wrong fields has a verdict too, and never a traceback."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventroute.errors import Refused
from eventroute.schemes import SCHEMES
from eventroute_cli.fixtures import RECIPES, read_fixtures
from eventroute_cli.verify import Judgement, judge

SECRET = "a-secret-of-the-route"
BODY = '{"action":"opened"}'
SIGNATURE = "sha256=" + hmac.new(SECRET.encode(), BODY.encode(), hashlib.sha256).hexdigest()
GOOD: dict[str, Any] = {
    "id": "good",
    "provider": "github",
    "scheme": "github-hmac-sha256",
    "secret": SECRET,
    "secret_encoding": "utf8",
    "method": "POST",
    "url": None,
    "headers": {"X-Hub-Signature-256": SIGNATURE},
    "body": BODY,
    "now": None,
    "expected": "valid",
}
ABSENT = object()


def judged(tmp_path: Path, document: Any) -> list[Judgement]:
    file = tmp_path / "entries.json"
    file.write_text(json.dumps(document))
    return [judge(entry) for entry in read_fixtures(file)]


def judged_with(tmp_path: Path, **changes: Any) -> Judgement:
    entry = {name: value for name, value in {**GOOD, **changes}.items() if value is not ABSENT}
    return judged(tmp_path, [entry])[0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scheme": ABSENT},
        {"scheme": "github"},
        {"provider": ABSENT},
        {"provider": "nobody"},
        {"method": ABSENT, "url": ABSENT, "now": ABSENT, "secret_encoding": ABSENT},
        {"secret_encoding": None, "method": None},
        {"headers": {"x-HUB-signature-256": SIGNATURE, "X-Empty": None, "X-Number": 3}},
        {"headers": [["X-Hub-Signature-256", SIGNATURE]]},
        {"headers": {"X-Hub-Signature-256": [SIGNATURE]}},
        {"headers": {"X-Hub-Signature-256": SIGNATURE, "X-Emoji": "🙂", "X-Latin": "é"}},
        {"body": None, "body_base64": base64.b64encode(BODY.encode()).decode()},
        {"secret": ["another secret", SECRET]},
        {"secret": SECRET.encode().hex(), "secret_encoding": "hex"},
        {"secret": base64.b64encode(SECRET.encode()).decode(), "secret_encoding": "base64"},
        {"now": 10.5},
        {"more": {"nobody": "reads"}},
    ],
)
def test_an_entry_is_valid_in_every_way_of_writing_it(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert judged_with(tmp_path, **changes) == ("good", "valid", "valid", None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scheme": "no-such-scheme"}, "unknown_scheme"),
        ({"scheme": ABSENT, "provider": ABSENT}, "unknown_scheme"),
        ({"headers": ABSENT}, "missing_header"),
        ({"headers": {"X-Hub-Signature-256": None}}, "missing_header"),
        ({"headers": {"X-Hub-Signature-256": [SIGNATURE, SIGNATURE]}}, "missing_header"),
        ({"headers": {"X-Hub-Signature-256": ""}}, "malformed_signature"),
        ({"headers": {"X-Hub-Signature-256": SIGNATURE + "🙂"}}, "malformed_signature"),
        ({"headers": {"X-Hub-Signature-256": 7}}, "malformed_signature"),
        ({"body": ABSENT}, "mismatch"),
        ({"secret": "other"}, "mismatch"),
        ({"secret": ABSENT}, "no_secret"),
        ({"secret": ""}, "SecretEmpty"),
        ({"secret": "whsk_abc"}, "SecretWrongType"),
        ({"scheme": "standard-webhooks-v1", "secret": "whsec_not base64"}, "SecretUndecodable"),
        ({"secret": 7}, "malformed_entry: secret must be text"),
        ({"secret": "zz", "secret_encoding": "hex"}, "malformed_entry: secret is not hex"),
        ({"secret_encoding": "rot13"}, "malformed_entry: secret_encoding 'rot13' is unknown"),
        ({"scheme": 7}, "malformed_entry: scheme must be text"),
        ({"method": ["POST"]}, "malformed_entry: method must be text"),
        ({"url": {}}, "malformed_entry: url must be text"),
        ({"headers": "X: y"}, "malformed_entry: headers must be an object"),
        ({"headers": [["X"]]}, "malformed_entry: headers must be an object, or a list of pairs"),
        ({"headers": {"X": {}}}, "malformed_entry: header 'X' must be text"),
        ({"body": {"action": "opened"}}, "malformed_entry: body must be text"),
        ({"body": "\ud800"}, "malformed_entry: body holds half a surrogate pair"),
        ({"body_base64": "%"}, "malformed_entry: body_base64 is not base64"),
        ({"body_base64": "\x80"}, "malformed_entry: body_base64 is not base64"),
        ({"body_base64": 7}, "malformed_entry: body_base64 must be text"),
        ({"now": "1700000000"}, "malformed_entry: now must be Unix seconds"),
        ({"now": 10**400}, "malformed_entry: now must be a finite number"),
        ({"now": float("nan")}, "malformed_entry: now must be a finite number"),
        ({"redacted": 7}, "malformed_entry"),
    ],
)
def test_an_entry_that_is_not_valid_has_a_reason(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    judgement = judged_with(tmp_path, **changes)
    assert (judgement.id, judgement.verdict, judgement.differs) == ("good", "invalid", True)
    assert (judgement.reason or "").startswith(reason)


@pytest.mark.parametrize("entry", [None, 7, "text", [], True])
def test_what_is_no_object_is_judged_by_its_place(tmp_path: Path, entry: Any) -> None:
    assert judged(tmp_path, [GOOD, entry])[1][:3] == ("#2", "invalid", None)


def test_one_bad_entry_does_not_spoil_the_others(tmp_path: Path) -> None:
    judgements = judged(tmp_path, [GOOD, {"id": 7, "now": "x"}, {**GOOD, "id": None}])
    assert [(judgement.id, judgement.verdict) for judgement in judgements] == [
        ("good", "valid"),
        ("7", "invalid"),
        ("#3", "valid"),
    ]


@pytest.mark.parametrize("expected", [ABSENT, None, "perhaps", 1])
def test_an_entry_without_an_expectation_differs_from_nothing(tmp_path: Path, expected: Any) -> None:
    judgement = judged_with(tmp_path, expected=expected, secret="other")
    assert (judgement.verdict, judgement.expected, judgement.differs) == ("invalid", None, False)


_TEXTS = st.text(max_size=20) | st.sampled_from(["sha256=", SIGNATURE, "\ud800", "whsec_", "t=1,v1=2", "v1,"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from([*GOOD, "body_base64", "redacted"])


@settings(deadline=None)  # a busy machine is no failure
@given(entry=st.dictionaries(_NAMES, _VALUES), scheme=st.sampled_from([*SCHEMES, *RECIPES, ""]))
def test_no_entry_is_a_traceback(tmp_path_factory: pytest.TempPathFactory, entry: dict[str, Any], scheme: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps([{**GOOD, **entry, "scheme": scheme}]))
    (judgement,) = [judge(found) for found in read_fixtures(file)]
    assert judgement.verdict in ("valid", "invalid")
    assert (judgement.reason is None) == (judgement.verdict == "valid")
    judgement.id.encode()


def test_a_single_object_is_a_file_of_one_entry(tmp_path: Path) -> None:
    assert [judgement.verdict for judgement in judged(tmp_path, GOOD)] == ["valid"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"POST / HTTP/1.1\r\n\r\n"])
def test_a_file_that_is_no_json_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "entries.json"
    file.write_bytes(content)
    with pytest.raises(Refused, match=r"entries\.json: not JSON"):
        read_fixtures(file)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "entries.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps([GOOD]).encode())
    assert judge(read_fixtures(file)[0]).verdict == "valid"
