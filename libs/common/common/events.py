"""What an event is: a typed body in a CloudEvents 1.0 envelope, structured JSON, the same bytes in the outbox and on the wire.

Source of the envelope: the CloudEvents 1.0 specification; extension names are lower-case letters and digits only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from common import tracing
from common.clock import utc_now
from common.ids import new_id

CONTENT_TYPE = "application/cloudevents+json"


class EventData(BaseModel):
    """Body of an event. `version` counts the changes of its subject: a consumer applies only what is newer than what it has."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    type: ClassVar[str]
    registry: ClassVar[dict[str, Any]] = {}

    version: int

    @property
    def lane(self) -> str | None:
        """Events of one lane are handled one after the other by a process: they touch the same document, and side by side would only
        make each other's transactions run again. None: a lane for each subject."""
        return None

    @property
    def about(self) -> list[str]:
        """Ids of the organisation and the providers it tells of. Stored events are found by them when one of these is erased."""
        organisation = getattr(self, "organisation_id", None)
        return [organisation] if organisation else []

    def __init_subclass__(cls, type: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if type:
            cls.type = type
            EventData.registry[type] = cls


D = TypeVar("D", bound=EventData)


class Event(BaseModel, Generic[D]):
    """The envelope. `id` is the identity of the event wherever it is stored; `subject` the id of what it is about."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    correlationid: str
    causationid: str | None = None
    traceparent: str | None = None
    data: D


Handler = Callable[[Any, Event[Any]], Awaitable[None]]
Handlers = Mapping[type[EventData], Handler]


def new_event(service: str, subject: str, data: D, *, correlation: str, causation: str | None = None) -> Event[D]:
    """An envelope around `data`, made now by `service`; `traceparent` is CloudEvents' extension for distributed tracing."""
    return Event[D](
        id=new_id("evt"),
        source=f"/client-invoices/{service}",
        type=data.type,
        subject=subject,
        time=utc_now(),
        correlationid=correlation,
        causationid=causation,
        traceparent=tracing.traceparent(),
        data=data,
    )


def decode(body: bytes | str, types: Mapping[str, Any] | None = None) -> Event[Any]:
    """An event from its bytes, its body typed by its `type`. Raises ValueError when it is no event or of an unknown type."""
    raw = Event[_AnyData].model_validate_json(body)
    kind = (types if types is not None else EventData.registry).get(raw.type)
    if kind is None:
        raise ValueError(f"unknown event type {raw.type}")
    return Event[kind].model_validate_json(body)  # type: ignore[valid-type]


class _AnyData(EventData):
    model_config = ConfigDict(frozen=True, extra="allow")
    version: int = 0
