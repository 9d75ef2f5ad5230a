"""What a supervisor keeps running now: the model of its cluster, and how each node is started."""

from collections.abc import Iterable

from rmqctl.engine.start import StartSpec
from rmqctl.profile.model import ClusterModel, Node
from rmqctl.supervisor.policy import Policy, policy_of


class CurrentPlan:
    """Model and start specifications; `replace` exchanges them while the cluster runs."""

    def __init__(self, model: ClusterModel, specs: Iterable[StartSpec]) -> None:
        self.model = model
        self.specs = {spec.node: spec for spec in specs}

    def replace(self, model: ClusterModel, specs: Iterable[StartSpec]) -> None:
        """Take another plan; nodes are started and stopped by somebody else."""
        self.model = model
        self.specs = {spec.node: spec for spec in specs}

    def node(self, name: str) -> Node:
        """The node of that name, which the plan has."""
        node = self.model.node(name)
        assert node is not None, f"{name} is in the plan"
        return node

    def policy(self, name: str) -> Policy:
        """The patience with a node."""
        return policy_of(self.model.supervision, self.node(name).restart, self.specs[name].grace_seconds)
