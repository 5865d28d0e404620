"""The budgets that the calls of a route count in."""

from decimal import Decimal

from eventroute.compile.gathered import Gathered
from eventroute.crd import v1alpha1 as crd
from eventroute.crd.duration import seconds
from eventroute.route_table import INSTALLATION, BudgetRule


def list_budgets(gathered: Gathered) -> tuple[BudgetRule, ...]:
    """List the budgets that a route's calls count in."""
    policy, namespace = gathered.at_hand.policy, gathered.route.metadata.namespace
    of_namespace = policy.namespaces.get(namespace)
    found = {
        gathered.path: gathered.spec.budget,
        namespace: of_namespace.budget if of_namespace else None,
        INSTALLATION: policy.budget,
    }
    return tuple(_budget(scope, budget) for scope, budget in found.items() if budget)


def _budget(scope: str, budget: crd.Budget) -> BudgetRule:
    return BudgetRule(
        scope=scope,
        period_s=seconds(budget.period),
        micro_usd=None if budget.usd is None else int(Decimal(budget.usd) * 1_000_000),
        tokens=budget.tokens,
        warn_at=budget.warn_at,
        on_exceeded=budget.on_exceeded,
    )
