"""What every installation is made of: the services, which keys they hold and whom they call. One table for all ways to run it."""

from datetime import timedelta

SERVICES = ("auth", "xero-gateway", "sharing", "portal", "notifier", "web")
SERVICES_ON_THE_BUS = ("auth", "xero-gateway", "sharing", "portal", "notifier")

OPERATIONS = "operations"
"""Who the operator's command is: it has a key of its own and is admitted on the services' health ports."""

# Key rings and the services that hold each: rings are shared secrets, so nobody holds one it does not need.
RINGS = {
    "xero-token": ["auth"],
    "event-seal": ["sharing", "portal", "notifier"],
    "codes": ["portal"],
    "csrf": ["web"],
}

# How long after its time a key of a ring may still be needed by something that was sealed with it. For xero-token records are counted
# instead by auth. Outboxes keep events for seven days to be sent again; codes live for minutes, forms for hours.
RESTS = {"event-seal": timedelta(days=8), "codes": timedelta(days=1), "csrf": timedelta(days=1)}

CALLS = {  # design.md section 1: who calls whom, and nobody else
    "web": ("auth", "portal", "xero-gateway", "sharing"),
    "xero-gateway": ("auth",),
    "portal": ("sharing",),
    "auth": ("sharing",),
}
