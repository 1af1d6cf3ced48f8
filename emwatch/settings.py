"""What a section of the configuration is made of: a frozen model, and the types of its values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

#: A name goes into file names, environment variables and one-line messages.
NAME_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f]{1,80}$"


class Section(BaseModel):
    """
    A frozen group of keys; unknown keys and values of another type are refused.

    A value of the type `pathlib.Path` is relative to the file that it stands in and may begin with ``~``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class CommandMarker:
    """Marks a list of texts as a command: its first entry is resolved like a path if it has a slash."""


#: The type of pydantic's error for a value that is neither one entry nor a list; its context says what an entry is.
ONE_OR_MANY: Final = "one_or_many"


def _one_or_many(entry: str) -> BeforeValidator:
    """Return a validator to put after ``tuple[...]``: one value, ``entry``, may be written without the list."""

    def as_tuple(value: Any) -> Any:
        if isinstance(value, (str, Path)):
            return (value,)
        if value is None:
            return ()
        if not isinstance(value, (tuple, list)):
            raise PydanticCustomError(ONE_OR_MANY, "expected {entry}, or a list of them", {"entry": entry})
        return value

    return BeforeValidator(as_tuple)


def _not_empty(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value


OneOrMany: Final = _one_or_many("text")
OnePathOrMany: Final = _one_or_many("a path")
Text = Annotated[str, AfterValidator(_not_empty)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Command = Annotated[tuple[Text, ...], Field(min_length=1), CommandMarker()]
