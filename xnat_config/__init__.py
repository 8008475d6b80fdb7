"""What this suite's XNAT looks like, as data: the ground floor of uploader and pipelines."""

from .site import SiteConfig, SiteConfigError, load_config

__all__ = ["SiteConfig", "SiteConfigError", "load_config"]
