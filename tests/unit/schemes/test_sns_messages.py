"""SNS: what AWS signs is accepted, and refused with any single change, if possible before a key is asked for."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from eventroute.outcome import Refusal
from eventroute.schemes import (
    SCHEMES,
    Events,
    Handshake,
    Key,
    KeyName,
    KeyRefused,
    Rejected,
    Request,
    Strength,
    Unparsable,
    Verified,
    accepts,
    parse_key,
    parse_keys,
    read,
    verify,
)
from support.fetched_keys import AWS, CERTIFICATE, JSON, TEXT, TOPIC, certificate, from_aws, message, ring_of

NOW = 1_700_000_000.0
SNS, SHA1 = SCHEMES["aws-sns"], SCHEMES["aws-sns-sha1"]
KEYS = [parse_key(SNS, TOPIC.encode())]
RING = ring_of(SNS, certificate())
VERIFIED = Verified(0, Strength.AUTHENTICATED)
PUBLISHED = Path(__file__).parents[2] / "data" / "aws-sns"


def told(kind: str = "Notification", **changes: Any) -> dict[str, Any]:
    return message(kind, **{"now": NOW, **changes})


def judged(request: Request, **changes: Any) -> object:
    return verify(SNS, request, **{"keys": KEYS, "now": NOW, "ring": RING, **changes})


# --- what AWS has signed itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "published", json.loads((PUBLISHED / "messages.json").read_text()), ids=lambda m: m["MessageId"]
)
@pytest.mark.parametrize("spelling", ["SigningCertURL", "SigningCertUrl"])
def test_a_published_message_verifies_by_its_published_certificate(published: dict[str, str], spelling: str) -> None:
    found = parse_keys(SNS, (PUBLISHED / "certificate.pem").read_bytes())
    assert found is not None
    names: list[KeyName] = []
    renamed = {spelling if name == "SigningCertURL" else name: value for name, value in published.items()}
    request = Request(method="POST", url=None, headers=[TEXT], body=json.dumps(renamed).encode())
    keys, sent = [parse_key(SHA1, published["TopicArn"].encode())], datetime.fromisoformat(published["Timestamp"])

    def ring(name: KeyName) -> Any:
        names.append(name)
        return found[""]

    assert verify(SHA1, request, keys, sent.timestamp(), ring=ring) == VERIFIED
    assert names == [KeyName(published["SigningCertURL"])]
    is_weak = published["SignatureVersion"] == "1"
    strict = verify(SNS, request, keys, sent.timestamp(), ring=ring)
    assert strict == (Rejected(Refusal.WEAK_DIGEST) if is_weak else VERIFIED)


# --- each change ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_each_type_of_message_is_accepted(kind: str) -> None:
    assert judged(from_aws(told(kind))) == VERIFIED


@pytest.mark.parametrize("kind", ["Notification", "SubscriptionConfirmation"])
@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "Token", "SubscribeURL", "Type"])
def test_a_changed_part_is_refused(kind: str, name: str) -> None:
    changed = "2023-11-14T22:13:21Z" if name == "Timestamp" else "another"
    after: dict[str, Any] = {name: changed}
    assert judged(from_aws(told(kind), **after)) == Rejected(Refusal.MISMATCH)


@pytest.mark.parametrize("name", ["Message", "MessageId", "Timestamp", "TopicArn", "Type"])
@pytest.mark.parametrize("value", [None, 7, ["a"]], ids=str)
def test_a_part_that_is_missing_or_no_text_is_refused(name: str, value: object) -> None:
    after: dict[str, Any] = {name: value}
    assert judged(from_aws(told(), **after)) == Rejected(Refusal.BODY_UNPARSEABLE)


def test_a_subject_that_is_null_is_one_that_is_not_there() -> None:
    request = from_aws(told())
    request.body = request.body.replace(b'"Type":', b'"Subject":null,"Type":')
    assert judged(request) == VERIFIED


@pytest.mark.parametrize(
    "topic",
    [
        "arn:aws:sns:eu-central-1:999999999999:alarms",
        f"{TOPIC}2",
        TOPIC[:-1],
        TOPIC.upper(),
        "",
        f"x\nTopicArn\n{TOPIC}",
    ],
)
def test_a_genuine_message_of_another_topic_is_refused(topic: str) -> None:
    assert judged(from_aws(told(TopicArn=topic))) == Rejected(Refusal.FOREIGN)


def test_without_a_topic_nothing_is_believed() -> None:
    assert judged(from_aws(told()), keys=[]) == Rejected(Refusal.FOREIGN)


def test_of_two_topics_the_one_that_fits_is_told() -> None:
    other = parse_key(SNS, b"arn:aws-cn:sns:cn-north-1:210987654321:alarms")
    assert judged(from_aws(told()), keys=[other, *KEYS]) == Verified(1, Strength.AUTHENTICATED)


FORGED = [
    f"http://sns.eu-central-1.amazonaws.com/{CERTIFICATE}",
    f"https://sns.eu-central-1.amazonaws.com.evil.example.com/{CERTIFICATE}",
    f"https://evil.example.com/{CERTIFICATE}",
    f"https://evil.example.com/?{AWS}/{CERTIFICATE}",
    f"https://evil.example.com#{AWS}/{CERTIFICATE}",
    f"https://sns.eu-central-1.amazonaws.com@evil.example.com/{CERTIFICATE}",
    f"https://user@sns.eu-central-1.amazonaws.com/{CERTIFICATE}",
    f"https://sns.eu-central-1.amazonaws.com:443/{CERTIFICATE}",
    f"https://sns.eu-central-1.amazonaws.com:8443/{CERTIFICATE}",
    f"https://s3.eu-central-1.amazonaws.com/{CERTIFICATE}",
    f"https://bucket.s3.amazonaws.com/{CERTIFICATE}",
    f"https://sns.amazonaws.com/{CERTIFICATE}",
    f"https://sns.evil.example.com/sns.eu-central-1.amazonaws.com/{CERTIFICATE}",
    f"https://sns.a/b.amazonaws.com/{CERTIFICATE}",
    f"https://xsns.eu-central-1.amazonaws.com/{CERTIFICATE}",
    f"https://snsxeu-central-1xamazonawsxcom/{CERTIFICATE}",
    f"https://sns.eu-central-1.amazonaws.org/{CERTIFICATE}",
    f"https://SNS.eu-central-1.amazonaws.com/{CERTIFICATE}",
    f"https://sns.eu-central-1.amazonaws.com/{CERTIFICATE}?a=b",
    f"https://sns.eu-central-1.amazonaws.com/{CERTIFICATE}#a",
    f"https://sns.eu-central-1.amazonaws.com/topic/{CERTIFICATE}",
    f"https://sns.eu-central-1.amazonaws.com//{CERTIFICATE}",
    "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-../a.pem",
    "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-.pem",
    "https://sns.eu-central-1.amazonaws.com/other.pem",
    f"https://sns.eu-central-1.amazonaws.com/{CERTIFICATE}\n",
    f" https://sns.eu-central-1.amazonaws.com/{CERTIFICATE}",
    f"https://169.254.169.254/{CERTIFICATE}",
    "file:///etc/ssl/a.pem",
    "",
    None,
]


@pytest.mark.parametrize("address", FORGED, ids=str)
def test_a_certificate_elsewhere_is_never_asked_for(address: str | None) -> None:
    def ring(name: KeyName) -> Any:
        raise AssertionError(f"asked for {name}")

    assert judged(from_aws(told(SigningCertURL=address)), ring=ring) == Rejected(Refusal.UNTRUSTED_KEY)


@pytest.mark.parametrize("host", ["sns.us-gov-west-1.amazonaws.com", "sns.cn-north-1.amazonaws.com.cn"])
def test_a_certificate_of_another_region_is_asked_for(host: str) -> None:
    address = f"https://{host}/{CERTIFICATE}"
    asked = judged(from_aws(told(SigningCertURL=address)), ring=lambda _name: None)
    assert asked == KeyName(address)


def test_another_key_is_refused() -> None:
    assert judged(from_aws(told(), key="somebody")) == Rejected(Refusal.MISMATCH)


def test_a_certificate_that_does_not_exist_is_refused() -> None:
    address = f"{AWS}/SimpleNotificationService-ff.pem"
    assert judged(from_aws(told(SigningCertURL=address))) == Rejected(Refusal.UNTRUSTED_KEY)


@pytest.mark.parametrize(("begins", "ends", "is_valid"), [(0, -1, False), (1, 60, False), (-60, 60, True)])
def test_a_certificate_counts_while_it_is_valid(begins: float, ends: float, *, is_valid: bool) -> None:
    document = certificate(begins=0 if begins == 0 else NOW + begins, ends=NOW + ends)
    verdict = judged(from_aws(told()), ring=ring_of(SNS, document))
    assert verdict == (VERIFIED if is_valid else Rejected(Refusal.UNTRUSTED_KEY))


@pytest.mark.parametrize("version", ["3", "", None, "01", 2.5])
def test_an_unknown_version_of_signatures_is_refused(version: object) -> None:
    request = from_aws(told(), SignatureVersion=version)
    assert judged(request) == Rejected(Refusal.MALFORMED_SIGNATURE)


def test_sha1_is_refused_unless_the_row_says_it_out_loud() -> None:
    weak = from_aws(told(SignatureVersion="1"))
    assert judged(weak) == Rejected(Refusal.WEAK_DIGEST)
    assert verify(SHA1, weak, KEYS, NOW, ring=RING) == VERIFIED
    assert verify(SHA1, from_aws(told()), KEYS, NOW, ring=RING) == VERIFIED  # a topic may change to SHA-256 at any time


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_signature_is_not_taken_for_one_of_the_other_version(version: str) -> None:
    other = from_aws(told(SignatureVersion="2" if version == "1" else "1"), SignatureVersion=version)
    assert verify(SHA1, other, KEYS, NOW, ring=RING) == Rejected(Refusal.MISMATCH)


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64", "AAAA=", "AAAA\n"])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    verdict = judged(from_aws(told(), Signature=signature))
    assert verdict == Rejected(Refusal.MISMATCH if signature == "AAAA" else Refusal.MALFORMED_SIGNATURE)


def test_raw_delivery_is_refused_as_unsigned() -> None:
    headers = [TEXT, (b"x-amz-sns-rawdelivery", b"true"), (b"x-amz-sns-topic-arn", TOPIC.encode())]
    for body, reason in ((b'{"AlarmName":"disk"}', Refusal.UNSIGNED), (b"disk is full", Refusal.UNSIGNED)):
        assert judged(Request(method="POST", url=None, headers=headers, body=body)) == Rejected(reason)


@pytest.mark.parametrize(
    ("age_s", "verdict"),
    [
        (3600, VERIFIED),  # the last attempt that AWS makes
        (3900, VERIFIED),
        (3901, Rejected(Refusal.STALE)),
        (-3901, Rejected(Refusal.FUTURE)),
    ],
)
def test_a_message_is_believed_as_long_as_aws_sends_it_again(age_s: float, verdict: object) -> None:
    assert judged(from_aws(told()), now=NOW + age_s) == verdict


@pytest.mark.parametrize("name", ["MessageAttributes", "UnsubscribeURL"])
def test_what_is_not_signed_is_why_the_row_is_not_called_verified(name: str) -> None:
    after: dict[str, Any] = {name: "another"}
    assert judged(from_aws(told(), **after)) == VERIFIED
    assert VERIFIED.strength is Strength.AUTHENTICATED


def test_bytes_that_move_between_parts_make_no_second_event() -> None:
    """Parts stand side by side in what is signed, and the text of one may hold what stands between two."""
    between = "\nMessageId\n"
    rest = "forged\nTimestamp\n2023-11-14T22:13:20Z\nTopicArn\nx\nType\nNotification\nMessage\nb"
    parts = told(Message=f"a{between}{rest}")
    genuine = from_aws(parts)
    moved = from_aws(parts, Message="a", MessageId=f"{rest}{between}{parts['MessageId']}")
    assert judged(genuine) == judged(moved) == VERIFIED
    first, second = read(SNS, genuine), read(SNS, moved)
    assert isinstance(first, Events)
    assert isinstance(second, Events)
    assert first.items[0].id != second.items[0].id
    assert set(first.items[0].marks) & set(second.items[0].marks)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ('{"state":"ALARM","at":1e400}', {"state": "ALARM", "at": 1.7976931348623157e308}),
        ("[1,2]", [1, 2]),
        ("disk is full", "disk is full"),
        ("123", "123"),
        ("true", "true"),
        ('{"state":', '{"state":'),
        ("", ""),
        ("[" * 600 + "]" * 600, "[" * 600 + "]" * 600),
        ("[" * 500 + "]" * 500, "[" * 500 + "]" * 500),  # which would be a level too deep in its place
        ("[" * 499 + "]" * 499, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_json_in_a_message_stands_in_its_place(sent: str, shown: object) -> None:
    found = read(SNS, from_aws(told(Message=sent)), decode=True)
    assert isinstance(found, Events)
    event = found.items[0]
    assert (event.type, event.id) == ("Notification", told()["MessageId"])
    if shown is not None:
        assert event.value["Message"] == shown
    assert event.value["TopicArn"] == TOPIC
    assert json.loads(event.payload)["MessageId"] == event.id


def test_a_subscription_is_a_handshake_that_visits_its_address() -> None:
    parts = told("SubscriptionConfirmation")
    assert read(SNS, from_aws(parts)) == Handshake(200, visit=parts["SubscribeURL"])


@pytest.mark.parametrize(
    "address",
    [
        f"{AWS}/?Action=Unsubscribe&Token=a",
        "http://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=a",
        "https://evil.example.com/?Action=ConfirmSubscription&Token=a",
        f"{AWS}@evil.example.com/?Action=ConfirmSubscription&Token=a",
        f"{AWS}:444/?Action=ConfirmSubscription&Token=a",
        f"{AWS}/a?Action=ConfirmSubscription&Token=a",
        f"{AWS}/?Action=ConfirmSubscription&Token=a b",
        None,
    ],
)
def test_an_address_elsewhere_is_not_visited_although_it_is_signed(address: str | None) -> None:
    assert isinstance(read(SNS, from_aws(told("SubscriptionConfirmation", SubscribeURL=address))), Unparsable)


def test_the_end_of_a_subscription_starts_nothing_and_is_not_undone() -> None:
    assert read(SNS, from_aws(told("UnsubscribeConfirmation"))) == Handshake(200)


def test_text_is_taken_of_this_row_alone() -> None:
    assert accepts(SNS, from_aws(told(), header=TEXT))
    assert accepts(SNS, from_aws(told(), header=JSON))
    assert not accepts(SCHEMES["github"], from_aws(told(), header=TEXT))


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        b"alarms",
        b"arn:aws:sqs:eu-central-1:210987654321:alarms",
        b"arn:aws:sns:eu-central-1:1:alarms",
        b"*",
        b"arn:aws:sns:*:*:*",
    ],
)
def test_a_secret_that_names_no_topic_is_refused(secret: bytes) -> None:
    with pytest.raises(KeyRefused, match="arn:aws:sns:REGION:ACCOUNT:NAME"):
        parse_key(SNS, secret)


def test_keys_of_other_schemes_name_no_topic() -> None:
    keys = [parse_key(SCHEMES["github"], TOPIC.encode()), Key("certificate", TOPIC.encode())]
    assert judged(from_aws(told()), keys=keys) == Rejected(Refusal.FOREIGN)


@pytest.mark.parametrize(
    "document", [b"", b"<html>", certificate("short"), certificate()[:-60]], ids=["empty", "a page", "short", "cut"]
)
def test_what_is_no_usable_certificate_is_none(document: bytes) -> None:
    assert parse_keys(SNS, document) is None
    assert parse_keys(replace(SNS, kind="oidc"), document) is None
