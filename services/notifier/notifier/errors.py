"""Why a mail cannot go out, now or ever."""

from __future__ import annotations


class NotNow(Exception):
    """The mail server or the way to it is in no state to take this mail; a later try may work. The text is for the log."""


class ServerFails(NotNow):
    """It would be so for every mail, whoever it is for."""


class PutOff(NotNow):
    """The mail server would take this mail later. Said of mails to everybody, it takes none."""


class Never(Exception):
    """No later try can work. The text is for people: “Not delivered: {text}.”"""
