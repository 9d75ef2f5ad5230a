"""Every request that clients and tools of 4.5.2 to 5.3.3 make in earnest has a handler.

`request_codes.csv` says of each code who receives it, which versions know it, and how much it matters here: `core`
(producers and consumers), `admin` (mqadmin and the dashboard), `later`.
"""

import csv
from pathlib import Path

import pytest

from rmqnode.broker.routes import ROUTES as BROKER_ROUTES
from rmqnode.nameserver.routes import ROUTES as NAMESERVER_ROUTES
from rmqnode.protocol.codes import RequestCode


def rows() -> list[dict[str, str]]:
    path = Path(__file__).with_name("request_codes.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_names_of_all_codes_are_known() -> None:
    wanted = {int(row["code"]): row["name"] for row in rows()}
    assert {code: RequestCode(code).name for code in wanted} == wanted


@pytest.mark.parametrize("receiver", ["broker", "nameserver"])
def test_every_code_that_matters_has_a_handler(receiver: str) -> None:
    routes = BROKER_ROUTES if receiver == "broker" else NAMESERVER_ROUTES
    wanted = {
        row["name"] for row in rows() if receiver in row["receiver"].split("+") and row["priority"] in ("core", "admin")
    }
    assert len(wanted) >= 20
    handled = {route.code.name for route in routes}
    assert wanted <= handled
