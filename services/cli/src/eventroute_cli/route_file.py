"""The route that a recorded request was for, read from its manifest: its scheme, secrets and public URL.

Routes that would not be served are taken too, as what keeps them from it may be what the user is looking for.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from eventroute.compile import scheme_of
from eventroute.crd.manifest import Found, Manifests, load_manifests
from eventroute.crd.objects import ObjectKey
from eventroute.crd.v1alpha1 import SecretKeyRef
from eventroute.errors import Refused
from eventroute.schemes import Scheme


class MeantRoute(NamedTuple):
    """What a receiver would judge the request by."""

    scheme: Scheme
    secrets: tuple[bytes, ...]
    """Those that stand in the same file; current first."""
    verify_token: bytes
    """The same; empty = there is none."""
    configured_url: str | None

    def public_url(self, target: str) -> str | None:
        """The URL that the provider signed: as configured, with the request's query where that has none."""
        if self.configured_url is None or urlsplit(self.configured_url).query:
            return self.configured_url
        query = urlsplit(target).query
        return f"{self.configured_url}?{query}" if query else self.configured_url


def find_route(file: Path, target: str) -> MeantRoute:
    """Find the route that a request for `target` reaches, or the file's only one; raises `Refused` otherwise."""
    manifests = load_manifests([file])
    found = _choose(file, manifests, target)
    spec, namespace = found.route.spec, found.route.metadata.namespace
    scheme = scheme_of(spec)
    if scheme is None:
        raise Refused(f'{file}:{found.origin.line("spec.provider")}: unknown provider "{spec.provider}"')
    data = {secret.key: secret.data for secret in manifests.secrets}

    def reveal(refs: Iterable[SecretKeyRef]) -> tuple[bytes, ...]:
        found = [data.get(ObjectKey(namespace, ref.name), {}).get(ref.key) for ref in refs]
        return tuple(secret.reveal() for secret in found if secret is not None)

    token = b"".join(reveal(filter(None, [spec.verify_token_ref])))
    return MeantRoute(scheme, reveal(spec.secret_refs), token, spec.public_url)


def _choose(file: Path, manifests: Manifests, target: str) -> Found:
    if not manifests.routes:
        problem = next((problem for problem in manifests.problems if not problem.is_note), None)
        raise Refused(f"{file}:{problem.line}: {problem.message}" if problem else f"{file}: holds no EventRoute")
    if len(manifests.routes) == 1:
        return manifests.routes[0]
    paths = {
        f"/hooks/{found.route.metadata.namespace}/{found.route.metadata.name}": found for found in manifests.routes
    }
    path = urlsplit(target).path
    if path not in paths:
        raise Refused(f"{file}: the request is for {path}, and the routes are at {', '.join(paths)}")
    return paths[path]
