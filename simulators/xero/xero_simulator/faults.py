"""What can be made to go wrong; kept in memory, all well again after a restart."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Faults(BaseModel):
    """All off by default."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    offline: bool = Field(False, description="All of Xero is down: API, connections, tokens and sign-in answer 503")
    slow_seconds: float = Field(0, ge=0, le=120, description="Every API call takes this much longer")
    token_expired: bool = Field(False, description="Every access token is refused as expired, however young; refreshing works")
    forbidden: bool = Field(False, description="Every API call is refused with 403, as for a user without a role; connections look well")
    no_connections: bool = Field(False, description="/connections answers an empty list; the API goes on working")
    limit_minute: bool = Field(False, description="Every API call is refused: minute limit used up")
    limit_day: bool = Field(False, description="Every API call is refused: day limit used up")
    limit_concurrent: bool = Field(False, description="Every API call is refused: too many at the same time")
    limit_app: bool = Field(False, description="Every API call is refused: the app's own minute is used up")
    not_found: bool = Field(False, description="Every API call answers 404 with Xero's one line of text")
    server_error: bool = Field(False, description="Every API call answers 500")
    wrong_json: bool = Field(False, description="Every API call answers 200 with JSON that breaks off")
    webhooks_off: bool = Field(False, description="No webhook is sent; events are kept")
    webhooks_doubled: bool = Field(False, description="Every delivery is sent twice")
    webhooks_late_seconds: float = Field(0, ge=0, le=86_400, description="Deliveries leave this much later")
    webhooks_shuffled: bool = Field(False, description="Events are held for two seconds and sent singly, the newest first")
    lose_refresh_answers: int = Field(0, ge=0, description="So many refreshes rotate the token and then answer 502")
    refuse_pkce: bool = Field(False, description="The sign-in refuses code_challenge, as Xero is said to do for web apps")
    scope_refusal_status: Literal[401, 403] = Field(401, description="Status for a missing scope")

    @property
    def limit(self) -> str | None:
        """The limit that is played as used up, named as in X-Rate-Limit-Problem."""
        played = {"day": self.limit_day, "minute": self.limit_minute, "concurrent": self.limit_concurrent, "appminute": self.limit_app}
        return next((problem for problem, on in played.items() if on), None)

    def on(self) -> list[str]:
        """Names of the faults that differ from a well Xero."""
        return [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]
