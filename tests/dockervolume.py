"""A Docker volume plugin (protocol v1) as a program of its own: volumes are directories below DIRECTORY/volumes.

    python dockervolume.py SOCKET DIRECTORY

Mounting binds a volume's directory to a place below DIRECTORY/mounts, once for all that have it mounted. Each call is a
line in DIRECTORY/calls; what DIRECTORY/fault says happens instead of an answer: METHOD=hang|rubbish|exit|500|Err text.
"""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

SOCKET, PLACE = sys.argv[1:]
mounted: dict[str, set[str]] = {}


def answer(method: str, given: dict[str, Any]) -> dict[str, Any]:
    name = given.get("Name", "")
    kept, shown = f"{PLACE}/volumes/{name}", f"{PLACE}/mounts/{name}"
    if method == "Plugin.Activate":
        return {"Implements": ["VolumeDriver"]}
    if method == "VolumeDriver.Capabilities":
        return {"Capabilities": {"Scope": "global"}}
    if method == "VolumeDriver.Create":
        os.makedirs(kept)
        with open(f"{PLACE}/options-{name}", "w") as file:
            json.dump(given["Opts"], file)
        return {}
    if not os.path.isdir(kept):
        return {"Err": f"there is no volume {name}"}
    if method == "VolumeDriver.Get":
        return {"Volume": {"Name": name, "Status": {"users": len(mounted.get(name, ()))}}}
    if method == "VolumeDriver.Mount":
        if not mounted.setdefault(name, set()):
            os.makedirs(shown, exist_ok=True)
            subprocess.run(["mount", "--bind", kept, shown], check=True)
        mounted[name].add(given["ID"])
        return {"Mountpoint": shown}
    if method == "VolumeDriver.Unmount":
        if given["ID"] not in mounted.get(name, ()):
            return {"Err": f"{name} is not mounted for {given['ID'][:12]}"}
        mounted[name].remove(given["ID"])
        if not mounted[name]:
            subprocess.run(["umount", shown], check=True)
        return {}
    if method == "VolumeDriver.Remove":
        subprocess.run(["rm", "-r", kept], check=True)
        return {}
    return {"Err": f"unknown method {method}"}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        method = self.path[1:]
        given = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        with open(f"{PLACE}/calls", "a") as calls:
            print(method, given.get("Name", ""), given.get("ID", "")[:12], file=calls)
        status, content = 200, b""
        if os.path.exists(f"{PLACE}/fault"):
            with open(f"{PLACE}/fault") as file:
                wanted, _, fault = file.read().partition("=")
            if wanted in (method, "every"):
                if fault == "hang":
                    time.sleep(1000)
                if fault == "exit":
                    os._exit(1)
                status = 500 if fault == "500" else 200
                content = b"<html>" if fault in ("rubbish", "500") else json.dumps({"Err": fault}).encode()
        content = content or json.dumps({"Err": ""} | answer(method, given)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 50


os.makedirs(f"{PLACE}/volumes", exist_ok=True)
with Server(SOCKET, Handler) as server:
    server.serve_forever()
