"""`verify` of requests whose keys are fetched: by a file of keys, by the provider's own, and clear without any."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from eventroute.errors import Refused, RetryLater
from eventroute_cli.fixtures import Recorded, write_fixture
from eventroute_cli.provider_keys import ProviderKeys
from eventroute_cli.verify import judge, verify_command
from eventroute_receiver.fetch import Document
from support.fetched_keys import ACCOUNT, AUDIENCE, AWS, CERTIFICATE, TOPIC, certificate, from_aws, from_google, key_set

PUBLISHED = Path(__file__).parents[2] / "data" / "aws-sns"

app = typer.Typer()
app.command()(verify_command)


def entry(provider: str, *, secret: str = "") -> Recorded:
    request = from_aws() if provider == "aws-sns" else from_google()
    secret = secret or (TOPIC if provider == "aws-sns" else f"{ACCOUNT} {AUDIENCE}")
    headers = tuple((name.decode(), value.decode()) for name, value in request.headers)
    return Recorded(id="a", provider=provider, secrets=(secret.encode(),), headers=headers, body=request.body)


def run(*arguments: str) -> list[dict[str, str]]:
    result = CliRunner().invoke(app, [*arguments, "-o", "json"])
    if isinstance(result.exception, Refused):
        raise result.exception
    found: list[dict[str, str]] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("provider", "document"),
    [("aws-sns", certificate()), ("google-pubsub", key_set())],
    ids=["aws-sns", "google-pubsub"],
)
def test_a_recorded_request_is_judged_by_a_file_of_keys(tmp_path: Path, provider: str, document: bytes) -> None:
    keys, file = tmp_path / "keys", tmp_path / "request.json"
    keys.write_bytes(document)
    recorded = entry(provider)
    file.write_bytes(write_fixture(recorded))
    secret = recorded.secrets[0].decode()
    assert [found["verdict"] for found in run(str(file), "--secret", secret, "--keys", str(keys))] == ["valid"]
    (other,) = run(str(file), "--secret", f"{TOPIC}2" if provider == "aws-sns" else f"{ACCOUNT} x", "--keys", str(keys))
    assert (other["verdict"], other["reason"]) == ("invalid", "foreign")


def test_what_aws_has_published_is_valid_by_its_own_certificate(tmp_path: Path) -> None:
    messages = json.loads((PUBLISHED / "messages.json").read_text())
    entries = [
        {
            "provider": "aws-sns-sha1",
            "secret": each["TopicArn"],
            "body": json.dumps(each),
            "headers": {"content-type": "text/plain"},
        }
        for each in messages
    ]
    file = tmp_path / "messages.json"
    file.write_text(json.dumps(entries))
    found = run(str(file), "--keys", str(PUBLISHED / "certificate.pem"))
    assert [each["verdict"] for each in found] == ["valid"] * 4
    late = run(str(file), "--keys", str(PUBLISHED / "certificate.pem"), "--now", "now")
    assert {each["reason"] for each in late} == {"untrusted_key"}  # the certificate has expired since


def test_the_keys_of_the_provider_are_fetched_once() -> None:
    asked: list[str] = []

    async def fetch(url: str) -> Document:
        asked.append(url)
        return Document(certificate(), None)

    known = ProviderKeys(fetch=fetch)
    assert [judge(entry("aws-sns"), keys=known).verdict for _ in range(2)] == ["valid"] * 2
    assert asked == [f"{AWS}/{CERTIFICATE}"]


async def _away(_url: str) -> Document:
    raise RetryLater("no route to host")


async def _garbled(_url: str) -> Document:
    return Document(b"<html>", None)


@pytest.mark.parametrize(
    ("fetch", "why"),
    [(_away, "no route to host"), (_garbled, "answered what is no usable key")],
    ids=["away", "garbled"],
)
def test_where_there_are_no_keys_the_reason_says_so_and_what_to_do(fetch: object, why: str) -> None:
    found = judge(entry("aws-sns"), keys=ProviderKeys(fetch=fetch))  # type: ignore[arg-type]
    address = f"{AWS}/{CERTIFICATE}"
    assert (found.verdict, found.reason) == ("invalid", f"no_key: {address}: {why}; give its file with --keys")
    assert judge(entry("aws-sns")).reason == f"no_key: {address}; give its file with --keys"


def test_a_key_that_its_provider_does_not_have_is_another_matter() -> None:
    async def fetch(_url: str) -> None:
        return None

    assert judge(entry("aws-sns"), keys=ProviderKeys(fetch=fetch)).reason == "untrusted_key"


@pytest.mark.parametrize("content", [None, "", "-----BEGIN PUBLIC KEY-----"], ids=str)
def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path, content: str | None) -> None:
    keys, file = tmp_path / "keys", tmp_path / "request.json"
    file.write_bytes(write_fixture(entry("aws-sns")))
    if content is not None:
        keys.write_text(content)
    with pytest.raises(Refused, match=r"--keys .*/keys: (not a certificate \(PEM\)|No such file)"):
        run(str(file), "--secret", TOPIC, "--keys", str(keys))


def test_a_request_that_is_refused_anyway_makes_nobody_fetch() -> None:
    async def fetch(url: str) -> Document:
        raise AssertionError(url)

    assert judge(entry("aws-sns", secret=f"{TOPIC}2"), keys=ProviderKeys(fetch=fetch)).reason == "foreign"
