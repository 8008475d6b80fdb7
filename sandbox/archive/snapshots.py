"""Snapshots of scans: the resource that XNAT makes once somebody looks at a session.

Whoever may see a scan sets it off, by a page or by the address of a picture.
"""

import sqlite3
from dataclasses import dataclass

from . import filing, items, listings, thumbnails
from .accounts import User
from .archive import Archive
from .filing import File
from .items import Item

RESOURCE = "SNAPSHOTS"
PICTURED = ("DICOM", "secondary")


@dataclass(frozen=True)
class Snapshots:
    """The files of a scan's snapshots: the middle image whole, and small."""

    snapshot: File
    thumbnail: File


def middle_image(connection: sqlite3.Connection, scan: Item) -> File | None:
    """Return the file in the middle of a scan's DICOM resource, else of its secondary one."""
    for label in PICTURED:
        found = listings.files(connection, [scan], name=label)
        if found:
            return found[len(found) // 2].file
    return None


def ensure(archive: Archive, user: User, session: Item, scan: Item) -> Snapshots | None:
    """Return a scan's snapshots, made now where it has none; None where nothing can be shown."""
    names = [f"{session.id}_{scan.id}_{kind}.gif" for kind in ("qc", "qc_t")]
    with archive.database.read() as connection:
        known = _find(connection, scan, names)
        image = middle_image(connection, scan)
    if known is not None or image is None:
        return known
    try:
        pixels, aspect, inverted = thumbnails.middle_frame(archive.blobs.path(image.blob))
    except thumbnails.NoPictureError:
        return None
    pictures = [
        thumbnails.gif(thumbnails.to_bytes(one, inverted))
        for one in (pixels, thumbnails.shrink(pixels, aspect))
    ]
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        if items.get(connection, scan.pk) is None:
            return None  # it was deleted meanwhile
        resource = filing.find_resource(connection, scan, RESOURCE) or filing.create_resource(
            connection, scan, RESOURCE, format="GIF", content=RESOURCE
        )
        for name, picture, content in zip(names, pictures, ("ORIGINAL", "THUMBNAIL"), strict=True):
            _, obsolete = filing.put_file(
                connection,
                resource,
                name,
                placing.store([picture], name),
                user=user.login,
                overwrite=True,
                format="GIF",
                content=content,
            )
            placing.drop(obsolete)
        return _find(connection, scan, names)


def _find(connection: sqlite3.Connection, scan: Item, names: list[str]) -> Snapshots | None:
    resource = filing.find_resource(connection, scan, RESOURCE)
    if resource is None:
        return None
    whole, small = (filing.find_file(connection, resource, name) for name in names)
    return Snapshots(whole, small) if whole is not None and small is not None else None
