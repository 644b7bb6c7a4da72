"""Options of `docker run` and `podman run` that there are none of here, each with what to do instead."""

from __future__ import annotations

_WINDOWS = "it is for Windows containers"
_IDS = "user namespaces are made with --userns auto"
_IMAGES = "images come from the registry that plugins.toml names"

#: Option to the reason. What becomes an option of ours leaves this table.
REASONS = {
    "--cgroups": "every container has a cgroup of its own",
    **dict.fromkeys(("--cpu-count", "--cpu-percent", "--io-maxbandwidth", "--io-maxiops", "--isolation"), _WINDOWS),
    **dict.fromkeys(("--cpu-rt-period", "--cpu-rt-runtime"), "no limiter gives real-time shares"),
    "--disable-content-trust": "an image is what its digest says, give NAME@DIGEST",
    "--env-host": "give what is wanted with -e NAME",
    "--gpus": "give each device with --device",
    "--ip6": "networks have no IPv6",
    "--kernel-memory": "the kernel has no such limit any more, its memory counts in --memory",
    "--link": "containers of one network find each other by name, --network-alias adds one",
    "--link-local-ip": "networks have no link-local addresses",
    "--storage-opt": "options of storage stand in plugins.toml",
    "--use-api-socket": "there is no daemon",
    **dict.fromkeys(("--uidmap", "--gidmap", "--subuidname", "--subgidname"), _IDS),
    **dict.fromkeys(("--arch", "--os", "--variant"), "give --platform"),
    **dict.fromkeys(("--authfile", "--tls-verify", "--decryption-key"), _IMAGES),
    **dict.fromkeys(("--conmon-pidfile", "--pidfile"), "see inspect -f '{{.State.Pid}}'"),
    "--image-volume": "an image's volumes are made, --mount or --tmpfs at the same place replaces one",
    "--init-path": "the init of --init is built in",
    "--passwd": "the image's /etc/passwd is never changed, --user takes any uid",
    "--passwd-entry": "the image's /etc/passwd is never changed, --user takes any uid",
    "--group-entry": "the image's /etc/group is never changed, --group-add takes any gid",
    "--preserve-fds": "a container gets three descriptors",
    "--rootfs": "a container is made from an image",
    "--sdnotify": "nothing of the host's systemd is passed in",
    "--systemd": "nothing is mounted for an init by itself, see --tmpfs and --cgroupns",
    "--unsetenv-all": "give each with --unsetenv",
}
