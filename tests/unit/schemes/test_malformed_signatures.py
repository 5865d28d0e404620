"""Signatures that are missing, bent, repeated or hidden among others are refused, on every row, and nothing raises."""

import base64
from collections.abc import Callable

import pytest

from eventroute.outcome import Refusal
from eventroute.schemes import SCHEMES, Rejected, Scheme, Verified, verify
from support.providers import NOW, SECRET_ROWS, changed, send, signature_header, with_header, without_header

HEADER_ROWS = tuple(row for row in SECRET_ROWS if signature_header(row))
LIST_ROWS = tuple(row for row in HEADER_ROWS if row.separator)
HEX_ROWS = tuple(row for row in HEADER_ROWS if row.kind == "hmac" and row.encoding == "hex")
BASE64_ROWS = tuple(row for row in HEADER_ROWS if row.kind == "hmac" and row.encoding == "base64")


def rows(schemes: tuple[Scheme, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scheme", schemes, ids=lambda row: row.name)


def refusal(scheme: Scheme, bend: Callable[[bytes], bytes]) -> Refusal | None:
    """Bend the signature header of a good request and return why it is refused, or None if it is not."""
    sent = send(scheme)
    header = signature_header(scheme)
    good = dict(sent.request.headers)[header]
    assert isinstance(verify(scheme, sent.request, [sent.key], NOW), Verified)
    verdict = verify(scheme, with_header(sent.request, header, bend(good)), [sent.key], NOW)
    return verdict.reason if isinstance(verdict, Rejected) else None


def tail_start(scheme: Scheme, value: bytes) -> int:
    """Where the last signature's encoded text starts."""
    return value.rindex(scheme.prefix.encode()) + len(scheme.prefix) if scheme.prefix else 0


@rows(HEADER_ROWS)
def test_a_missing_signature_is_named(scheme: Scheme) -> None:
    sent = send(scheme)
    bare = without_header(sent.request, signature_header(scheme))
    assert verify(scheme, bare, [sent.key], NOW) == Rejected(Refusal.MISSING_HEADER)


@rows(HEADER_ROWS)
def test_two_signature_headers_are_as_good_as_none(scheme: Scheme) -> None:
    sent = send(scheme)
    header = signature_header(scheme)
    twice = [*sent.request.headers, (header, dict(sent.request.headers)[header])]
    assert verify(scheme, changed(sent.request, headers=twice), [sent.key], NOW) == Rejected(Refusal.MISSING_HEADER)


JUNK = (
    *(b"", b" ", b"\t", b"\x00", b"=", b",", b";", b"\xe9", b"v1=", b"v1,", b"v0=", b"sha256=", b"Bearer ", b"Basic "),
    "😀".encode(),
    b"a" * 65_536,
)


@rows(HEADER_ROWS)
def test_junk_is_refused(scheme: Scheme) -> None:
    def instead(junk: bytes) -> Callable[[bytes], bytes]:
        return lambda _good: junk

    for junk in JUNK:
        assert refusal(scheme, instead(junk)), junk


RESPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "longer": lambda good: good + b"0",
    "with junk after it": lambda good: good + b"junk",
    "with a newline": lambda good: good + b"\n",
    "with a space after it": lambda good: good + b" ",
    "with a space before it": lambda good: b" " + good,
    "shorter": lambda good: good[:-1],
    "cut in half": lambda good: good[: len(good) // 2],
    "with a NUL after it": lambda good: good + b"\x00",
    "with a NUL before it": lambda good: b"\x00" + good,
    "ending in latin-1": lambda good: good[:-1] + b"\xe9",
    "inside another value": lambda good: b"x" + good,
    "quoted": lambda good: b'"' + good + b'"',
}


@rows(HEADER_ROWS)
def test_one_spelling_only_is_accepted(scheme: Scheme) -> None:
    for name, bend in RESPELLINGS.items():
        if not (scheme.separator == " " and "space" in name):  # where a list is separated by spaces, one more is empty
            assert refusal(scheme, bend), name


@rows(HEADER_ROWS)
def test_a_digest_cut_short_is_refused(scheme: Scheme) -> None:
    def cut(kept: int) -> Callable[[bytes], bytes]:
        return lambda good: good[: tail_start(scheme, good) + kept]

    for kept in (0, 1, 8, 27):
        reason = refusal(scheme, cut(kept))
        assert reason
        assert scheme.kind not in {"hmac", "hash", "ed25519"} or reason is Refusal.MALFORMED_SIGNATURE


@rows(tuple(row for row in HEADER_ROWS if row.prefix and row.kind not in {"token", "basic"}))
@pytest.mark.parametrize(
    "bend",
    [
        lambda prefix, good: good.replace(prefix, b""),
        lambda prefix, good: good.replace(prefix, prefix.upper()),
        lambda prefix, good: good.replace(prefix, prefix + prefix),
        lambda prefix, good: good.replace(prefix, b"x" + prefix),
        lambda prefix, good: good.replace(prefix, prefix[:-1]),
    ],
    ids=["missing", "upper case", "twice", "inside", "without its end"],
)
def test_the_prefix_is_exact(scheme: Scheme, bend: Callable[[bytes, bytes], bytes]) -> None:
    assert refusal(scheme, lambda good: bend(scheme.prefix.encode(), good)) in {
        Refusal.MALFORMED_SIGNATURE,
        Refusal.MISMATCH,
    }


@rows(HEX_ROWS)
def test_upper_case_hex_is_refused(scheme: Scheme) -> None:
    def upper(good: bytes) -> bytes:
        start = tail_start(scheme, good)
        return good[:start] + good[start:].upper()

    assert refusal(scheme, upper) is Refusal.MALFORMED_SIGNATURE


@rows(HEX_ROWS)
def test_base64_where_hex_is_due_is_refused(scheme: Scheme) -> None:
    def other(good: bytes) -> bytes:
        start = tail_start(scheme, good)
        return good[:start] + base64.b64encode(bytes.fromhex(good[start:].decode()))

    assert refusal(scheme, other) is Refusal.MALFORMED_SIGNATURE


@rows(BASE64_ROWS)
@pytest.mark.parametrize(
    "respell",
    [
        lambda text: base64.b64decode(text).hex().encode(),
        lambda text: text.rstrip(b"="),
        lambda text: text[:10] + b"\n" + text[10:],
        lambda text: text[:-3] + b"-_=",
        lambda text: text + b"=",
    ],
    ids=["hex", "unpadded", "newline inside", "url alphabet", "padded twice"],
)
def test_another_spelling_of_base64_is_refused(scheme: Scheme, respell: Callable[[bytes], bytes]) -> None:
    def other(good: bytes) -> bytes:
        start = tail_start(scheme, good)
        return good[:start] + respell(good[start:])

    assert refusal(scheme, other) in {Refusal.MALFORMED_SIGNATURE, Refusal.MISMATCH}


def test_stray_bits_in_base64_are_refused() -> None:
    """`…Q=` and `…R=` decode alike: only the spelling that an encoder makes is the signature."""
    scheme = SCHEMES["shopify"]

    def stray(good: bytes) -> bytes:
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        last = alphabet[alphabet.index(good[-2]) + 1]
        assert base64.b64decode(good[:-2] + bytes([last]) + b"=") == base64.b64decode(good)
        return good[:-2] + bytes([last]) + b"="

    assert refusal(scheme, stray) is Refusal.MISMATCH


@rows(LIST_ROWS)
def test_of_a_thousand_candidates_none_is_tried(scheme: Scheme) -> None:
    def flood(good: bytes) -> bytes:
        start = good.rindex(scheme.prefix.encode())
        wrong = scheme.prefix.encode() + b"0" * 20
        return scheme.separator.encode().join([good[:start].rstrip(b",; "), *[wrong] * 1000, good[start:]])

    assert refusal(scheme, flood) is Refusal.MALFORMED_SIGNATURE


@rows(LIST_ROWS)
def test_a_good_signature_behind_64_kib_of_junk_is_not_looked_for(scheme: Scheme) -> None:
    separator = scheme.separator.encode()
    assert refusal(scheme, lambda good: good + separator + b"x" * 65_536) is Refusal.MALFORMED_SIGNATURE


@rows(LIST_ROWS)
@pytest.mark.parametrize(("others", "accepted"), [(1, True), (3, True), (4, None), (15, None), (16, False)])
def test_up_to_sixteen_candidates_are_tried_and_four_of_public_keys(
    scheme: Scheme, others: int, *, accepted: bool | None
) -> None:
    sent = send(scheme)
    header = signature_header(scheme)
    good = dict(sent.request.headers)[header]
    entry = good[good.rindex(scheme.prefix.encode()) :]
    wrong = scheme.prefix.encode() + b"0" * (len(entry) - len(scheme.prefix))
    separator = scheme.separator.encode()
    stamp = [part for part in good.split(separator) if part != entry]
    value = separator.join([*stamp, *[wrong] * others, entry])
    verdict = verify(scheme, with_header(sent.request, header, value), [sent.key], NOW)
    tries_few = scheme.kind in {"ed25519", "ecdsa-p256"}
    assert isinstance(verdict, Verified) == (not tries_few if accepted is None else accepted)


@pytest.mark.parametrize("name", ["stripe", "paddle", "mux", "sanity"])
def test_a_timestamp_given_twice_is_refused(name: str) -> None:
    scheme = SCHEMES[name]
    separator = scheme.separator.encode()
    twice = refusal(scheme, lambda good: good.split(separator)[0] + separator + good)
    assert twice is Refusal.MISSING_HEADER


@pytest.mark.parametrize("name", ["stripe", "paddle", "mux", "sanity"])
def test_spaces_in_a_list_are_refused(name: str) -> None:
    scheme = SCHEMES[name]
    separator = scheme.separator.encode()
    assert refusal(scheme, lambda good: good.replace(separator, separator + b" "))


@pytest.mark.parametrize("name", ["stripe", "paddle", "mux", "sanity"])
def test_the_order_of_a_list_does_not_matter(name: str) -> None:
    scheme = SCHEMES[name]
    sent = send(scheme)
    header, separator = signature_header(scheme), scheme.separator.encode()
    stamp, signature = dict(sent.request.headers)[header].split(separator)
    turned = with_header(sent.request, header, signature + separator + stamp)
    assert isinstance(verify(scheme, turned, [sent.key], NOW), Verified)


def test_the_name_of_an_authentication_scheme_has_no_case() -> None:
    for name in ("alertmanager", "alertmanager-basic"):
        scheme = SCHEMES[name]
        sent = send(scheme)
        value = dict(sent.request.headers)[b"authorization"]
        lower = value.replace(scheme.prefix.encode(), scheme.prefix.lower().encode())
        assert isinstance(verify(scheme, with_header(sent.request, b"authorization", lower), [sent.key], NOW), Verified)


@pytest.mark.parametrize("name", ["alertmanager", "alertmanager-basic", "cloudevents", "generic-token"])
def test_the_right_credentials_under_another_name_are_refused(name: str) -> None:
    scheme = SCHEMES[name]

    def under(other: bytes) -> Callable[[bytes], bytes]:
        return lambda good: other + good[len(scheme.prefix) :]

    for other in (b"Digest ", b"Token  ", b"Bogus ", b""):
        assert refusal(scheme, under(other)), other


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'{"signature":null}', b'{"signature":{}}', b'{"signature":{"signature":7}}', b"\xff"],
)
def test_a_signature_that_the_body_should_hold_and_does_not_is_refused(body: bytes) -> None:
    scheme = SCHEMES["mailgun"]
    sent = send(scheme)
    assert isinstance(verify(scheme, changed(sent.request, body=body), [sent.key], NOW), Rejected)


def test_a_body_that_must_be_parsed_unverified_is_bounded() -> None:
    scheme = SCHEMES["mailgun"]
    sent = send(scheme)
    padded = sent.request.body[:-1] + b" " * (1 << 20) + b"}"
    verdict = verify(scheme, changed(sent.request, body=padded), [sent.key], NOW)
    assert verdict == Rejected(Refusal.BODY_UNPARSEABLE)
