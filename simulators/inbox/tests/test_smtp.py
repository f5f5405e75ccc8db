"""The mail server as a sender meets it."""

import smtplib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Simulator


def test_a_mail_is_kept_with_its_envelope_and_parts(inbox: "Simulator") -> None:
    inbox.send(
        to="Ana@Demo.example",
        subject="Kōwhai & Hart",
        text="See http://localhost:8080/s/abc.",
        html='<a href="http://localhost:8080/s/abc">Open</a>',
    )
    (mail,) = inbox.mails()
    assert mail["mail_from"] == "bounce@invoices.example"
    assert mail["rcpt_to"] == ["Ana@Demo.example"]
    assert mail["subject"] == "Kōwhai & Hart"
    assert mail["text"] == "See http://localhost:8080/s/abc.\n"
    assert mail["links"] == ["http://localhost:8080/s/abc"]
    assert ["From", "Client Invoices <no-reply@invoices.example>"] in mail["headers"]  # type: ignore[operator]


def test_mails_are_found_by_recipient_and_subject_newest_first(inbox: "Simulator") -> None:
    inbox.send(to="a@demo.example", subject="First")
    inbox.send(to="a@demo.example", subject="Second")
    inbox.send(to="aa@demo.example", subject="Second")
    assert [mail["subject"] for mail in inbox.mails(to="A@demo.example")] == ["Second", "First"]
    assert [mail["rcpt_to"] for mail in inbox.mails(subject="second")] == [["aa@demo.example"], ["a@demo.example"]]


def test_greylisting_ends_by_itself_after_its_count(inbox: "Simulator") -> None:
    inbox.fault("greylist", count=1)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        inbox.send()
    assert [code for code, _ in refused.value.recipients.values()] == [451]
    inbox.send()
    assert len(inbox.mails()) == 1


def test_an_unknown_mailbox_is_refused_for_good(inbox: "Simulator") -> None:
    inbox.fault("reject")
    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            inbox.send(to="gone@demo.example")
        assert refused.value.recipients["gone@demo.example"][0] == 550
    assert inbox.mails() == []


def test_a_server_that_is_down_drops_connections_before_its_greeting(inbox: "Simulator") -> None:
    inbox.fault("down", count=2)
    for _ in range(2):
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            inbox.send()
    inbox.send()
    assert len(inbox.mails()) == 1


def test_a_connection_cut_after_data_leaves_the_sender_in_doubt_but_keeps_the_mail(inbox: "Simulator") -> None:
    inbox.fault("cut_after_data", count=1)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        inbox.send(subject="Sent or not")
    assert [mail["subject"] for mail in inbox.mails()] == ["Sent or not"]


def test_mails_survive_a_kill(inbox: "Simulator") -> None:
    inbox.send(subject="Still here")
    inbox.kill()
    inbox.start()
    assert [mail["subject"] for mail in inbox.mails()] == ["Still here"]
