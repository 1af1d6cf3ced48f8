"""The page put together: what a request may reach, and what an error looks like."""

from __future__ import annotations

import secrets
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Response, g, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from emwatch import __version__
from emwatch.errors import ConfigError, EmwatchError, FrameError, LedgerError, ModelError, TargetError
from emwatch.frame import CATEGORIES
from emwatch.pictures.cache import PictureCache
from emwatch.pictures.reader import PictureReader
from emwatch.readers.sandbox.limits import reading_limits
from emwatch.service.status import status_document
from emwatch.web import api, pages
from emwatch.web.ask import Ask
from emwatch.web.asking import FilterError
from emwatch.web.frame_pictures import FramePictures
from emwatch.web.frames import Frames, UnknownFrameError
from emwatch.web.live import Broadcast
from emwatch.web.shared import Shared
from emwatch.web.teach import Teacher

if TYPE_CHECKING:
    from pathlib import Path

    from flask.typing import ResponseReturnValue

    from emwatch.config import Config
    from emwatch.web.security import Access

#: The largest upload: the largest frame that is read, and what a form adds.
_FORM_BYTES: Final = 1 << 20
#: What the user can do about an error, by status code.
_ADVICE: Final = {
    400: "Correct the address or the form and try again.",
    401: "This page is protected: open /login and enter the token from the configuration of emwatch.",
    403: "Open the page itself and try again from there.",
    404: "Go back to the live page or the gallery.",
    413: "Save the picture smaller, or raise watch.max_frame_mb in the configuration of emwatch.",
    421: "Use the address that `emwatch serve` printed.",
    429: "Wait a moment, then try again.",
    503: "The page comes back by itself as soon as the ledger can be read.",
}

_STATUS_OF: Final[dict[type[Exception], int]] = {
    FilterError: 400,
    UnknownFrameError: 404,
    FrameError: 422,
    TargetError: 422,
    LedgerError: 503,
    sqlite3.Error: 503,
    ModelError: 503,
    ConfigError: 503,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """
    How the page is served.

    Attributes:
        access: what a request must show.
        cache: the folder for pictures; outside the acquisition directory.
        ask_per_minute: how many pictures may be asked about within a minute.

    """

    access: Access
    cache: Path
    ask_per_minute: int = 30


def create_app(config: Config, settings: Settings) -> Flask:
    """Return the application for the ledger of a configuration. Nothing is opened until the first request."""
    app = Flask(__name__)
    limits = reading_limits(config)
    app.config.update(MAX_CONTENT_LENGTH=limits.file_bytes + _FORM_BYTES, SECRET_KEY=secrets.token_bytes())
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    app.jinja_env.globals.update(version=__version__, categories=CATEGORIES)
    frames = Frames(config.ledger.path)
    pictures = FramePictures(frames, PictureReader(limits), PictureCache(settings.cache))
    status = Shared(lambda: _status(config, frames))
    targets = Shared(lambda: frames.targets_seen([each.name for each in config.targets], pages.local_now()))
    app.extensions["emwatch"] = state = pages.State(
        config,
        settings,
        frames,
        pictures,
        Broadcast(frames, pictures, status, targets),
        Ask(config, settings.ask_per_minute, time.monotonic),
        Teacher(config),
        status,
        targets,
        Shared(frames.choices),
    )
    settings.access.install(app)
    app.before_request(lambda: setattr(g, "emwatch", state))
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(api.blueprint, url_prefix="/api/v1")
    app.register_blueprint(api.monitoring)
    for kind in (HTTPException, EmwatchError, FilterError, UnknownFrameError, sqlite3.Error):
        app.register_error_handler(kind, _explained)
    return app


def _status(config: Config, frames: Frames) -> dict[str, Any]:
    """Return what `emwatch status --json` prints, with the number of frames of the last hour."""
    found = status_document(config, pages.local_now())
    try:
        last_hour = frames.last_hour.get()
    except LedgerError:  # the document says so itself
        last_hour = None
    return {**found, "frames": {**found["frames"], "last_hour": last_hour}}


def _explained(error: Exception) -> ResponseReturnValue:
    """Return what went wrong and what to do: a page for people, a document for programs."""
    status, text = _status_and_text(error)
    advice = _ADVICE.get(status, "")
    if request.path.startswith("/api/") or request.path == "/healthz":
        return jsonify(error={"status": status, "message": text, "advice": advice}), status
    if status == 421:  # the name may be one of which no address of this page can be made
        return Response(f"{text}. {advice}\n", status, mimetype="text/plain")
    return render_template("error.html", status=status, text=text, advice=advice), status


def _status_and_text(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        return error.code or 500, error.description or error.name
    status = next((status for kind, status in _STATUS_OF.items() if isinstance(error, kind)), 500)
    return status, str(error)
