"""The API against its own description, with requests that nobody would think of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Open

schemathesis = pytest.importorskip("schemathesis", reason="needs the browser extra")

#: Answers that never end.
STREAMS = "/events"


@pytest.mark.slow
def test_no_request_ends_in_an_error_of_the_server(browser: Open) -> None:
    app = browser(ask_per_minute=100_000).application
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app).exclude(path=STREAMS)
    tried = {each.ok().label: _try(each.ok()) for each in schema.get_all_operations()}

    assert len(tried) >= 14
    assert min(tried.values()) > 0, tried


def _try(operation: Any) -> int:
    """Send requests to one operation; returns how many."""
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

    sent = 0

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(checks=(not_a_server_error, status_code_conformance, content_type_conformance))

    send()
    return sent
