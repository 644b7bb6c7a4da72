"""How fast a link may be, by token buckets (tc(8), tc-tbf(8), include/uapi/linux/pkt_sched.h and pkt_cls.h).

What leaves through a link is held back on it. What comes in cannot be: it is led to an ifb, a link that only hands on
(drivers/net/ifb.c), and held back as it leaves that. Dropping instead (policing) needs more of the kernel and costs TCP
half of the rate.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from contextlib import suppress

from . import syscalls
from .rtnetlink import Rtnetlink, attribute, link_header, nest, string, u32

_NEWLINK, _NEWQDISC, _DELQDISC, _NEWTFILTER = 16, 36, 37, 44
_CREATE, _REPLACE = 0x400, 0x100
_UP = 1
_IFLA_IFNAME, _IFLA_LINKINFO, _INFO_KIND = 3, 18, 1
_ROOT, _INGRESS, _CLSACT_HANDLE, _FIRST_HANDLE = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFF0000, 0x00010000
_TCA_KIND, _TCA_OPTIONS = 1, 2
_TBF_PARMS, _TBF_RATE64, _TBF_BURST = 1, 4, 6
_U32_SEL, _U32_ACT, _U32_TERMINAL = 5, 7, 1
_ACT_KIND, _ACT_OPTIONS, _MIRRED_PARMS = 1, 2, 2
_STOLEN, _REDIRECT = 4, 1
_ALL_PROTOCOLS = 0x0003  # ETH_P_ALL
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET
_MOST_U32 = 2**32 - 1
#: Bytes: a bucket holds what the kernel hands over in one piece (GSO_MAX_SIZE), or 10 ms.
_LEAST_BUCKET, _BUCKETS_A_SECOND = 1 << 16, 100
#: Bytes that wait, a tenth of a second at least.
_LEAST_QUEUE, _QUEUES_A_SECOND = 1 << 18, 10


def shape(here: Rtnetlink, name: str, helper: str, outgoing: int, incoming: int) -> None:
    """Hold back what leaves through link `name` and what comes in by it, in bytes a second; 0 for no bound.

    helper: name of the ifb that this makes for `incoming`; who removes the link removes it too. Replaces what was
    there. Raises OSError.
    """
    index = here.index(name)
    if not index:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name)
    if outgoing:
        _bucket(here, index, outgoing, name)
    else:
        _lift(here, index, _ROOT, name)
    if not incoming:
        _lift(here, index, _INGRESS, name)
        with suppress(OSError):
            here.delete(helper)
        return
    if not here.index(helper):
        kind = nest(_IFLA_LINKINFO, string(_INFO_KIND, "ifb"))
        here.ask(_NEWLINK, _CREATE, link_header(flags=_UP) + string(_IFLA_IFNAME, helper) + kind, helper)
    other = here.index(helper)
    _bucket(here, other, incoming, helper)
    _lift(here, index, _INGRESS, name)
    message = _message(index, _CLSACT_HANDLE, _INGRESS) + string(_TCA_KIND, "ingress")
    here.ask(_NEWQDISC, _CREATE, message, name)
    _redirect(here, index, other, name)


def probe() -> None:
    """Do all of it in a network namespace that ends with this; raises OSError naming what the kernel lacks."""
    failed = []

    def attempt() -> None:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)  # of this thread alone
            with Rtnetlink() as inside:
                shape(inside, "lo", "probe", 1 << 20, 1 << 20)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _bucket(here: Rtnetlink, index: int, rate: int, name: str) -> None:
    bucket = max(_LEAST_BUCKET, rate // _BUCKETS_A_SECOND)
    queue = max(_LEAST_QUEUE, rate // _QUEUES_A_SECOND)
    speed = struct.pack("BBHhHI", 0, _ETHERNET, 0, -1, 0, min(rate, _MOST_U32))
    # limit in bytes; buffer in ticks of 64 ns (psched), for those who read it: the burst says the same in bytes.
    ticks = min(bucket * 10**9 // rate // 64, _MOST_U32)
    parms = speed + bytes(len(speed)) + struct.pack("III", min(queue, _MOST_U32), ticks, 0)
    options = attribute(_TBF_PARMS, parms) + u32(_TBF_BURST, bucket)
    options += attribute(_TBF_RATE64, struct.pack("Q", rate)) if rate > _MOST_U32 else b""
    message = _message(index, _FIRST_HANDLE, _ROOT) + string(_TCA_KIND, "tbf") + nest(_TCA_OPTIONS, options)
    here.ask(_NEWQDISC, _CREATE | _REPLACE, message, f"tbf of {name}")


def _redirect(here: Rtnetlink, index: int, other: int, name: str) -> None:
    """Lead everything that comes in to link `other` (tc-u32(8), tc-mirred(8))."""
    match_all = struct.pack("BBBBHHhhI", _U32_TERMINAL, 0, 1, 0, 0, 0, 0, 0, 0) + struct.pack("IIii", 0, 0, 0, 0)
    mirred = struct.pack("IIiiiiI", 0, 0, _STOLEN, 0, 0, _REDIRECT, other)
    action = string(_ACT_KIND, "mirred") + nest(_ACT_OPTIONS, attribute(_MIRRED_PARMS, mirred))
    options = attribute(_U32_SEL, match_all) + nest(_U32_ACT, nest(1, action))
    protocol = socket.htons(_ALL_PROTOCOLS)
    message = _message(index, 0, _CLSACT_HANDLE, 1 << 16 | protocol) + string(_TCA_KIND, "u32")
    here.ask(_NEWTFILTER, _CREATE, message + nest(_TCA_OPTIONS, options), f"u32 and mirred of {name}")


def _lift(here: Rtnetlink, index: int, parent: int, name: str) -> None:
    """Remove what holds back there; none is success."""
    try:
        here.ask(_DELQDISC, 0, _message(index, 0, parent), name)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EINVAL):
            raise


def _message(index: int, handle: int, parent: int, info: int = 0) -> bytes:
    return struct.pack("BBHiIII", socket.AF_UNSPEC, 0, 0, index, handle, parent, info)
