"""What the scheme table implies for a route's spec, as rules that name the providers and so follow the table."""

from collections.abc import Callable, Iterable

from eventroute.crd.rules import Rule
from eventroute.schemes import Scheme, Strength, needs_public_url, needs_secret, needs_verify_token, strength


def provider_rules(schemes: Iterable[Scheme]) -> tuple[Rule, ...]:
    """State what a provider, or a custom scheme, asks of the rest of the spec; `eventroute.compile` judges the same."""
    rows = tuple(schemes)
    open_rows = _one_of(rows, lambda row: strength(row) is Strength.OPEN)
    weak_rows = _one_of(rows, lambda row: strength(row) is not Strength.VERIFIED)
    signs_url = _one_of(rows, needs_public_url)
    timeless = _one_of(rows, lambda row: not row.timestamp)
    actorless = _one_of(rows, lambda row: not row.actor)
    no_secret = _one_of(rows, lambda row: not needs_secret(row))
    shows_token = _one_of(rows, needs_verify_token)
    open_custom = "(has(self.custom) && has(self.custom.kind) && self.custom.kind == 'none')"
    timeless_custom = "(has(self.custom) && !has(self.custom.timestamp))"
    actorless_custom = "(has(self.custom) && !has(self.custom.actor))"
    custom_url = "(has(self.custom) && has(self.custom.signed) && 'url' in self.custom.signed)"
    shown_to_custom = (
        "(has(self.custom) && has(self.custom.handshake) && self.custom.handshake.exists(h,"
        " has(h.when) && h.when.exists(m, has(m.verifyToken) && m.verifyToken)))"
    )
    return (
        Rule(
            f"{no_secret} || {open_custom} || (has(self.secretRefs) && size(self.secretRefs) > 0)",
            "this provider needs secretRefs: a Secret to verify with",
            reason="FieldValueRequired",
        ),
        Rule(
            f"!({shows_token} || {shown_to_custom}) || has(self.verifyTokenRef)",
            "this provider shows a token when it sets the webhook up; set verifyTokenRef to a Secret with one of yours",
            reason="FieldValueRequired",
        ),
        Rule(
            f"!({open_rows} || {open_custom}) || (has(self.allowUnauthenticated) && self.allowUnauthenticated)",
            "this scheme proves nothing about the sender; set allowUnauthenticated: true if anybody may post",
            reason="FieldValueRequired",
        ),
        Rule(
            f"!({signs_url} || {custom_url}) || has(self.publicURL)",
            "this provider signs the URL that it calls; set publicURL to the one that is configured there",
            reason="FieldValueRequired",
        ),
        Rule(
            f"!has(self.tolerance) || !({timeless} || {timeless_custom})",
            "this provider sends no timestamp that tolerance could judge",
            reason="FieldValueForbidden",
        ),
        Rule(
            f"!has(self.ownActors) || !({actorless} || {actorless_custom})",
            "this provider's events do not tell who caused them, so that ownActors could be known",
            reason="FieldValueForbidden",
        ),
        Rule(
            f"!has(self.requireStrength) || (!({open_rows} || {open_custom})"
            f" && (self.requireStrength != 'verified' || !{weak_rows}))",
            "this provider offers less than requireStrength asks for",
        ),
    )


def _one_of(rows: Iterable[Scheme], accepts: Callable[[Scheme], bool]) -> str:
    names = ", ".join(f"'{row.name}'" for row in rows if accepts(row))
    return f"(self.provider in [{names}])"
