"""Parameters of the embedded world."""

from pydantic import Field, model_validator

from franca.config.base import Section


class Scenes(Section):
    """Render the embedded world: training images behind a web server, and evaluation sets."""

    image_size: int = Field(ge=32, le=1024, description="Short side of the images, pixels.")
    video_size: int = Field(ge=32, le=1024, description="Side of the video frames, pixels.")
    supersample: int = Field(ge=1, le=4, description="Rays a pixel, along each axis.")
    jpeg_quality: int = Field(ge=50, le=100, description="Quality of the JPEG files.")
    num_train: int = Field(ge=0, description="Images at the web origin, planted faults aside.")
    single_share: float = Field(
        ge=0, le=1, description="Share of training images that show one object, filling the frame."
    )
    wide_share: float = Field(
        ge=0, le=1, description="Share of training images that are not square (up to 1.5 : 1)."
    )
    fault_share: float = Field(
        ge=0, le=0.1, description="Planted faults of each kind, as a share of num_train."
    )
    num_objects_train: int = Field(ge=0, description="Classified images for training probes.")
    num_objects_val: int = Field(ge=0, description="Classified images for evaluation.")
    num_novel: int = Field(ge=0, description="Images of near unknown classes, and of far ones.")
    num_segmentation_train: int = Field(ge=0, description="Densely labelled images for probes.")
    num_segmentation_val: int = Field(ge=0, description="Densely labelled images for evaluation.")
    num_videos: int = Field(ge=0, description="Videos with tracked masks.")
    num_frames: int = Field(ge=2, description="Frames of each video.")
    num_pairs: int = Field(ge=0, description="Pairs of images with corresponding points, per kind.")

    num_scenes: int = Field(ge=0, description="Scenes seen from several sides.")
    num_views: int = Field(ge=3, description="Views of each, over an arc of 120 degrees.")

    @model_validator(mode="after")
    def _splits_come_together(self) -> "Scenes":
        for name in ("objects", "segmentation"):
            train = getattr(self, f"num_{name}_train")
            val = getattr(self, f"num_{name}_val")
            if (train == 0) != (val == 0):
                raise ValueError(
                    f"scenes.num_{name}_train is {train} and scenes.num_{name}_val is {val}: "
                    "set both to 0 or neither"
                )
        return self
