"""Options of `docker run` and `podman run` that there are none of here, each with what to do instead."""

from __future__ import annotations

_WINDOWS = "it is for Windows containers"
_BLOCK = "no limiter bounds the use of block devices"
_IDS = "user namespaces are made with --userns auto"
_IMAGES = "images come from the registry that plugins.toml names"

#: Option to the reason. What becomes an option of ours leaves this table.
REASONS = {
    **dict.fromkeys(
        ("--blkio-weight", "--blkio-weight-device", "--device-read-bps", "--device-read-iops"),
        _BLOCK,
    ),
    **dict.fromkeys(("--device-write-bps", "--device-write-iops"), _BLOCK),
    "--cgroup-parent": "every container's cgroup lies below cmanager's own",
    "--cgroups": "every container has a cgroup of its own",
    **dict.fromkeys(("--cpu-count", "--cpu-percent", "--io-maxbandwidth", "--io-maxiops", "--isolation"), _WINDOWS),
    **dict.fromkeys(("--cpu-period", "--cpu-quota"), "give the same as --cpus"),
    **dict.fromkeys(("--cpu-rt-period", "--cpu-rt-runtime"), "no limiter gives real-time shares"),
    "--cpuset-mems": "no limiter chooses memory nodes, --cpuset-cpus chooses CPUs",
    "--device-cgroup-rule": "give each device with --device",
    "--disable-content-trust": "an image is what its digest says, give NAME@DIGEST",
    "--env-host": "give what is wanted with -e NAME",
    "--gpus": "give each device with --device",
    "--ip6": "networks have no IPv6",
    "--kernel-memory": "the kernel has no such limit any more",
    "--link": "containers of one network find each other by name, --network-alias adds one",
    "--link-local-ip": "networks have no link-local addresses",
    **dict.fromkeys(
        ("--memory-reservation", "--memory-swap", "--memory-swappiness"), "the limit of memory is --memory"
    ),
    "--oom-kill-disable": "give --oom-score-adj",
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
