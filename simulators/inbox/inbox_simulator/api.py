"""The JSON API: mails as data, and faults."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, HTTPException, Request

from inbox_simulator.faults import Fault, Faults
from inbox_simulator.mails import Mail
from inbox_simulator.store import Store

router = APIRouter(prefix="/api")


def store_of(request: Request) -> Store:
    return cast(Store, request.app.state.store)


def faults_of(request: Request) -> Faults:
    return cast(Faults, request.app.state.faults)


Mails = Annotated[Store, Depends(store_of)]
CurrentFaults = Annotated[Faults, Depends(faults_of)]


@router.get("/health")
async def health() -> dict[str, str]:
    """Answers when pages and mail server are up."""
    return {"status": "ok"}


@router.get("/mails")
async def list_mails(store: Mails, to: str = "", subject: str = "") -> list[Mail]:
    """All mails, newest first; `to` is one whole recipient of the envelope, `subject` a part of the subject."""
    return store.list_mails(to, subject)


@router.get("/mails/{number}")
async def one_mail(number: int, store: Mails) -> Mail:
    mail = store.find(number)
    if mail is None:
        raise HTTPException(404, "There is no such mail.")
    return mail


@router.delete("/mails", status_code=204)
async def empty(store: Mails) -> None:
    """Forget all mails."""
    store.empty()


@router.get("/faults")
async def current_fault(faults: CurrentFaults) -> Fault:
    return faults.current


@router.post("/faults")
async def set_fault(fault: Fault, faults: CurrentFaults) -> Fault:
    """Set how the mail server behaves from now on."""
    faults.current = fault
    return faults.current
