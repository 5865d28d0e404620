"""What the API server holds, as far as it is known: EventRoutes, and the Secrets and ConfigMaps that they name.

Watches and lists feed it, in any order and as often as they like; the reconciler asks it. Of Secrets and ConfigMaps
only those are kept that some route refers to. It knows neither kopf nor Redis, and decides nothing.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from eventroute.compile import references
from eventroute.crd.objects import ConfigMapObject, ObjectKey, SecretObject, parse_config_map, parse_secret
from eventroute.crd.v1alpha1 import API_VERSION, KIND, EventRoute, SecretKeyRef
from eventroute.crd.validate import Mistake, parse_route
from eventroute.ids import RoutePath, route_path

_REVISION_DIGITS: Final = 12  # enough to tell two revisions of one object apart


class Kind(StrEnum):
    """The kinds that are watched."""

    ROUTE = "EventRoute"
    SECRET = "Secret"  # noqa: S105 - a kind's name
    CONFIG_MAP = "ConfigMap"


class Reference(NamedTuple):
    """A Secret or ConfigMap that a route names."""

    kind: Kind
    key: ObjectKey


@dataclass(frozen=True, slots=True)
class RouteObject:
    """An EventRoute as the API server has it."""

    key: ObjectKey
    uid: str
    generation: int
    spec: EventRoute | tuple[Mistake, ...]
    """What is wrong with it, when it is not to be understood."""
    references: frozenset[Reference]
    status: Mapping[str, Any] = field(repr=False)
    created: str
    """Its time of creation."""
    digest: int
    """Of the spec as it came. The generation would do, but for a watch that is older than a change of the resource."""


@dataclass(frozen=True, slots=True)
class Held:
    """A Secret or ConfigMap that a route names."""

    revision: str
    """Short, and different after each change; nothing can be learned from it about the values."""
    object: SecretObject | ConfigMapObject = field(repr=False)
    """Empty if what the cluster holds cannot be read."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list on its way in."""

    kind: Kind
    covers: Callable[[ObjectKey], bool]
    began: int
    """The cluster's clock when the list was asked for."""
    seen: set[ObjectKey] = field(default_factory=set)


class _Touched(NamedTuple):
    """When a watch last told of an object."""

    clock: int
    version: int
    """Its resourceVersion then."""


class Cluster:
    """The objects, which of them changed, and who refers to whom."""

    def __init__(self) -> None:
        """Start knowing nothing."""
        self.routes: dict[ObjectKey, RouteObject] = {}
        self.changed = asyncio.Event()
        """Set when there is something in `take_dirty`."""
        self._held: dict[Reference, Held | None] = {}
        self._users: defaultdict[Reference, set[ObjectKey]] = defaultdict(set)
        self._callers: defaultdict[str, set[ObjectKey]] = defaultdict(set)  # by namespace, routes that name others
        self._dirty: set[ObjectKey] = set()
        self._clock = 0
        self._touched: dict[tuple[Kind, ObjectKey], _Touched] = {}

    # --- what is asked ---

    def take_dirty(self) -> set[ObjectKey]:
        """Hand out the routes that are new, gone or changed, in themselves or in what they refer to; once."""
        self.changed.clear()
        dirty, self._dirty = self._dirty, set()
        return dirty

    def mark(self, routes: Iterable[ObjectKey]) -> None:
        """Let routes be looked at again."""
        self._dirty.update(routes)
        if self._dirty:
            self.changed.set()

    def find(self, reference: Reference) -> Held | None:
        """Get what a route refers to; None when it does not exist, or nobody has looked yet."""
        return self._held.get(reference)

    def neighbours(self, route: ObjectKey) -> Mapping[RoutePath, EventRoute | None]:
        """Get the routes of a namespace for one whose sinks lead to some; None = one that cannot be understood."""
        if route not in self._callers[route.namespace]:
            return {}
        return {
            route_path(*key): None if isinstance(each.spec, tuple) else each.spec
            for key, each in self.routes.items()
            if key.namespace == route.namespace
        }

    def unknown(self, routes: Iterable[ObjectKey]) -> set[Reference]:
        """Name what these routes refer to and nobody has looked at yet."""
        found = (self.routes[key] for key in routes if key in self.routes)
        return {reference for route in found for reference in route.references if reference not in self._held}

    # --- what is told ---

    def see(self, kind: Kind, body: Mapping[str, Any]) -> None:
        """Take an object as it is now."""
        if self._touch(kind, body):
            self._put(kind, body)

    def forget(self, kind: Kind, body: Mapping[str, Any]) -> None:
        """Take note that an object, which was last so, is gone."""
        if self._touch(kind, body):
            self._remove(kind, object_key(body))

    def begin_list(self, kind: Kind, covers: Callable[[ObjectKey], bool] = lambda _: True) -> Listing:
        """Begin to compare with a list that is asked for now.

        covers  which objects the list would hold if they existed
        """
        return Listing(kind, covers, began=self._clock)

    def add_listed(self, listing: Listing, body: Mapping[str, Any]) -> None:
        """Take one of the listed objects, unless a watch has told of it since."""
        key = object_key(body)
        listing.seen.add(key)
        if not self._is_newer(listing, key):
            self._put(listing.kind, body)

    def end_list(self, listing: Listing) -> None:
        """Forget what the list should have held and did not."""
        self.end_look(listing)
        # Only what was touched after a list began can contradict it, and lists come one after the other.
        self._touched = {
            name: touched
            for name, touched in self._touched.items()
            if name[0] is not listing.kind or touched.clock > listing.began
        }

    def end_look(self, listing: Listing) -> None:
        """End a list of one object, which may be asked for while another list is still on its way in."""
        for key in self._known(listing.kind) - listing.seen:
            if listing.covers(key) and not self._is_newer(listing, key):
                self._remove(listing.kind, key)

    # --- how it is kept ---

    def _touch(self, kind: Kind, body: Mapping[str, Any]) -> bool:
        """Take note of what a watch tells; False when it is older than what was told before.

        The end of one object and the beginning of another of the same name may arrive in either order.
        """
        name, version = (kind, object_key(body)), _version(body)
        before = self._touched.get(name)
        if before and version < before.version:
            return False
        self._clock += 1
        self._touched[name] = _Touched(self._clock, version)
        return True

    def _is_newer(self, listing: Listing, key: ObjectKey) -> bool:
        touched = self._touched.get((listing.kind, key))
        return touched is not None and touched.clock > listing.began

    def _known(self, kind: Kind) -> set[ObjectKey]:
        if kind is Kind.ROUTE:
            return set(self.routes)
        return {reference.key for reference in self._users if reference.kind is kind}

    def _put(self, kind: Kind, body: Mapping[str, Any]) -> None:
        key = object_key(body)
        if kind is Kind.ROUTE:
            self._put_route(key, body)
            return
        reference = Reference(kind, key)
        if reference in self._users:
            self._hold(reference, body)

    def _put_route(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        metadata = body["metadata"]
        if metadata.get("deletionTimestamp"):  # kept only by somebody's finalizer: no longer wanted
            self._remove(Kind.ROUTE, key)
            return
        before = self.routes.get(key)
        uid, generation = metadata.get("uid", ""), metadata.get("generation", 0)
        status, digest = body.get("status") or {}, hash(msgspec.json.encode(body.get("spec")))
        if before and (before.uid, before.generation, before.digest) == (uid, generation, digest):
            self.routes[key] = replace(before, status=status)
            return
        spec = parse_route({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": body.get("spec")})
        route = RouteObject(
            key, uid, generation, spec, _references(spec), status, metadata.get("creationTimestamp") or "", digest
        )
        self.routes[key] = route
        self._follow(key, before.references if before else frozenset(), route.references)
        self._note_caller(key, is_one=_names_routes(spec))
        self.mark((key, *self._callers[key.namespace]))

    def _note_caller(self, route: ObjectKey, *, is_one: bool) -> None:
        if is_one:
            self._callers[route.namespace].add(route)
        else:
            self._callers[route.namespace].discard(route)

    def _hold(self, reference: Reference, body: Mapping[str, Any] | None) -> None:
        held = _held(reference, body) if body else None
        before = self._held.get(reference)
        if reference in self._held and (before and before.revision) == (held and held.revision):
            return
        self._held[reference] = held
        self.mark(self._users[reference])

    def _remove(self, kind: Kind, key: ObjectKey) -> None:
        if kind is Kind.ROUTE:
            if before := self.routes.pop(key, None):
                self._follow(key, before.references, frozenset())
                self._note_caller(key, is_one=False)
                self.mark((key, *self._callers[key.namespace]))
        elif (reference := Reference(kind, key)) in self._users:
            self._hold(reference, None)

    def _follow(self, route: ObjectKey, before: frozenset[Reference], after: frozenset[Reference]) -> None:
        for reference in before - after:
            users = self._users[reference]
            users.discard(route)
            if not users:  # what nobody refers to is not kept
                del self._users[reference]
                self._held.pop(reference, None)
        for reference in after - before:
            self._users[reference].add(route)


def object_key(body: Mapping[str, Any]) -> ObjectKey:
    """Name an object of the API server."""
    metadata = body["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata["name"])


def _version(body: Mapping[str, Any]) -> int:
    """Read a resourceVersion as a number, which it is with etcd, and officially since Kubernetes 1.35."""
    version = str(body["metadata"].get("resourceVersion", ""))
    return int(version) if version.isdecimal() else 0


def _references(spec: EventRoute | tuple[Mistake, ...]) -> frozenset[Reference]:
    if isinstance(spec, tuple):
        return frozenset()
    namespace = spec.metadata.namespace
    return frozenset(
        Reference(Kind.SECRET if isinstance(found, SecretKeyRef) else Kind.CONFIG_MAP, ObjectKey(namespace, found.name))
        for found in references(spec.spec)
    )


def _names_routes(spec: EventRoute | tuple[Mistake, ...]) -> bool:
    return not isinstance(spec, tuple) and any(sink.route for sink in spec.spec.sinks)


def _held(reference: Reference, body: Mapping[str, Any]) -> Held:
    metadata = body["metadata"]
    version = f"{metadata.get('uid', '')}/{metadata.get('resourceVersion', '')}"
    revision = hashlib.sha256(version.encode()).hexdigest()[:_REVISION_DIGITS]
    parsed = parse_secret(body) if reference.kind is Kind.SECRET else parse_config_map(body)
    if isinstance(parsed, SecretObject | ConfigMapObject):
        return Held(revision, parsed)
    return Held(revision, (SecretObject if reference.kind is Kind.SECRET else ConfigMapObject)(reference.key, {}))
