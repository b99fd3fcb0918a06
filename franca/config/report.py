"""Parameters of the report: how much it shows, and which metric stands for a benchmark."""

from pydantic import Field

from franca.config.base import Section


class Report(Section):
    """The page that people read."""

    max_gallery_images: int = Field(ge=1, le=200, description="kept images shown")
    max_dropped_images: int = Field(
        ge=0, le=100, description="dropped images shown for each reason"
    )
    max_dropped_rows: int = Field(
        ge=0, le=20, description="rows without an image shown for each reason"
    )
    max_sample_images: int = Field(
        ge=1, le=32, description="images shown with their crops, masks, features and positions"
    )
    thumbnail_side: int = Field(ge=16, le=512, description="longest side of a thumbnail in pixels")
    dpi: int = Field(ge=50, le=600, description="resolution of the PNG figures, pixels per inch")
    main_metrics: dict[str, str] = Field(
        description="metric that stands for a benchmark in tables and curves, by benchmark; any "
        "other benchmark is represented by the first metric it reports"
    )
