"""What every installation is made of: the services, which keys they hold and whom they call. One table for all ways to run it."""

SERVICES = ("auth", "xero-gateway", "sharing", "portal", "notifier", "web")
SERVICES_ON_THE_BUS = ("auth", "xero-gateway", "sharing", "portal", "notifier")

# Key rings and the services that hold each: rings are shared secrets, so nobody holds one it does not need.
RINGS = {
    "xero-token": ["auth"],
    "event-seal": ["sharing", "portal", "notifier"],
    "codes": ["portal"],
    "csrf": ["web"],
}

CALLS = {  # design.md section 1: who calls whom, and nobody else
    "web": ("auth", "portal", "xero-gateway", "sharing"),
    "xero-gateway": ("auth",),
    "portal": ("sharing",),
    "auth": ("sharing",),
}
