"""`rmqctl address`: every address that clients could be told, best first, with the reason."""

from rmqctl.address import find_route_address, list_interfaces, rank_candidates
from rmqctl.cli.options import JsonOption
from rmqctl.cli.output import print_json, print_table


def address(json_output: JsonOption = False) -> None:
    """Show which address clients will be told (brokerIP1), every other candidate, and why.

    The first one is what `rmqctl up` takes; `rmqctl up --broker-ip ADDRESS` overrides it.
    """
    candidates = rank_candidates(list_interfaces(), find_route_address())
    if json_output:
        print_json({"address": candidates[0].address, "candidates": candidates})
        return
    rows = [
        ["→" if rank == 0 else "", each.address, each.interface or "-", each.reason]
        for rank, each in enumerate(candidates)
    ]
    print_table(["", "address", "interface", "reason"], rows)
