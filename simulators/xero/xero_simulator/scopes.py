"""The scopes an app of 2026 may ask for, and how they read to people."""

OPENID = {"openid": "Know who you are", "profile": "Your name", "email": "Your e-mail address", "offline_access": "Stay connected"}
GRANULAR = {
    "accounting.invoices": "invoices and credit notes",
    "accounting.payments": "payments",
    "accounting.banktransactions": "bank transactions",
    "accounting.manualjournals": "manual journals",
    "accounting.contacts": "contacts",
    "accounting.settings": "organisation settings",
    "accounting.attachments": "attachments",
}
REPORTS = [
    "agedreceivables",
    "balancesheet",
    "banksummary",
    "budgetsummary",
    "executivesummary",
    "profitandloss",
    "trialbalance",
    "taxreports",
    "aged",
]
READ_ONLY = {"accounting.budgets.read": "budgets", "accounting.journals.read": "journals"}


def meaning(scope: str) -> str | None:
    """What the consent page says about a scope; None for one that no new app may ask (such as the old broad ones)."""
    if scope in OPENID:
        return OPENID[scope]
    base, _, read = scope.rpartition(".read")
    if read == "" and base in GRANULAR:
        return f"Read {GRANULAR[base]}"
    if scope in GRANULAR:
        return f"Read and change {GRANULAR[scope]}"
    if scope in READ_ONLY:
        return f"Read {READ_ONLY[scope]}"
    if scope.startswith("accounting.reports.") and scope.removeprefix("accounting.reports.").removesuffix(".read") in REPORTS:
        return "Read a report"
    return None


def is_for_organisations(scopes: str) -> bool:
    """Whether anything but the person's identity is asked for, so that an organisation must be chosen."""
    return any(scope not in OPENID for scope in scopes.split())
