"""What a supervisor keeps running now: the model of its cluster, and how each node is started."""

from collections.abc import Iterable

import msgspec

from rmqctl.engine.start import StartSpec
from rmqctl.profile.model import ClusterModel, Node, Role
from rmqctl.supervisor.nodes.policy import Policy, policy_of


class CurrentPlan:
    """Model and start specifications, which change node by node while the cluster runs."""

    def __init__(self, model: ClusterModel, specs: Iterable[StartSpec]) -> None:
        self.model = model
        self.specs = {spec.node: spec for spec in specs}

    def adjust(self, wanted: ClusterModel) -> None:
        """Take everything that a wanted model says about the whole cluster, and what needs no new processes."""
        policies = {node.name: node.restart for node in wanted.nodes}
        nodes = tuple(
            msgspec.structs.replace(node, restart=policies.get(node.name, node.restart)) for node in self.model.nodes
        )
        self.model = msgspec.structs.replace(wanted, nodes=nodes)

    def settle(self, model: ClusterModel) -> None:
        """Take a wanted model as it is, now that its nodes, and no others, are there."""
        assert {node.name for node in model.nodes} == set(self.specs), "every node is there"
        self.model = model

    def put(self, node: Node, spec: StartSpec) -> None:
        """Add a node, or say how one starts from now on."""
        others = [each for each in self.model.nodes if each.name != node.name]
        # Start order: nameservers, masters, slaves; in each of them as they came.
        nodes = sorted([*others, node], key=lambda each: list(Role).index(each.role))
        self.model = msgspec.structs.replace(self.model, nodes=tuple(nodes))
        self.specs[node.name] = spec

    def drop(self, name: str) -> None:
        """Forget a node that was stopped."""
        self.model = msgspec.structs.replace(
            self.model, nodes=tuple(each for each in self.model.nodes if each.name != name)
        )
        del self.specs[name]

    def node(self, name: str) -> Node:
        """The node of that name, which the plan has."""
        node = self.model.node(name)
        assert node is not None, f"{name} is in the plan"
        return node

    def policy(self, name: str) -> Policy:
        """The patience with a node."""
        spec = self.specs[name]
        return policy_of(self.model.supervision, self.node(name).restart, spec.grace_seconds, spec.engine)
