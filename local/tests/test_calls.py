"""The call graph is one: in docs/architecture.md, in what `make up` tells the services, and in their settings."""

import importlib
import re

from client_invoices.installation import CALLS, SERVICES
from local.system import ROOT


def test_the_page_names_the_calls_that_services_are_configured_for() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text().partition("| caller | may call |")[2].partition("\n\n")[0]
    drawn = set(re.findall(r"^\| ([\w-]+) \| ([\w-]+) \|", table, re.MULTILINE))

    assert drawn == {(caller, callee) for caller, callees in CALLS.items() for callee in callees}


def test_a_service_knows_the_address_of_those_it_calls_and_of_nobody_else() -> None:
    known = set()
    for service in SERVICES:
        settings = importlib.import_module(f"{service.replace('-', '_')}.settings").Settings
        others = {f"{other.replace('-', '_')}_url": other for other in SERVICES}
        known |= {(service, others[name]) for name in settings.model_fields if name in others}

    assert known == {(caller, callee) for caller, callees in CALLS.items() for callee in callees}
