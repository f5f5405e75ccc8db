"""The ways this mail server can misbehave when asked to."""

from enum import StrEnum

from pydantic import BaseModel, Field


class Mode(StrEnum):
    """What goes wrong."""

    OK = "ok"
    DOWN = "down"
    GREYLIST = "greylist"
    REJECT = "reject"
    CUT_AFTER_DATA = "cut_after_data"


IN_WORDS = {
    Mode.OK: "works",
    Mode.DOWN: "drops every connection before its greeting",
    Mode.GREYLIST: "answers every recipient with 451, try later",
    Mode.REJECT: "answers every recipient with 550, mailbox unknown",
    Mode.CUT_AFTER_DATA: "keeps the mail, then drops the connection instead of saying so",
}


class Fault(BaseModel):
    """A mode, for the next `count` times it applies; without a count until it is changed."""

    mode: Mode = Mode.OK
    count: int | None = Field(default=None, ge=1)


class Faults:
    """The fault in force; back to ok by itself when its count is used up."""

    def __init__(self) -> None:
        self.current = Fault()

    def strikes(self, mode: Mode) -> bool:
        """Does this mode apply now? Every yes counts."""
        if self.current.mode is not mode:
            return False
        if self.current.count is not None:
            left = self.current.count - 1
            self.current = Fault(mode=mode, count=left) if left else Fault()
        return True
