"""An OCI image layout, a directory that is a repository (image-spec image-layout.md)."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from ...errors import CorruptError, HostError, NotFoundError
from ...linux import inroot
from . import documents
from .blobs import read_document
from .documents import Descriptor


class Layout:
    """The layout in a directory, which somebody else may have made: every path is resolved inside it.

    A `Repository` that images can be pulled from.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __str__(self) -> str:
        return self.directory

    def exists(self) -> bool:
        """Whether there is one."""
        return os.path.isfile(f"{self.directory}/index.json")

    def path(self, digest: str) -> str:
        """Where a blob lies, for those who trust the layout."""
        return f"{self.directory}/blobs/sha256/{digest.removeprefix('sha256:')}"

    def manifests(self) -> tuple[Descriptor, ...]:
        """The entries of index.json."""
        return documents.index(self.index(), f"{self.directory}/index.json")

    def index(self) -> dict[str, Any]:
        """index.json as it is."""
        path = f"{self.directory}/index.json"
        try:
            fd = self._open("index.json")
            try:
                content = read_document(fd, documents.LIMIT, path)
            finally:
                os.close(fd)
        except OSError as error:
            raise HostError.of("read", path, error) from None
        return documents.read_json(content, path)

    def open_blob(self, digest: str) -> int:
        """A blob, open for reading; the caller closes it. NotFoundError, CorruptError for what is no file."""
        name = f"blobs/sha256/{digest.removeprefix('sha256:')}"
        try:
            return self._open(name)
        except FileNotFoundError:
            raise NotFoundError(f"{self.directory} lacks blob {digest}, build or copy the image again") from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.ENOTDIR):
                raise CorruptError(f"{self.directory}/{name} is not a regular file") from None
            raise HostError.of("read blob", f"{self.directory}/{name}", error) from None

    def _open(self, name: str) -> int:
        root = inroot.open_root(self.directory)
        try:
            fd = inroot.open_in(root, name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        finally:
            os.close(root)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
        return fd
