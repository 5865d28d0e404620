"""The scheme of a route: its provider's row, or the one that it describes itself."""

from typing import Final

from msgspec.structs import replace

from eventroute.crd import v1alpha1 as crd
from eventroute.crd.duration import seconds
from eventroute.schemes import INSIDE, SCHEMES, HandshakeRule, Match, Scheme

CUSTOM: Final = "custom"

_ROWS: Final = {**SCHEMES, INSIDE.name: INSIDE}

_DEFAULT_TOLERANCE_S: Final = 300
_SIGNING_KINDS: Final = frozenset({"hmac", "ed25519", "ecdsa-p256"})


def scheme_of(spec: crd.EventRouteSpec) -> Scheme | None:
    """Find the provider's row, or make one of `custom`; the route's own tolerance replaces the row's.

    What a row would forget before it is too old is remembered for longer; `custom` says itself for how long.
    """
    scheme = _custom_scheme(spec.custom) if spec.custom else _ROWS.get(spec.provider)
    if scheme is None or not scheme.timestamp or not spec.tolerance:
        return scheme
    tolerance_s = seconds(spec.tolerance)
    needed_s = 0 if spec.custom else tolerance_s + scheme.retry_window_s
    return replace(scheme, tolerance_s=tolerance_s, dedup_ttl_s=max(scheme.dedup_ttl_s, needed_s))


def _custom_scheme(custom: crd.CustomScheme) -> Scheme:
    return Scheme(
        name=CUSTOM,
        kind=custom.kind,
        signature=custom.signature or "",
        separator=custom.separator,
        prefix=custom.prefix,
        encoding=custom.encoding,
        digest=custom.digest,
        legacy_digest=custom.legacy_digest,
        key=custom.key,
        signed=custom.signed or (("body",) if custom.kind in _SIGNING_KINDS else ()),
        covers_body=custom.covers_body,
        timestamp=custom.timestamp or "",
        timestamp_unit=custom.timestamp_unit,
        tolerance_s=_DEFAULT_TOLERANCE_S if custom.timestamp else None,
        advisory=custom.advisory,
        event=custom.event,
        actor=custom.actor,
        ignored_events=custom.ignored_events,
        id=custom.id,
        dedup_ttl_s=seconds(custom.dedup_ttl),
        batch=custom.batch,
        form=custom.form,
        document=custom.document,
        handshake=tuple(
            HandshakeRule(
                method=rule.method,
                when=tuple(
                    Match(source=match.source, equals=match.equals, verify_token=match.verify_token)
                    for match in rule.when
                ),
                status=rule.status,
                body=rule.body,
                echo=rule.echo,
                proof=rule.proof,
                proof_prefix=rule.proof_prefix,
            )
            for rule in custom.handshake
        ),
        success_status=custom.success_status,
    )
