"""The model in use; replaced between two frames after another one was activated."""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from typing import TYPE_CHECKING, Final

from emwatch.classify.bundles import store
from emwatch.classify.bundles.bundle import CARD
from emwatch.errors import ModelError
from emwatch.ingest.events import Notice
from emwatch.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from emwatch.classify.classifier import Classifier
    from emwatch.config import Config
    from emwatch.frame import EmbeddingSpace, Prediction
    from emwatch.ingest.events import Event

logger = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 2.0
_TRY_AGAIN_EVERY_S: Final = 60.0

#: The state of the file that says which model is in use; ``None`` if there is none.
_FileState = tuple[int, int, int, int] | None


class LiveModel:
    """
    Classifies with the model in use, and changes to another one when the store's pointer file changes.

    If ``model.bundle`` is configured, its card takes the place of the pointer file: the path may be a link that is
    pointed to another bundle.

    `classify` and `tick` belong to the frame thread: the change happens there, between two frames. A new model is
    loaded and tested in another thread; if it fails, that is reported once, the old one stays, and the new one is tried
    again each minute: it may be half copied, or its disk away.
    """

    def __init__(self, config: Config, tell: Callable[[Event], None], *, follow: bool) -> None:
        """Load the model in use; ``follow``: watch for another one. Raises `ModelError`."""
        self._config = config
        self._engine, self._threads = config.model.engine, config.model.threads
        self._doubts_by_scale = config.model.doubt_by_scale
        self._tell = tell
        configured = config.model.bundle
        self._names_it = store.store_of(config).pointer_file if configured is None else configured / CARD
        self._seen = self._state()  # taken before the file is read: a change in between is noticed at the next check
        self._follow = follow and self._engine != "stub"
        self._classifier = store.in_use(config).load(self._engine, self._threads)
        _give_memory_back()
        self._loaded: Classifier | None = None
        self._changing = threading.Lock()
        self.loader = Worker("loading a model", self._load)
        self._trouble = ""  # why the last activated model could not be used
        self._told = ""
        self._next_check = 0.0
        self._next_try = 0.0
        self._asked = False
        logger.info("model in use: %s", _words(self._classifier))

    def classify(
        self, views: npt.NDArray[np.float32], coloured_share: float = 0.0, field_width_um: float | None = None
    ) -> Prediction:
        """Classify with the model in use now; the field width counts if ``model.doubt_by_scale`` is set."""
        return self._classifier.classify(views, coloured_share, field_width_um if self._doubts_by_scale else None)

    def space(self) -> EmbeddingSpace | None:
        """Return the space of the embeddings that the model in use makes, ``None`` if it makes none."""
        return self._classifier.space

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
        """Check at the next `tick`, and try a model that failed once more."""
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
        again = bool(self._trouble) and (self._asked or now >= self._next_try)
        if self._asked:
            self._told = ""
        self._asked = False
        seen = self._state()
        if seen != self._seen or again:
            self._seen = seen
            self._next_try = now + _TRY_AGAIN_EVERY_S
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
            loaded = store.in_use(self._config).load(self._engine, self._threads)
        except (ModelError, OSError, MemoryError) as error:
            self._trouble = str(error)
            if self._trouble != self._told:
                self._tell(Notice("error", f"{error} {_words(self._classifier)} stays in use."))
            self._told = self._trouble
            return
        self._trouble = self._told = ""
        with self._changing:
            self._loaded = None if loaded.bundle_sha256 == self._classifier.bundle_sha256 else loaded

    def _state(self) -> _FileState:
        try:
            found = self._names_it.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def _give_memory_back() -> None:
    """Return the old model's memory to the system: glibc keeps about 60 MB of it (16 exchanges: 183 MB, with this 114)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # not in other C libraries
        trim(0)


def _words(classifier: Classifier) -> str:
    bundle = classifier.bundle
    return "the stub" if bundle is None else f"{bundle.name} {bundle.sha256[:12]}"
