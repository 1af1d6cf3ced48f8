"""The pages: what a browser shows. All that changes by itself is fetched from the API by the scripts in ``static``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from emwatch.clock import SystemClock
from emwatch.web.asking import PAGING, filter_of
from emwatch.web.frames import PAGE
from emwatch.web.security import COOKIE

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue

    from emwatch.config import Config
    from emwatch.web.app import Settings
    from emwatch.web.ask import Ask
    from emwatch.web.frame_pictures import FramePictures
    from emwatch.web.frames import Frames
    from emwatch.web.live import Broadcast
    from emwatch.web.shared import Shared
    from emwatch.web.teach import Teacher

blueprint = Blueprint("pages", __name__)

_COOKIE_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class State:
    """What every request may use."""

    config: Config
    settings: Settings
    frames: Frames
    pictures: FramePictures
    broadcast: Broadcast
    ask: Ask
    teacher: Teacher
    status: Shared[dict[str, Any]]
    targets: Shared[dict[str, Any]]
    choices: Shared[dict[str, Any]]


def state() -> State:
    """Return what this request may use."""
    found: State = g.emwatch
    return found


def local_now() -> datetime:
    """Return the present moment in the zone of the PC, in which people name times."""
    return SystemClock().now().astimezone()


@blueprint.get("/")
def live() -> ResponseReturnValue:
    """Show the last frame, the targets and how emwatch is."""
    return render_template("live.html", here="live", targets=[each.name for each in state().config.targets])


@blueprint.get("/frames")
def gallery() -> ResponseReturnValue:
    """Show the frames that a filter takes, the newest first."""
    wanted = filter_of(request.args, local_now())
    found = state().frames.page(wanted, PAGE, None)
    return render_template("gallery.html", here="frames", found=found, asked=request.args, query=_query())


@blueprint.get("/map")
def stage_map() -> ResponseReturnValue:
    """Show where on the stage the frames of a filter were taken."""
    filter_of(request.args, local_now())  # an error is a page of its own
    return render_template("map.html", here="map", asked=request.args, query=_query())


@blueprint.get("/frames/<int:frame_id>")
def frame(frame_id: int) -> ResponseReturnValue:
    """Show all that is known of one frame."""
    found = state().frames.whole(frame_id)
    return render_template("frame.html", here="frames", frame=found, width=state().frames.width_px(frame_id))


@blueprint.get("/ask")
def ask() -> ResponseReturnValue:
    """Let the user drop pictures to ask about."""
    return render_template("ask.html", here="ask")


@blueprint.get("/review")
def review() -> ResponseReturnValue:
    """Show one frame after another, to be reviewed with one key each."""
    return render_template("review.html", here="review")


@blueprint.route("/login", methods=["GET", "POST"], endpoint="login")
def login() -> ResponseReturnValue:
    """Take the token once and keep it in a cookie that no script can read."""
    access = state().settings.access
    if request.method == "GET":
        return render_template("login.html", here="", wrong=False)
    token = request.form.get("token", "")
    if not access.accepts(token):
        return render_template("login.html", here="", wrong=True), 401
    response = redirect(_wanted_page())
    # Lax: a link in a message opens what it names. No address changes anything, and each change says where it comes from.
    response.set_cookie(COOKIE, token, max_age=_COOKIE_SECONDS, httponly=True, samesite="Lax")
    return response


def _wanted_page() -> str:
    """Return the address that was asked for before the token, if it is one of this page; else the live page."""
    wanted = request.args.get("next", "")
    own = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if own else url_for("pages.live")


@blueprint.get("/favicon.ico")
def favicon() -> ResponseReturnValue:
    """Return the icon under the name that browsers guess."""
    return redirect(url_for("static", filename="icon.svg"))


@blueprint.get("/<path:anything>")
def nothing(anything: str) -> ResponseReturnValue:
    """Answer for every other address."""
    abort(404, f"there is no page /{anything}")


def _query() -> dict[str, list[str]]:
    """Return the filter of the address, for the addresses of other pages."""
    return {key: values for key, values in request.args.lists() if key not in PAGING}
