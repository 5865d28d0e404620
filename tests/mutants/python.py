"""Small changes of Python code: mutmut's operators, and two that it lacks.

Of mutmut only the operators are used, functions from a node to its variants. Its runner builds all variants into one
module and chooses by a variable, which does not reach the processes that our tests start, and knows no Lua. cosmic-ray
was looked at too: its parser does not know `match`, it leaves out no argument, and half of what it changes is `|` in
annotations.

Not changed: annotations, decorators, imports, protocols (nothing of them is run), what is logged, words for people, and
numbers that are said to be arbitrary. A positional argument is replaced by None and not left out, which every call
would notice.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import mutators

from mutants.change import Change
from mutants.lua import is_arbitrary

_UNUSED: Final = {
    mutators.operator_assignment,  # a None that the next line trips over
    mutators.operator_augmented_assignment,
}
_NOT_CHANGED: Final = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Assert)
_NOT_CALLED: Final = ("_log.", "logging.", "cast(", "assert_never(", "super()", "structlog.")


def changes_of_python(path: str, source: str) -> list[Change]:
    """List all changes, in the order of the text."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    lines = source.splitlines()
    positions = wrapper.resolve(PositionProvider)
    found = []
    for node, variant, kind in _variants(wrapper.module, wrapper.module, is_in_function=False):
        line = positions[node].start.line
        if not (isinstance(node, cst.BaseNumber) and is_arbitrary(lines[line - 1])):
            found.append(Change(path, line, kind, _replaced(wrapper.module, node, variant)))
    return found


def _replaced(module: cst.Module, node: cst.CSTNode, variant: cst.CSTNode) -> Callable[[], str]:
    def apply() -> str:
        changed = module.deep_replace(node, variant)
        assert isinstance(changed, cst.Module)
        return changed.code

    return apply


_Variant = tuple[cst.CSTNode, cst.CSTNode, str]


def _variants(module: cst.Module, node: cst.CSTNode, *, is_in_function: bool) -> Iterator[_Variant]:
    if isinstance(node, _NOT_CHANGED) or _is_left_alone(module, node) or _is_protocol(node):
        return
    is_alias = isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.BitOr) and not is_in_function
    if not is_alias:
        yield from ((node, variant, kind) for variant, kind in _of_mutmut(node))
    yield from ((node, variant, kind) for variant, kind in _of_ours(node))
    for child in node.children:
        yield from _variants(module, child, is_in_function=is_in_function or isinstance(node, cst.FunctionDef))


def _is_protocol(node: cst.CSTNode) -> bool:
    """Tell a class of which nothing is ever run."""
    return isinstance(node, cst.ClassDef) and any(
        isinstance(base.value, cst.Name) and base.value.value == "Protocol" for base in node.bases
    )


def _is_left_alone(module: cst.Module, node: cst.CSTNode) -> bool:
    if isinstance(node, (cst.Call, cst.Expr)):
        return module.code_for_node(node).startswith(_NOT_CALLED)
    return isinstance(node, cst.SimpleString) and (" " in node.value or node.value.startswith('"""'))


def _of_mutmut(node: cst.CSTNode) -> Iterator[tuple[cst.CSTNode, str]]:
    for kind, operator in mutators.mutation_operators:
        if isinstance(node, kind) and operator not in _UNUSED:
            variants: Iterable[cst.CSTNode] = operator(node)
            if operator is mutators.operator_string:
                variants = list(variants)[:1]  # further ones differ in case
            if operator is mutators.operator_arg_removal and isinstance(node, cst.Call):
                variants = _without_errors_of_type(node, variants)
            for variant in variants:
                yield variant, operator.__name__.removeprefix("operator_").replace("_", " ")


def _without_errors_of_type(node: cst.Call, variants: Iterable[cst.CSTNode]) -> Iterator[cst.CSTNode]:
    for variant in variants:
        assert isinstance(variant, cst.Call)
        missing = [argument for argument in node.args if argument not in variant.args]
        is_left_out = len(variant.args) < len(node.args)
        if not is_left_out or all(argument.keyword for argument in missing):
            yield variant


def _of_ours(node: cst.CSTNode) -> Iterator[tuple[cst.CSTNode, str]]:
    if isinstance(node, cst.Expr) and isinstance(node.value, (cst.Call, cst.Await)):
        yield cst.Pass(semicolon=node.semicolon), "call dropped"
    if isinstance(node, (cst.If, cst.While)):
        condition = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        yield node.with_changes(test=cst.UnaryOperation(cst.Not(), condition)), "condition negated"
