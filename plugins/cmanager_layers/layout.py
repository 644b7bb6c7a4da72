"""An OCI image layout: one repository of the local registry directory (image-spec image-layout.md)."""

from __future__ import annotations

import json
import os
import stat

from cmanager.errors import CorruptError, HostError, NotFoundError
from cmanager.linux import files, inroot

from . import documents
from .documents import Descriptor


class Layout:
    """The layout in a directory, which somebody else may have made: every path is resolved inside it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def exists(self) -> bool:
        """Whether there is one."""
        return os.path.isfile(f"{self.directory}/index.json")

    def path(self, digest: str) -> str:
        """Where a blob lies, for those who trust the layout."""
        return f"{self.directory}/blobs/sha256/{digest.removeprefix('sha256:')}"

    def manifests(self) -> tuple[Descriptor, ...]:
        """The entries of index.json."""
        content = self._read("index.json")
        what = f"{self.directory}/index.json"
        return documents.index(documents.read_json(content, what), what)

    def open_blob(self, digest: str) -> int:
        """A blob, open for reading; the caller closes it. NotFoundError, CorruptError for what is no file."""
        try:
            return self._open(f"blobs/sha256/{digest.removeprefix('sha256:')}")
        except FileNotFoundError:
            raise NotFoundError(f"{self.directory} lacks blob {digest}, build or copy the image again") from None
        except OSError as error:
            raise CorruptError(f"{self.directory}: blob {digest} cannot be read: {error.strerror}") from None

    def read_blob(self, descriptor: Descriptor) -> bytes:
        """A document; not yet verified."""
        fd = self.open_blob(descriptor.digest)
        try:
            content = os.read(fd, documents.LIMIT + 1)
        finally:
            os.close(fd)
        if len(content) > documents.LIMIT:
            raise CorruptError(f"{self.directory}: {descriptor.digest} is larger than {documents.LIMIT} bytes")
        return content

    def publish(self, manifest: Descriptor, tag: str) -> None:
        """Let `tag` mean this manifest, whose blobs are there, in one step; what no tag needs any more goes."""
        platform = {"architecture": documents.architecture(), "os": "linux"}
        entry = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size}
        entry |= {"platform": platform, "annotations": {documents.REF_NAME: tag}}
        others = []
        if self.exists():
            old = documents.read_json(self._read("index.json"), f"{self.directory}/index.json")
            others = [o for o in old["manifests"] if (o.get("annotations") or {}).get(documents.REF_NAME) != tag]
        index = {"schemaVersion": 2, "mediaType": documents.OCI_INDEX, "manifests": [*others, entry]}
        files.write_atomic(f"{self.directory}/oci-layout", b'{"imageLayoutVersion": "1.0.0"}', mode=0o644)
        files.write_atomic(f"{self.directory}/index.json", json.dumps(index).encode(), durable=True, mode=0o644)
        self._prune()

    def _prune(self) -> None:
        wanted: set[str] = set()
        for entry in self.manifests():
            wanted.add(entry.digest)
            data = documents.read_json(self.read_blob(entry), entry.digest)
            if not documents.is_index(data, entry.media_type):
                found = documents.manifest(data, entry.digest)
                wanted.update(part.digest for part in (found.config, *found.layers))
        for name in os.listdir(f"{self.directory}/blobs/sha256"):
            if f"sha256:{name}" not in wanted:
                os.unlink(f"{self.directory}/blobs/sha256/{name}")

    def _read(self, name: str) -> bytes:
        root = inroot.open_root(self.directory)
        try:
            return inroot.read_regular(root, name, documents.LIMIT)
        except OSError as error:
            raise HostError.of("read", f"{self.directory}/{name}", error) from None
        finally:
            os.close(root)

    def _open(self, name: str) -> int:
        root = inroot.open_root(self.directory)
        try:
            fd = inroot.open_in(root, name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        finally:
            os.close(root)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(22, "not a regular file")
        return fd
