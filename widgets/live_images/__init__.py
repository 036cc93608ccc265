"""Feature visualization, live."""

from lens.widgets.live_images.view import LiveImages, live

__all__ = ["LiveImages", "live"]
