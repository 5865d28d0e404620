"""Manifests in files: EventRoutes with the Secrets and ConfigMaps beside them, and what is wrong, by file and line.

Nothing raises: a file that cannot be read is a problem like any other. Knows how manifests are written, not whether
what they say can be served; that is `eventroute.compile`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from eventroute.crd.document import Broken, Document, read_documents
from eventroute.crd.objects import ConfigMapObject, SecretObject, parse_config_map, parse_secret
from eventroute.crd.v1alpha1 import API_VERSION, KIND, EventRoute
from eventroute.crd.validate import Mistake, parse_route

MAX_FILE_BYTES: Final = 2_097_152
"""Kubernetes itself refuses objects over 1.5 MiB."""
SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})

Parsed = TypeVar("Parsed", SecretObject, ConfigMapObject)


class ManifestReason(StrEnum):
    """What kind of thing is wrong with a file; stable."""

    UNREADABLE = "FileUnreadable"
    NOT_YAML = "NotYAML"
    NOT_AN_OBJECT = "NotAnObject"
    WRONG_API_VERSION = "WrongAPIVersion"
    UNKNOWN_FIELD = "UnknownField"
    INVALID_FIELD = "InvalidField"
    DUPLICATE_OBJECT = "DuplicateObject"
    IGNORED_KIND = "IgnoredKind"
    """Only a note: other things may stand in the same files."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object was read."""

    file: str
    document: int
    """From 1."""
    lines: Mapping[str, int] = field(repr=False)
    literals: frozenset[str] = field(repr=False)
    prefix: str = ""
    """Path of the object within its document: `items[2]` in a List."""

    def line(self, path: str, inner: int = 0) -> int:
        """Find the line of a field, or of the nearest one around it that stands in the file.

        inner  line within the field's text, from 1; 0 = the field itself
        """
        full = f"{self.prefix}.{path}".strip(".")
        while full and full not in self.lines:
            full = full[: max(full.rfind("."), full.rfind("["), 0)]
        offset = inner if full in self.literals else max(inner - 1, 0)
        return self.lines.get(full, 1) + offset


class Problem(NamedTuple):
    """One thing that is wrong, where a person can go and look."""

    file: str
    line: int
    """From 1; 0 where a file has no lines to speak of."""
    document: int
    """From 1; 0 when the file as a whole is meant."""
    field: str
    reason: ManifestReason
    message: str

    @property
    def is_note(self) -> bool:
        """Whether nothing needs to be done about it."""
        return self.reason is ManifestReason.IGNORED_KIND


class Found(NamedTuple):
    """A route and where it stands."""

    route: EventRoute
    origin: Origin


@dataclass(frozen=True, slots=True)
class Manifests:
    """All that some files hold."""

    routes: tuple[Found, ...] = ()
    secrets: tuple[SecretObject, ...] = ()
    config_maps: tuple[ConfigMapObject, ...] = ()
    problems: tuple[Problem, ...] = ()


def load_manifests(paths: Iterable[Path], *, recursive: bool = False) -> Manifests:
    """Read files and directories; of a directory, the manifests in it, and below it when `recursive`."""
    reader = _Reader()
    for path in paths:
        for file in _files(path, reader, recursive=recursive):
            reader.read_file(file)
    return reader.result()


def parse_manifests(text: str, file: str = "") -> Manifests:
    """Read manifests from a text; `file` is what problems call it."""
    reader = _Reader()
    reader.read_text(text, file)
    return reader.result()


def _files(path: Path, reader: "_Reader", *, recursive: bool) -> Sequence[Path]:
    try:
        if not path.is_dir():
            return (path,)
        entries = path.rglob("*") if recursive else path.iterdir()
        found = sorted(entry for entry in entries if entry.suffix in SUFFIXES and entry.is_file())
    except OSError as error:
        reader.report_file(str(path), f"cannot be read: {error.strerror}")
        return ()
    if not found:
        hint = "" if recursive else "; use -R to look into folders"
        reader.report_file(str(path), f"holds no manifests (*.yaml, *.yml, *.json){hint}")
    return found


class _Reader:
    """Collects objects and problems over files."""

    def __init__(self) -> None:
        self._routes: list[Found] = []
        self._secrets: list[SecretObject] = []
        self._config_maps: list[ConfigMapObject] = []
        self._problems: list[Problem] = []
        self._seen: dict[object, str] = {}
        self._kinds: dict[tuple[str, str], Callable[[Mapping[str, Any], Origin], None]] = {
            (API_VERSION, KIND): self._route,
            ("v1", "Secret"): self._secret,
            ("v1", "ConfigMap"): self._config_map,
            ("v1", "List"): self._list,
        }

    def result(self) -> Manifests:
        return Manifests(
            routes=tuple(self._routes),
            secrets=tuple(self._secrets),
            config_maps=tuple(self._config_maps),
            problems=tuple(self._problems),
        )

    def read_file(self, path: Path) -> None:
        file = str(path)
        try:
            with path.open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            self.report_file(file, f"cannot be read: {error.strerror}")
            return
        if len(data) > MAX_FILE_BYTES:
            self.report_file(file, f"is larger than {MAX_FILE_BYTES} bytes")
            return
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            self._problems.append(Problem(file, line, 0, "", ManifestReason.UNREADABLE, "is not UTF-8"))
            return
        self.read_text(text, file)

    def read_text(self, text: str, file: str) -> None:
        for document in read_documents(text):
            if isinstance(document, Broken):
                place = (file, document.line, document.number, document.field)
                self._problems.append(Problem(*place, ManifestReason.NOT_YAML, document.message))
            elif document.value is not None:
                self._object(document.value, _origin(file, document))

    def report_file(self, file: str, message: str) -> None:
        self._problems.append(Problem(file, 0, 0, "", ManifestReason.UNREADABLE, message))

    def _report(self, origin: Origin, reason: ManifestReason, *mistakes: Mistake) -> None:
        for mistake in sorted(mistakes, key=lambda mistake: origin.line(mistake.field)):
            kind = ManifestReason.UNKNOWN_FIELD if mistake.unknown_field else reason
            line = origin.line(mistake.field)
            self._problems.append(Problem(origin.file, line, origin.document, mistake.field, kind, mistake.message))

    def _object(self, value: Any, origin: Origin) -> None:
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            mistake = Mistake("", "is not a Kubernetes object: apiVersion and kind are missing")
            self._report(origin, ManifestReason.NOT_AN_OBJECT, mistake)
            return
        kind, version = value["kind"], value.get("apiVersion")
        add = self._kinds.get((str(version), kind))
        if add:
            add(value, origin)
        elif kind == KIND:
            mistake = Mistake("apiVersion", f"must be {API_VERSION}")
            self._report(origin, ManifestReason.WRONG_API_VERSION, mistake)
        else:
            self._report(origin, ManifestReason.IGNORED_KIND, Mistake("kind", f"{kind} is ignored"))

    def _list(self, value: Mapping[str, Any], origin: Origin) -> None:
        items = value.get("items")
        for index, item in enumerate(items if isinstance(items, list) else []):
            inner = f"{origin.prefix}.items[{index}]".strip(".")
            self._object(item, Origin(origin.file, origin.document, origin.lines, origin.literals, inner))

    def _route(self, value: Mapping[str, Any], origin: Origin) -> None:
        route = parse_route(value)
        if isinstance(route, EventRoute):
            self._routes.append(Found(route, origin))
        else:
            self._report(origin, ManifestReason.INVALID_FIELD, *route)

    def _secret(self, value: Mapping[str, Any], origin: Origin) -> None:
        self._add(parse_secret(value), self._secrets, "Secret", origin)

    def _config_map(self, value: Mapping[str, Any], origin: Origin) -> None:
        self._add(parse_config_map(value), self._config_maps, "ConfigMap", origin)

    def _add(self, parsed: Parsed | tuple[Mistake, ...], to: list[Parsed], kind: str, origin: Origin) -> None:
        if isinstance(parsed, tuple):
            self._report(origin, ManifestReason.INVALID_FIELD, *parsed)
            return
        name = (kind, parsed.key)
        if name in self._seen:
            mistake = Mistake("metadata.name", f"this {kind} was read before, from {self._seen[name]}")
            self._report(origin, ManifestReason.DUPLICATE_OBJECT, mistake)
            return
        self._seen[name] = f"{origin.file}:{origin.line('')}"
        to.append(parsed)


def _origin(file: str, document: Document) -> Origin:
    return Origin(file, document.number, document.lines, document.literals)
