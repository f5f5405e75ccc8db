"""What xero-gateway can be told beyond the settings all services share."""

from pydantic import Field, SecretStr, field_validator

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """XERO_WEBHOOK_KEY has no default: without it no webhook could be believed."""

    auth_url: str = "http://127.0.0.1:8101"
    xero_api_url: str = "https://api.xero.com/api.xro/2.0"
    xero_webhook_key: SecretStr
    xero_webhook_key_previous: SecretStr | None = None
    xero_deep_link: str = "https://go.xero.com/AccountsReceivable/View.aspx?InvoiceID={invoice_id}"
    xero_calls_a_day: int = Field(5000, ge=100)
    reconcile_seconds: int = 900

    @field_validator("xero_webhook_key")
    @classmethod
    def key_is_not_empty(cls, key: SecretStr) -> SecretStr:
        """An empty key would let anybody sign."""
        if not key.get_secret_value():
            raise ValueError("must not be empty")
        return key

    @field_validator("xero_webhook_key_previous")
    @classmethod
    def empty_is_none(cls, key: SecretStr | None) -> SecretStr | None:
        return key if key and key.get_secret_value() else None

    @field_validator("xero_deep_link")
    @classmethod
    def names_the_invoice(cls, template: str) -> str:
        if template.format(invoice_id="x") == template:
            raise ValueError("must hold {invoice_id}")
        return template

    @property
    def webhook_keys(self) -> list[bytes]:
        """The keys a webhook may be signed with: two while one replaces the other."""
        keys = [self.xero_webhook_key, self.xero_webhook_key_previous]
        return [key.get_secret_value().encode() for key in keys if key]
