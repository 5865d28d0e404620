"""Options that several commands share, as one parameter of each: its type's fields are the options.

    class Place(NamedTuple):
        context: Annotated[str, typer.Option()] = ""

    @app.command()
    @spread
    def look(*, place: Place) -> None: ...

The command has `--context`, where `place` stands.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of its parameters that are NamedTuples as options of its own."""
    signature = inspect.signature(command)
    groups = {name: each.annotation for name, each in signature.parameters.items() if _is_group(each)}
    fields = {name: list(inspect.signature(group).parameters.values()) for name, group in groups.items()}

    @functools.wraps(command)
    def with_options(*args: Any, **said: Any) -> None:
        grouped = {
            name: group(**{each.name: said.pop(each.name) for each in fields[name] if each.name in said})
            for name, group in groups.items()
        }
        command(*args, **said, **grouped)

    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) if name in groups else parameter
        for name, each in signature.parameters.items()
        for parameter in fields.get(name, [each])
    ]
    vars(with_options)["__signature__"] = signature.replace(parameters=parameters)
    return with_options


def _is_group(parameter: inspect.Parameter) -> bool:
    kind = parameter.annotation
    return isinstance(kind, type) and issubclass(kind, tuple)
