"""What a statement says in words, the same on its page, in its PDF and in its CSV."""

from __future__ import annotations

from gettext import gettext as _
from gettext import ngettext

from web.client_models import Account, Entry, Limit, Statement
from web.formats import Reader
from web.papers import isolated, kind_of


def title(found: Statement) -> str:
    """Of what it is a statement."""
    return _("Statement of shared invoices") if found.limits else _("Statement")


def period(found: Statement, reader: Reader) -> str:
    """From which day to which."""
    if found.first is None:
        return _("Up to %(last)s") % {"last": reader.day(found.last)}
    return _("%(first)s to %(last)s") % {"first": reader.day(found.first), "last": reader.day(found.last)}


def left_out(found: Statement, reader: Reader) -> list[str]:
    """What this statement cannot know or does not count, sentence by sentence."""
    several = len(found.sender.contacts) > 1
    limits = [_limit(limit, reader, named=several) for limit in found.limits]
    other = _("Other invoices of %(org)s, and credit it has not set against an invoice, are not in it.")
    unallocated = _("Credit that %(org)s has not set against an invoice is not in it.")
    unknown = (other if found.limits else unallocated) % {"org": isolated(found.sender.name)}
    return [*limits, unknown, *_not_counted(found, reader)]


def what(entry: Entry) -> str:
    """The movement's kind and the number of its invoice."""
    number = entry.number or _("without a number")
    return f"{_('Invoice') if entry.kind == 'invoice' else kind_of(entry.kind)} {isolated(number)}"


def about(entry: Entry, reader: Reader) -> str:
    """What else is known of a movement: when it is due, or its own date and reference."""
    due = _("due %(day)s") % {"day": reader.day(entry.due_date)} if entry.due_date else ""
    dated = _("dated %(day)s") % {"day": reader.day(entry.dated)} if entry.dated else ""
    return " · ".join(part for part in (due, dated, isolated(entry.reference) if entry.reference else "") if part)


def ageing(account: Account) -> list[tuple[str, int]]:
    """What is owed by how long it is overdue."""
    ages = account.ageing
    names = (_("Not overdue"), _("1–30 days"), _("31–60 days"), _("61–90 days"), _("Over 90 days"))
    return list(zip(names, (ages.current, ages.to_30, ages.to_60, ages.to_90, ages.older), strict=True))


def _limit(limit: Limit, reader: Reader, *, named: bool) -> str:
    if limit.from_date:
        about = _("It covers the invoices dated from %(day)s on") % {"day": reader.day(limit.from_date)}
    else:
        picked = limit.picked or 0
        about = ngettext("It covers %(num)s picked invoice", "It covers %(num)s picked invoices", picked) % {"num": reader.number(picked)}
    return f"{about}{_(' to %(name)s') % {'name': isolated(limit.contact_name)} if named else ''}."


def _not_counted(found: Statement, reader: Reader) -> list[str]:
    waiting = ngettext("%(num)s invoice awaiting approval", "%(num)s invoices awaiting approval", found.awaiting)
    voided = ngettext("%(num)s voided invoice", "%(num)s voided invoices", found.voided)
    counted = [words % {"num": reader.number(count)} for words, count in ((waiting, found.awaiting), (voided, found.voided)) if count]
    return [_("Not counted: %(what)s.") % {"what": ", ".join(counted)}] if counted else []
