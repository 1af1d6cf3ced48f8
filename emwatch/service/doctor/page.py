"""Whether the page that the daemon should serve can be served. What a running daemon says of it, it says itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emwatch.service.doctor.finding import Checked, Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config
    from emwatch.service.doctor.finding import Machine


def check(config: Config, _machine: Machine) -> Iterator[Checked]:
    """Check the page, if `web.serve` asks for it."""
    if not config.web.serve:
        return
    trouble = config.web.trouble()
    finding = Finding(
        "web.serve",
        Level.WARNING,
        f"the page is not served: {trouble}",
        "a page that is served while the daemon runs",
        "correct what it says, then: emwatch config check",
    )
    yield Checked("web.serve", f"{config.web.host}:{config.web.port}", (finding,) if trouble else ())
