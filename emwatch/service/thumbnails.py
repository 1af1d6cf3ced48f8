"""The thumbnails of alerts, drawn only when a channel shows pictures."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from emwatch.errors import EmwatchError
from emwatch.pictures.reader import PictureReader

if TYPE_CHECKING:
    from emwatch.alerts.alert import Alert
    from emwatch.readers.sandbox.limits import Limits

logger = logging.getLogger(__name__)

_LONGEST_PX: Final = 800


class AlertPictures:
    """Draws thumbnails in a limited child process, which is started with the first one."""

    def __init__(self, limits: Limits) -> None:
        self._reader = PictureReader(limits)

    def __call__(self, alert: Alert) -> bytes:
        """Return an alert's frame as JPEG with a true scale bar, empty if it is about no frame or cannot be drawn."""
        if not alert.frame_id:
            return b""
        rows = alert.data_bar_height_px
        try:
            picture = self._reader.read(
                alert.path,
                _LONGEST_PX,
                sha256=alert.sha256,
                pixel_size_nm=alert.pixel_size_nm,
                data_bar_rows=None if rows is None else round(rows),
            )
        except EmwatchError as error:
            logger.info("alerts: no thumbnail: %s", error)
            return b""
        return picture.jpeg

    def close(self) -> None:
        """End the child process."""
        self._reader.close()
