"""The pages as a person sees them."""

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from conftest import Simulator


def test_every_page_says_simulator(inbox: "Simulator") -> None:
    inbox.send()
    number = inbox.mails()[0]["id"]
    for path in ("/", f"/mails/{number}", "/mails/999999", "/faults"):
        assert "<strong>Simulator</strong>" in httpx.get(f"{inbox.url}{path}").text, path


def test_markup_in_a_subject_or_text_is_shown_not_run(inbox: "Simulator") -> None:
    inbox.send(subject="<script>alert(1)</script>", text="<img src=x> http://a.example/?q=<b>\n")
    listed = httpx.get(f"{inbox.url}/").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in listed
    shown = httpx.get(f"{inbox.url}/mails/{inbox.mails()[0]['id']}").text
    assert "&lt;img src=x&gt;" in shown
    assert '<a href="http://a.example/?q=">http://a.example/?q=</a>&lt;b&gt;' in shown


def test_the_html_part_is_caged_and_its_links_open_in_the_whole_tab(inbox: "Simulator") -> None:
    inbox.send(
        html='<html><head><title>x</title></head><body><a href="http://localhost:8080/">Open</a><script>alert(1)</script></body></html>'
    )
    answer = httpx.get(f"{inbox.url}/mails/{inbox.mails()[0]['id']}/html")
    assert '<head><base target="_top">' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-top-navigation-by-user-activation" in policy
    assert "script-src" not in policy


def test_the_inbox_can_be_emptied_and_the_fault_chosen_without_script(inbox: "Simulator") -> None:
    inbox.send()
    assert httpx.post(f"{inbox.url}/empty").status_code == 303
    assert inbox.mails() == []
    assert httpx.post(f"{inbox.url}/faults", data={"mode": "reject"}).status_code == 303
    assert "answers every recipient with 550" in httpx.get(f"{inbox.url}/").text
