"""Secrets: what no route may be served with, said with a stable reason and a fix, and never printed."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from eventroute.schemes import SCHEMES, KeyRefused, Scheme, SecretProblem, generate_secret, lint_key, parse_key
from support.providers import SECRET_ROWS

GOOD = b"0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("scheme", SECRET_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("blank", [b"", b" ", b"\n", b" \t\r\n "], ids=repr)
def test_an_empty_or_blank_secret_is_refused_by_every_row(scheme: Scheme, blank: bytes) -> None:
    problem = lint_key(scheme, blank)
    assert problem is not None
    assert problem.reason is SecretProblem.EMPTY
    with pytest.raises(KeyRefused):
        parse_key(scheme, blank)


@pytest.mark.parametrize("scheme", SECRET_ROWS, ids=lambda row: row.name)
def test_a_trailing_newline_is_refused_by_every_row(scheme: Scheme) -> None:
    problem = lint_key(scheme, generate_secret(scheme).configured + b"\n")
    assert problem is not None
    assert problem.reason is SecretProblem.HAS_WHITESPACE
    assert "echo" in problem.message


@pytest.mark.parametrize(
    ("name", "secret", "reason"),
    [
        ("github", GOOD, None),
        ("github", b"0123456789abcde", SecretProblem.TOO_SHORT),
        ("github", b"0123456789abcdef", None),
        ("github", b" " + GOOD, SecretProblem.HAS_WHITESPACE),
        ("github", b"It's a Secret to Everybody", SecretProblem.PUBLICLY_KNOWN),
        ("github", b"secret", SecretProblem.PUBLICLY_KNOWN),
        ("github", b"-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----", SecretProblem.WRONG_TYPE),
        pytest.param(
            "github", generate_secret(SCHEMES["sendgrid"]).configured, SecretProblem.WRONG_TYPE, id="sendgrid's"
        ),
        ("github", b"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir9=", SecretProblem.WRONG_TYPE),
        ("zendesk", b"dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==", SecretProblem.PUBLICLY_KNOWN),
        ("stripe", b"whsec_" + GOOD, None),
        ("stripe", b"whsec_", SecretProblem.TOO_SHORT),
        ("stripe", b"whsec_0123456789abcde", SecretProblem.TOO_SHORT),
        ("stripe", b"whsk_" + GOOD, SecretProblem.WRONG_TYPE),
        ("standard-webhooks", b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretProblem.PUBLICLY_KNOWN),
        ("standard-webhooks", b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretProblem.PUBLICLY_KNOWN),
        ("standard-webhooks", b"whsec_", SecretProblem.EMPTY),
        ("standard-webhooks", b"whsec_%%%", SecretProblem.UNDECODABLE),
        ("standard-webhooks", b"whsec_YWJj ZGVm", SecretProblem.UNDECODABLE),
        ("standard-webhooks", b"whsec_YWJjZGV", SecretProblem.UNDECODABLE),
        ("standard-webhooks", b"whsec_" + b"A" * 42 + b"B=", SecretProblem.UNDECODABLE),
        ("standard-webhooks", b"whsec_" + base64.b64encode(b"x" * 23), SecretProblem.TOO_SHORT),
        ("standard-webhooks", b"whsec_" + base64.b64encode(b"x" * 24), None),
        ("standard-webhooks", base64.b64encode(b"x" * 24), None),
        ("standard-webhooks", b"\xff\xfe" * 20, SecretProblem.UNDECODABLE),
        ("standard-webhooks-ed25519", b"whsec_" + base64.b64encode(b"x" * 32), SecretProblem.WRONG_TYPE),
        ("standard-webhooks-ed25519", b"whpk_" + base64.b64encode(b"x" * 31), SecretProblem.WRONG_TYPE),
        ("standard-webhooks-ed25519", b"whpk_" + base64.b64encode(b"x" * 32), None),
        ("standard-webhooks-ed25519", b"whsk_" + base64.b64encode(b"x" * 32), SecretProblem.WRONG_TYPE),
        ("discord", b"ab" * 32, None),
        ("discord", b"zz" * 32, SecretProblem.UNDECODABLE),
        ("discord", b"ab" * 31, SecretProblem.WRONG_TYPE),
        ("discord", b"ab" * 32 + b"\n", SecretProblem.HAS_WHITESPACE),
        ("sendgrid", base64.b64encode(b"not der"), SecretProblem.WRONG_TYPE),
        pytest.param(
            "sendgrid",
            generate_secret(SCHEMES["standard-webhooks-ed25519"]).configured,
            SecretProblem.UNDECODABLE,
            id="standard webhooks'",
        ),
        ("alertmanager-basic", b"user:0123456789abcdef", None),
        ("alertmanager-basic", b"user:short", SecretProblem.TOO_SHORT),
        ("alertmanager-basic", b"no colon in this one", SecretProblem.UNDECODABLE),
        ("alertmanager-basic", b"user:", SecretProblem.UNDECODABLE),
        ("alertmanager-basic", b":0123456789abcdef", SecretProblem.UNDECODABLE),
        ("gitlab-token", b"sampleToken!", SecretProblem.TOO_SHORT),
    ],
)
def test_a_secret_is_judged_by_what_its_scheme_needs(name: str, secret: bytes, reason: SecretProblem | None) -> None:
    problem = lint_key(SCHEMES[name], secret)
    assert (problem.reason if problem else None) is reason
    assert problem is None or len(secret) < 12 or secret.decode("latin-1") not in problem.message


def test_a_key_of_another_curve_is_no_key() -> None:
    public = generate_private_key(SECP384R1()).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KeyRefused, match="no ecdsa-p256 public key"):
        parse_key(SCHEMES["sendgrid"], base64.b64encode(der))


@pytest.mark.parametrize("scheme", SECRET_ROWS, ids=lambda row: row.name)
def test_a_key_does_not_print(scheme: Scheme) -> None:
    pair = generate_secret(scheme)
    key = parse_key(scheme, pair.configured)
    assert repr(key) == str(key) == f"{key}" == "Key(…)"


def test_reasons_are_condition_reasons() -> None:
    assert {problem.value for problem in SecretProblem} == {
        "SecretEmpty",
        "SecretHasWhitespace",
        "SecretPubliclyKnown",
        "SecretTooShort",
        "SecretUndecodable",
        "SecretWrongType",
    }
