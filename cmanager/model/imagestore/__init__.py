"""A store of images, whole but for where they come from.

Part of the author API, for image providers: `ImageStore` keeps the contract of `cmanager.seams.Images`, and a provider
tells it with a `Repository` where the images of a name are had. `Layout` is one: an OCI image layout in a directory.

documents.py  manifests, indexes and configurations, read with suspicion
blobs.py      content under its digest
catalogue.py  which images there are, and what they are called
choosing.py   which of a repository's manifests is meant
layout.py     an OCI image layout
store.py      the image seam
"""

from . import documents
from .blobs import Blobs, sha256
from .choosing import LATEST, Repository, choose, compose, document
from .documents import Descriptor
from .layout import Layout
from .store import ImageStore

__all__ = [
    "LATEST",
    "Blobs",
    "Descriptor",
    "ImageStore",
    "Layout",
    "Repository",
    "choose",
    "compose",
    "document",
    "documents",
    "sha256",
]
