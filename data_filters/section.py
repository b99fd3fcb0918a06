"""The base of every group of parameters of the data half."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen group of parameters that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
