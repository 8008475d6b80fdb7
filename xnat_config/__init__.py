"""What this suite's XNAT looks like, as data: below uploader and pipelines."""

from .site import SiteConfig, load_config

__all__ = ["SiteConfig", "load_config"]
