"""The real process: started, killed in the middle, started again."""

from pathlib import Path

from local.processes import free_ports
from xero_simulator.testing import process


def test_what_was_done_survives_a_kill(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    find = {"tenant": "kowhai", "number": "INV-0201"}
    with process(tmp_path, port) as (running, client):
        (one,) = client.get("/control/invoices", params=find).json()
        assert client.post(f"/control/invoices/{one['id']}/pay", json={"amount": "41.50"}).status_code == 200
        client.post("/control/clock", json={"advance_seconds": 3600})
        keys = client.get("/.well-known/openid-configuration/jwks").json()
        running.kill()
        running.wait()
    with process(tmp_path, port) as (_, client):
        again = client.get(f"/control/invoices/{one['id']}").json()
        assert ([payment["amount"] for payment in again["payments"]], again["due_amount"]) == (["41.50"], "200.00")
        assert client.get("/control/clock").json()["moved_seconds"] == 3600
        assert client.get("/.well-known/openid-configuration/jwks").json() == keys


def test_a_polite_end_is_quick_and_clean(tmp_path: Path) -> None:
    with process(tmp_path, free_ports(1)[0]) as (running, client):
        client.get("/back-office")
        running.terminate()
        assert running.wait(10) in (0, -15)
