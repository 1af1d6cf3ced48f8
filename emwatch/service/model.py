"""The model in use; replaced between two frames after another one was activated."""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from typing import TYPE_CHECKING, Final

from emwatch.classify.bundles import store
from emwatch.errors import ModelError
from emwatch.ingest.events import Notice
from emwatch.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from emwatch.classify.classifier import Classifier
    from emwatch.config import Config
    from emwatch.frame import Prediction
    from emwatch.ingest.events import Event

logger = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 2.0

#: The state of the pointer file; ``None`` if there is none.
_PointerState = tuple[int, int, int] | None


class LiveModel:
    """
    Classifies with the model in use, and changes to another one when the store's pointer file changes.

    `classify` and `tick` belong to the frame thread: the change happens there, between two frames. A new model is
    loaded and tested in another thread; if it fails, that is reported once and the old one stays.
    """

    def __init__(self, config: Config, tell: Callable[[Event], None], *, follow: bool) -> None:
        """Load the model in use; ``follow``: watch for another one. Raises `ModelError`."""
        self._engine, self._threads = config.model.engine, config.model.threads
        self._doubts_by_scale = config.model.doubt_by_scale
        self._tell = tell
        self._store = store.store_of(config)
        self._seen = (
            self._pointer_state()
        )  # taken before the file is read: a change in between is noticed at the next check
        used = store.in_use(config)
        self._follow = follow and not used.configured and self._engine != "stub"
        self._classifier = used.load(self._engine, self._threads)
        self._loaded: Classifier | None = None
        self._changing = threading.Lock()
        self.loader = Worker("loading a model", self._load)
        self._trouble = ""  # why the last activated model could not be used
        self._next_check = 0.0
        self._asked = False
        logger.info("model in use: %s", _words(self._classifier))

    def classify(
        self, views: npt.NDArray[np.float32], coloured_share: float = 0.0, field_width_um: float | None = None
    ) -> Prediction:
        """Classify with the model in use now; the field width counts if ``model.doubt_by_scale`` is set."""
        return self._classifier.classify(views, coloured_share, field_width_um if self._doubts_by_scale else None)

    def facts(self) -> dict[str, str]:
        """Return the model in use now, and why an activated one is not, for the status."""
        bundle = self._classifier.bundle
        return {
            "name": "stub" if bundle is None else bundle.name,
            "sha256": self._classifier.bundle_sha256,
            "engine": self._engine,
            "trouble": self._trouble,
        }

    def check_soon(self) -> None:
        """Check the pointer at the next `tick`, and try a model that failed once more."""
        self._asked = True

    def tick(self, now: float) -> None:
        """Use a model that has been loaded, and check every two seconds whether another one was activated."""
        if not self._follow:
            return
        self._exchange()
        if now < self._next_check and not self._asked:
            return
        self._next_check = now + _LOOK_EVERY_S
        if self.loader.is_alive:
            return
        again = self._asked and bool(self._trouble)
        self._asked = False
        seen = self._pointer_state()
        if seen != self._seen or again:
            self._seen = seen
            self.loader.start()

    def _exchange(self) -> None:
        with self._changing:
            loaded, self._loaded = self._loaded, None
        if loaded is not None:
            before, self._classifier = _words(self._classifier), loaded
            _give_memory_back()
            self._tell(Notice("info", f"model in use from now on: {_words(loaded)}; before: {before}"))

    def _load(self) -> None:
        try:
            used = self._store.in_use()
            loaded = used.load(self._engine, self._threads)
        except (ModelError, OSError, MemoryError) as error:
            self._trouble = str(error)
            self._tell(Notice("error", f"{error} {_words(self._classifier)} stays in use."))
            return
        self._trouble = ""
        with self._changing:
            self._loaded = None if loaded.bundle_sha256 == self._classifier.bundle_sha256 else loaded

    def _pointer_state(self) -> _PointerState:
        try:
            found = self._store.pointer_file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _give_memory_back() -> None:
    """Return the old model's memory to the system: glibc keeps about 60 MB of it (16 exchanges: 183 MB, with this 114)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # not in other C libraries
        trim(0)


def _words(classifier: Classifier) -> str:
    bundle = classifier.bundle
    return "the stub" if bundle is None else f"{bundle.name} {bundle.sha256[:12]}"
