"""What mails say, and that nobody else can write into them."""

import re
import unicodedata
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.clock import utc_now
from inbox_simulator.mails import links
from notifier.letters import letter
from notifier.models import About, Kind, Mail, Secret, cleaned

PUBLIC = "https://invoices.example"
SECRET = Secret(invitation="cii_x", token="cil_x", code="123456")
ORGANISATION = "Kōwhai & Hart Studio Ltd"


def a_mail(kind: Kind, **about: Any) -> Mail:
    told = {
        "organisation_id": "org_2Z3XXKM0008008000000000001",
        "organisation_name": ORGANISATION,
        "contact_name": "Ābel & Daughters",
        "person_name": "Mere Hart",
        "person_email": "mere@kowhai.example",
        "agent": "Firefox on Windows",
        "invited_at": utc_now().replace(year=2026, month=11, day=3),
        "cause": "grant_refused",
        "since": utc_now().replace(year=2026, month=11, day=21, hour=9, minute=5),
    }
    return Mail(id="1", kind=kind, email="you@demo.example", event_id="evt_1", about=About(**(told | about)))


def read(mail: Mail, secret: Secret = SECRET) -> EmailMessage:
    """The mail as it stands on the wire."""
    return message_from_bytes(letter(mail, secret, PUBLIC, "mail@invoices.example").as_bytes(), policy=policy.default)


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


SUBJECTS: list[tuple[Kind, str]] = [
    ("invitation", "Kōwhai & Hart Studio Ltd has shared invoices with you"),
    ("sign_in", "123 456: your code to open your invoices"),
    ("sign_in_from_invitation", "123 456: your code to open your invoices from Kōwhai & Hart Studio Ltd"),
    ("reconnect", "Xero asks you to sign in again for Kōwhai & Hart Studio Ltd"),
]
LINKS: list[tuple[Kind, str]] = [
    ("invitation", f"{PUBLIC}/i/cii_x"),
    ("sign_in", f"{PUBLIC}/s/cil_x"),
    ("sign_in_from_invitation", f"{PUBLIC}/s/cil_x"),
    ("reconnect", f"{PUBLIC}/auth/xero/start?next=clients&organisation=org_2Z3XXKM0008008000000000001"),
]
KINDS: list[Kind] = [kind for kind, _ in SUBJECTS]


@pytest.mark.parametrize(("kind", "subject"), SUBJECTS)
def test_subjects(kind: Kind, subject: str) -> None:
    assert read(a_mail(kind))["Subject"] == subject


@pytest.mark.parametrize(("kind", "link"), LINKS)
def test_a_mail_has_one_link_and_names_where_our_links_start(kind: Kind, link: str) -> None:
    message = read(a_mail(kind))
    assert links(part(message, "plain"), None) == [link, f"{PUBLIC}/"]
    assert links(None, part(message, "html")) == [link]


@pytest.mark.parametrize("kind", KINDS)
def test_headers_are_a_fixed_set(kind: Kind) -> None:
    message = read(a_mail(kind))
    fixed = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
    assert set(message.keys()) == fixed | ({"Reply-To"} if kind == "invitation" else set())
    assert message["From"] == "Client Invoices <mail@invoices.example>"
    assert message["To"] == "you@demo.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == "<evt_1@invoices.example>"


@pytest.mark.parametrize("kind", KINDS)
def test_every_mail_says_why_where_to_and_how_to_check(kind: Kind) -> None:
    message = read(a_mail(kind))
    for text in (part(message, "plain"), part(message, "html")):
        assert "You get this mail because" in text
        assert "you@demo.example" in text
        assert "We never ask for a password, a card or a code by phone or mail." in text
        assert "<img" not in text
        assert "<style" not in text


def test_an_invitation_is_answered_to_the_person_who_shared() -> None:
    assert read(a_mail("invitation"))["Reply-To"] == "Mere Hart <mere@kowhai.example>"
    for nonsense in ("no address", "a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example", ""):
        assert read(a_mail("invitation", person_email=nonsense))["Reply-To"] is None


def test_an_invitation_says_who_shared_what() -> None:
    said = "Mere Hart (mere@kowhai.example) of Kōwhai & Hart Studio Ltd has shared the invoices for Ābel & Daughters with you."
    assert said in part(read(a_mail("invitation")), "plain")


def test_a_sign_in_mail_says_how_long_and_from_where_it_was_asked() -> None:
    text = part(read(a_mail("sign_in")), "plain")
    assert "Your code: 123 456" in text
    assert "good until 15 minutes after asking, once" in text
    assert "Asked from Firefox on Windows." in text
    assert "Not you? Do nothing: without this mail nobody gets in." in text
    assert "Kōwhai" not in text


def test_without_a_code_the_mail_carries_the_link_only() -> None:
    message = read(a_mail("sign_in_from_invitation"), Secret(token="cil_x"))
    assert message["Subject"] == "Your link to open your invoices from Kōwhai & Hart Studio Ltd"
    assert "Your code" not in part(message, "plain")


def test_a_sign_in_asked_from_an_invitation_says_so() -> None:
    text = part(read(a_mail("sign_in_from_invitation")), "plain")
    asked = "Somebody pressed the invitation of 3 November 2026. A colleague? Kōwhai & Hart Studio Ltd can invite them directly."
    assert asked in " ".join(text.split())


def test_reconnecting_says_since_when_and_what_clients_see() -> None:
    text = part(read(a_mail("reconnect")), "plain")
    assert "Since 21 November 2026, 09:05 UTC" in text
    assert "They still open everything as it was then" in text


LURES = [
    "Pay here: https://evil.example/pay",
    "www.evil.example",
    "WWW.EVIL.example",
    "wwwwww..evil.example",
    "http:://///evil.example",
    ":://// ://",
    '<a href="https://evil.example">Pay</a>',
    "evil.example",
    "Pay at evil.example/pay or xn--80ak6aa92e.com",
    "boss@evil.example",
    "javascript:alert(1).evil.example",
    "\u202emoc.live\u202c",
    "Zero\u200bwidth\u2066isolate",
    "Line\r\nBcc: victim@demo.example",
    "{{ 7 * 7 }}",
    "x" * 300,
]


@pytest.mark.parametrize("lure", LURES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_lure_in_a_name_is_only_a_name(kind: Kind, lure: str) -> None:
    message = read(a_mail(kind, organisation_name=lure, contact_name=lure, person_name=lure, agent=lure))
    ours = dict(LINKS)[kind]
    assert links(part(message, "plain"), None) == [ours, f"{PUBLIC}/"]
    assert links(None, part(message, "html")) == [ours]
    assert set(re.findall(r"[\w-]+\.[a-z]{2,}", part(message, "plain"))) <= {"invoices.example", "kowhai.example", "demo.example"}
    assert "Bcc" not in message
    assert "49" not in part(message, "html").replace("#545B58", "")


ENCODED = [
    "=?utf-8?q?x=0D=0ABcc:_victim@demo.example?=",
    "=?utf-8?q?x=0D=0A=0D=0A<a_href=3D'https://evil.example'>?=",
    "=?utf-8?b?eA0KQmNjOiB2aWN0aW1AZGVtby5leGFtcGxl?=",
    "=?iso-8859-1*en?Q?Pay_at_https://evil.example?=",
    "Pay =?utf-8?q?at_evil=2Eexample?= =?utf-8?q?now?=",
    "==?utf-8?q?evil=2Eexample?=",
    "=\u200b?utf-8?q?evil=2Eexample?=",
    "=www.?utf-8?q?evil=2Eexample?=",
    "=://?utf-8?q?x=0D=0ABcc:_victim@demo.example?=",
    "=w://ww.?utf-8?q?x=0ABcc:_victim@demo.example?=",
    "=\u037e =?utf-8?q?=E2=80=AEelpmaxe?=",
]


@pytest.mark.parametrize("encoded", ENCODED)
@pytest.mark.parametrize("kind", KINDS)
def test_an_encoded_word_in_a_name_is_decoded_by_nobody(kind: Kind, encoded: str) -> None:
    plain = read(a_mail(kind))
    message = read(a_mail(kind, organisation_name=encoded, contact_name=encoded, person_name=encoded, agent=encoded))
    assert message.keys() == plain.keys()
    assert message["To"] == plain["To"]
    for header in ("Subject", "Reply-To"):
        text = str(message[header] or "").replace("mere@kowhai.example", "")
        assert not re.search(r"evil\.example|victim@|://|\u202e|[\r\n]", text), text
    assert not message.defects
    assert links(part(message, "plain"), None) == [dict(LINKS)[kind], f"{PUBLIC}/"]


def test_an_encoded_word_reads_as_it_was_typed() -> None:
    assert cleaned("=?utf-8?q?x?= Ltd") == "=\uff1futf-8?q?x?= Ltd"


@pytest.mark.parametrize("email", ["=?utf-8?q?x=0D=0ABcc=3Av?=@demo.example", "=?utf-8?q?victim=2Cyou?=@demo.example"])
def test_an_encoded_word_in_an_address_makes_no_mail(email: str) -> None:
    with pytest.raises(ValueError, match="encoded word"):
        read(a_mail("sign_in").model_copy(update={"email": email}))
    assert read(a_mail("invitation", person_email=email))["Reply-To"] is None


def test_a_header_that_would_bring_another_one_along_makes_no_mail() -> None:
    """Names and addresses never get so far; a code is written as it was sealed."""
    with pytest.raises(ValueError, match="Subject holds a line break"):
        read(a_mail("sign_in"), Secret(token="cil_x", code="123=?utf-8?q?x=0D=0ABcc:_v?= "))


def test_characters_that_turn_or_hide_text_are_left_out() -> None:
    assert cleaned("Kōwhai\u202e & \u2066Ha\u200brt\u2069\x00 Ltd\r\nBcc: x") == "Kōwhai & Hart Ltd Bcc: x"


def test_a_name_that_is_an_address_of_the_web_reads_the_same_and_is_no_link() -> None:
    assert cleaned("Booking.com Ltd. No.1") == "Booking\u2024com Ltd. No.1"


def test_names_are_cut_to_sixty_characters() -> None:
    assert len(cleaned("long " * 40)) <= 60
    assert cleaned(ORGANISATION) == ORGANISATION


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.text(max_size=120), other=st.text(max_size=120), kind=st.sampled_from(KINDS))
def test_no_name_can_add_a_header_or_a_recipient(name: str, other: str, kind: Kind) -> None:
    message = read(a_mail(kind, organisation_name=name, person_name=other, contact_name=name, person_email=other, agent=name))
    allowed = {"From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
    assert set(message.keys()) <= allowed
    assert len(message.get_all("To", [])) == len(message.get_all("From", [])) == 1
    assert message["To"] == "you@demo.example"
    assert not message.defects


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_a_cleaned_name_is_one_harmless_line(name: str) -> None:
    text = cleaned(name)
    assert "://" not in text
    assert "www." not in text.lower()
    assert "=?" not in text
    assert len(text) <= 60
    assert text == cleaned(text)
    assert not [character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert text.splitlines() in ([text], [])
