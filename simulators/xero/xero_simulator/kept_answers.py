"""What was answered to writing calls under an Idempotency-Key: for six minutes the same key gets the same answer. In memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fastapi import Response

SAME_ANSWER_FOR = timedelta(minutes=6)


@dataclass
class KeptAnswers:
    answers: dict[tuple[str, str], tuple[datetime, Response]] = field(default_factory=dict)

    def answer(self, tenant: str, key: str, now: datetime, work: Callable[[], Response]) -> Response:
        """The first answer again, or that of `work`; what went wrong on Xero's side is not kept."""
        self.answers = {one: kept for one, kept in self.answers.items() if now < kept[0] + SAME_ANSWER_FOR}
        if (tenant, key) in self.answers:
            first = self.answers[tenant, key][1]
            return Response(first.body, first.status_code, media_type=first.media_type)
        response = work()
        if response.status_code < 500:
            self.answers[tenant, key] = (now, response)
        return response
