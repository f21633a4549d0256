"""What a response of Flask or Quart shows of its session, and sessions whose response never came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from werkzeug.sansio.response import Response as AnyResponse

from fluidauth.formats.headers import TEXT
from fluidauth.middleware.response import ResponseVisit

from .sessions import FlaskSession, mirror_of


def end_unanswered(opened: Iterable[FlaskSession]) -> None:
    """Close those of *opened* whose response was never saved: they take no changes any more."""
    for found in opened:
        visit = mirror_of(found).visit
        if not visit.started:
            visit.end()


def finish_head(visit: ResponseVisit, response: AnyResponse, request: Mapping[str, Any]) -> None:
    """Give *response* the headers that the use of the session needs; *request* is its environ or scope."""
    visit.close_head()
    if visit.accessed:
        response.vary.add("Cookie")
        headers = visit.headers(list(response.headers), TEXT, request)
        response.headers.clear()
        response.headers.extend(headers)


def make_unavailable(visit: ResponseVisit, response: Any) -> None:
    """Turn *response* into the answer while the store is out of order."""
    response.set_data(visit.answer.body)
    response.status_code = visit.answer.code
    response.headers.clear()
    response.headers.extend(visit.answer_headers())
