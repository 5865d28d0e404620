"""What the platform's owner lets routes ask of Claude and reach, for all namespaces and otherwise for some; and costs.

The operator judges routes by it (`operator.policy` of the chart), and so does `eventroute lint --policy` by a file of
that form, or by the chart's values themselves.
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from eventroute.crd.document import Broken, read_documents
from eventroute.crd.v1alpha1 import Budget
from eventroute.errors import Refused
from eventroute.models import Effort, Model, undated
from eventroute.outbound import HostPattern, OutboundRules

_EFFORTS: Final[tuple[Effort, ...]] = get_args(Effort)

ModelPattern = Annotated[str, StringConstraints(pattern=r"^[-A-Za-z0-9_.:/@]*\*?$", min_length=1, max_length=128)]
"""A model's name, or how it begins, and `*`."""


OwnersBudget = Annotated[Budget | None, BeforeValidator(lambda said: said or None)]
"""As of a route; the chart says nothing by an empty one."""


class Allowance(BaseModel):
    """What is allowed; what is empty limits nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    models: tuple[ModelPattern, ...] = Field(default=(), max_length=64)
    """A name without its date stands for all its dates."""
    max_tokens: int = Field(default=0, ge=0)
    effort: Effort | Literal[""] = ""
    """The highest."""
    allowed_hosts: tuple[HostPattern, ...] = Field(default=(), max_length=256)
    """What sinks and tools may name; names that are private for all are allowed besides."""
    budget: OwnersBudget = None
    """Of all calls together: the namespace's, or all of the installation's, which count in their namespace's too."""

    def violations(self, *, name: str, model: Model, max_tokens: int, effort: Effort | None) -> Iterator[str]:
        """Say what of a call is not allowed.

        model   what is known of it
        effort  as it is sent; None = nothing is
        """
        if self.models and not any(_means(pattern, name) for pattern in self.models):
            yield f"model {name} is not allowed; {', '.join(self.models)} {'is' if len(self.models) == 1 else 'are'}"
        if self.max_tokens and max_tokens > self.max_tokens:
            yield f"maxTokens {max_tokens} is more than the {self.max_tokens} that are allowed"
        if not self.effort:
            return
        if effort and _EFFORTS.index(effort) > _EFFORTS.index(self.effort):
            yield f"effort {effort} is higher than {self.effort}, which is allowed"
        elif effort is None and model.efforts is None:
            yield f"nobody knows how thoroughly {name} works unless told; set effort to {self.effort} at most"

    def narrow(self, rules: OutboundRules) -> OutboundRules:
        """Say what of an installation's rules holds for URLs in manifests (`eventroute.outbound.read_url`)."""
        return rules.model_copy(update={"allowed_hosts": self.allowed_hosts})


class Policy(Allowance):
    """The allowance of all namespaces, and of some."""

    namespaces: dict[str, Allowance] = Field(default_factory=dict)
    """What one says takes the place of what is said for all."""

    def of(self, namespace: str) -> Allowance:
        """Find a namespace's allowance."""
        own = self.namespaces.get(namespace)
        if own is None:
            return self
        return Allowance(
            models=own.models or self.models,
            max_tokens=own.max_tokens or self.max_tokens,
            effort=own.effort or self.effort,
            allowed_hosts=own.allowed_hosts or self.allowed_hosts,
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read YAML, of a policy or of chart values that hold it; raises `Refused` with what is wrong."""
        document = next(iter(read_documents(text)), None)
        if isinstance(document, Broken):
            raise Refused(f"no YAML: line {document.line}: {document.message}")
        try:
            return cls.model_validate(_taken_out(document.value if document else None) or {})
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, each['loc'])) or 'all of it'}: {each['msg']}" for each in error.errors()]
            raise Refused("; ".join(wrong)) from error


_FIELDS: Final = frozenset(info.alias or name for name, info in Policy.model_fields.items())


def _taken_out(said: object) -> object:
    """Take the policy out of chart values, where it is `operator.policy`; anything else stays as it is."""
    if not isinstance(said, dict) or "operator" not in said or said.keys() & _FIELDS:
        return said
    operator = said["operator"]
    if not isinstance(operator, dict) or "policy" not in operator:
        raise Refused("these are chart values without operator.policy; give a file that has one, or only what it holds")
    return operator["policy"]


def _means(pattern: str, name: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return pattern in {name, undated(name)}
