"""The JSON API under /api/v1, and what monitoring asks for. `openapi.json` describes it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, jsonify, request

from emwatch.foreign_file import parse_json
from emwatch.ledger.row_values import row_number
from emwatch.web.alerts import AlertRequestError, ask_about_alerts
from emwatch.web.ask import AskedTooOftenError
from emwatch.web.asking import FilterError, filter_of
from emwatch.web.frames import PAGE
from emwatch.web.live import TooManyPagesError
from emwatch.web.metrics import CONTENT_TYPE, metrics_text
from emwatch.web.openapi import document
from emwatch.web.pages import local_now, state
from emwatch.web.reviews import ReviewError, review_frames
from emwatch.web.teach import BusyError, LessonError

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("api", __name__)
monitoring = Blueprint("monitoring", __name__)

_SIZES = (160, 320, 640, 1280, 2560, 4096)


@blueprint.get("/frames")
def frames() -> ResponseReturnValue:
    """Return one page of rows, the newest first."""
    wanted = filter_of(request.args, local_now())
    return jsonify(state().frames.page(wanted, _limit(), _before()))


@blueprint.get("/frames/count")
def count() -> ResponseReturnValue:
    """Return how many rows a filter has."""
    return jsonify(count=state().frames.count(filter_of(request.args, local_now())))


@blueprint.get("/frames/<int:frame_id>")
def frame(frame_id: int) -> ResponseReturnValue:
    """Return all that is known of a frame."""
    return jsonify(state().frames.whole(frame_id))


@blueprint.get("/frames/<int:frame_id>/similar")
def similar(frame_id: int) -> ResponseReturnValue:
    """Return the frames that look most like one of them."""
    from emwatch.teaching.targets import similar as search

    state().frames.row(frame_id)
    found = search(state().config, frame_id, limit=12)
    return jsonify(frames=state().frames.scored({each.frame.frame_id: round(each.score, 4) for each in found}))


@blueprint.get("/frames/<int:frame_id>/picture")
def picture(frame_id: int) -> ResponseReturnValue:
    """Return the frame as JPEG, stretched to 8 bits, its longer side at most ``size`` pixels."""
    asked = request.args.get("size", "640")
    if not asked.isascii() or not asked.isdecimal() or len(asked) > 5:
        raise FilterError(f"size: {asked!r} is not a number of pixels")
    size = next((each for each in _SIZES if each >= int(asked)), _SIZES[-1])
    version = request.args.get("v", "")
    with_bar = request.args.get("scale_bar") == "1"
    found = state().pictures.get(frame_id, size, with_scale_bar=with_bar, version=version)
    response = Response(found.jpeg, mimetype="image/jpeg")
    response.set_etag(f"{found.version}-{size}-{int(with_bar)}")
    # What an address with its version shows never changes.
    lasting = "max-age=31536000, immutable" if version == found.version else "max-age=60"
    response.headers["Cache-Control"] = f"private, {lasting}"
    return response.make_conditional(request)


@blueprint.get("/map")
def stage_map() -> ResponseReturnValue:
    """Return the fields of view of the newest frames of a filter, in micrometres on the stage."""
    asked = request.args.copy()
    axes = asked.pop("axes", "stage")
    if axes not in {"stage", "sample"}:
        raise FilterError(f"axes: {axes!r} is neither stage nor sample")
    return jsonify(state().frames.stage_map(filter_of(asked, local_now()), on_sample=axes == "sample"))


@blueprint.get("/events")
def events() -> ResponseReturnValue:
    """Send new frames as they are recorded; with Last-Event-ID, those that were missed first."""
    last = request.headers.get("Last-Event-ID") or request.args.get("after") or ""
    try:
        stream = state().broadcast.events(row_number(last))
    except TooManyPagesError as error:
        abort(503, str(error))
    response = Response(stream, mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    return response


@blueprint.get("/status")
def status() -> ResponseReturnValue:
    """Return what `emwatch status --json` prints, and how many frames the last hour brought."""
    return jsonify(state().status.get())


@blueprint.get("/targets")
def targets() -> ResponseReturnValue:
    """Return each target with how often and when it was last met, and what became of its alerts."""
    return jsonify(state().targets.get())


@blueprint.post("/targets/learn")
def learn() -> ResponseReturnValue:
    """Learn a target from frames of the log; return what it would have found, and keep it if that is asked for."""
    try:
        learned = state().teacher.learn(_json(), local_now())
    except LessonError as error:
        abort(400, str(error))
    except BusyError as error:
        abort(429, str(error))
    found = {each["frame_id"]: each["score"] for each in learned["found"]}
    return jsonify({**learned, "found": state().frames.scored(found)})


@blueprint.get("/alerts")
def alerts() -> ResponseReturnValue:
    """Return alerts, the newest first."""
    return jsonify(alerts=state().frames.alerts(request.args.get("target"), _limit()))


@blueprint.post("/alerts")
def ask_alerts() -> ResponseReturnValue:
    """Hand a snooze or an acknowledgement to the daemon, which does it within seconds."""
    found, asked = state(), _json()
    try:
        given = ask_about_alerts(found.config.ledger.path, asked, _configured(), found.frames, local_now())
    except AlertRequestError as error:
        abort(400, str(error))
    found.broadcast.expect_change()
    return jsonify(given), 202


@blueprint.get("/choices")
def choices() -> ResponseReturnValue:
    """Return what filters can name: targets and sessions."""
    return jsonify(state().choices.get())


@blueprint.post("/reviews")
def reviews() -> ResponseReturnValue:
    """Hand reviews to the daemon, which records them within seconds."""
    asked: Any = _json()
    config = state().config
    try:
        given = review_frames(config.ledger.path, asked, state().frames.row, local_now())
    except ReviewError as error:
        abort(400, str(error))
    return jsonify(reviews=given), 202


@blueprint.post("/ask")
def ask() -> ResponseReturnValue:
    """Return category and metadata of an uploaded picture; nothing is stored."""
    upload = request.files.get("picture")
    if upload is None or not upload.filename:
        abort(400, "picture: expected a file, sent as multipart/form-data")
    try:
        with upload.stream:
            return jsonify(state().ask.about(upload.filename, upload))
    except AskedTooOftenError as error:
        abort(429, str(error))


@blueprint.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    """Return the description of this API."""
    return jsonify(document())


@monitoring.get("/healthz", endpoint="healthz")
def healthz() -> ResponseReturnValue:
    """Return 200 while the daemon runs and is not silent, else 503."""
    found = state().status.get()
    well = found["running"] and found["state"] in {"starting", "watching"} and not found["ledger"]["trouble"]
    return jsonify(ok=well, state=found["state"], warnings=len(found["warnings"])), 200 if well else 503


@monitoring.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Return the metrics as OpenMetrics text."""
    text = metrics_text(state().status.get(), state().broadcast.pages)
    return Response(text, content_type=CONTENT_TYPE)


def _json() -> Any:
    """Return the document of a request, ``None`` if it has none that makes sense, such as one nested too deeply."""
    if not request.is_json:
        return None
    try:
        return parse_json(request.get_data())
    except ValueError:
        return None


def _configured() -> list[str]:
    return [each.name for each in state().config.targets]


def _limit() -> int:
    text = request.args.get("limit", str(PAGE))
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or not 1 <= int(text) <= 500:
        raise FilterError(f"limit: {text!r} is not a number from 1 to 500")
    return int(text)


def _before() -> tuple[datetime, int] | None:
    text = request.args.get("before")
    if not text:
        return None
    at, _, digits = text.rpartition("_")
    number = row_number(digits)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or number is None:
        raise FilterError(f"before: {text!r} is not what an earlier page gave as `before`")
    return moment, number
