"""Which system calls a run may make: a list of names, compiled by libseccomp to two filters."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from repro.files import write_atomic

LIBRARY = "libseccomp.so.2"
PACKAGE = "libseccomp2"

# What the container engines' default profiles allow to a process without capabilities, less
# what only helps to attack a kernel (keyrings, ptrace, io_uring, bpf, mounting, namespaces).
# A call that is on neither list does not exist (ENOSYS), so that a C library newer than this
# list falls back to an older call.
ALLOWED = """
accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup
dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr
flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait
futex_waitv futex_wake futimesat get_mempolicy get_robust_list get_thread_area getcpu getcwd
getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid
getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1
inotify_rm_watch io_cancel io_destroy io_getevents io_setup io_submit ioctl ioprio_get ioprio_set
kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat
listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack mbind
membarrier memfd_create mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect
mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget
msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2 pause
pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl
pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2
restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select
semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_mempolicy set_robust_list
set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority
setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl
shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink
symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times
tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid
write writev
"""

# Known calls that are refused as a container without capabilities refuses them: EPERM.
REFUSED = """
acct add_key adjtimex bpf chroot clock_adjtime clock_settime delete_module fanotify_init
finit_module fsconfig fsmount fsopen fspick init_module io_uring_enter io_uring_register
io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie migrate_pages
mount mount_setattr move_mount move_pages name_to_handle_at open_by_handle_at open_tree
perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace
quotactl quotactl_fd reboot request_key setdomainname sethostname setns settimeofday swapoff
swapon sysfs syslog umount2 unshare uselib userfaultfd ustat vhangup
"""

_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (sched.h)."""
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""What a C library asks for: Linux, and 32 bits, with or without randomised addresses; a look."""
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
"""Not AF_VSOCK: it reaches the hypervisor past every network namespace."""
_TERMINAL_INPUT = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: type into the terminal outside (CVE-2017-5226, CVE-2023-28100)."""

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EQUAL, _MASKED_EQUAL = 4, 7


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One call's treatment; `when` compares arguments: (index, operator, datum, datum)."""

    name: str
    action: int
    when: tuple[tuple[int, int, int, int], ...] = ()


def filters(cache: Path) -> tuple[bytes, ...] | None:
    """Return the compiled filters, from the folder `cache` if it has them.

    All of them apply to a run: the kernel takes the strictest answer. None when libseccomp is
    not installed.
    """
    programs = (
        (_ERRNO | errno.ENOSYS, _whitelist()),
        # A filter of its own: beside an unconditional rule libseccomp drops a conditional one.
        (_ALLOW, _terminal()),
    )
    library: ctypes.CDLL | None = None
    compiled = []
    for default, rules in programs:
        key = hashlib.sha256(repr((os.uname().machine, default, rules)).encode()).hexdigest()
        path = cache / f"{key}.bpf"
        if not path.is_file():
            library = library or _library()
            if library is None:
                return None
            write_atomic(path, _compiled(library, default, rules))
        compiled.append(path.read_bytes())
    return tuple(compiled)


def _whitelist() -> tuple[Rule, ...]:
    refuse = _ERRNO | errno.EPERM
    rules = [Rule(name=name, action=_ALLOW) for name in ALLOWED.split()]
    rules += [Rule(name=name, action=refuse) for name in REFUSED.split()]
    rules += [
        # Its flags lie in memory, where no filter can read them: use clone instead.
        Rule(name="clone3", action=_ERRNO | errno.ENOSYS),
        Rule(name="clone", action=_ALLOW, when=((0, _MASKED_EQUAL, _NAMESPACES, 0),)),
    ]
    rules += [
        Rule(name="personality", action=_ALLOW, when=((0, _EQUAL, value, 0),))
        for value in _PERSONALITIES
    ]
    rules += [
        Rule(name="socket", action=_ALLOW, when=((0, _EQUAL, int(family), 0),))
        for family in _FAMILIES
    ]
    return tuple(rules)


def _terminal() -> tuple[Rule, ...]:
    # The kernel reads 32 bits of the request; a filter sees 64.
    return tuple(
        Rule(
            name="ioctl",
            action=_ERRNO | errno.EPERM,
            when=((1, _MASKED_EQUAL, 0xFFFFFFFF, request),),
        )
        for request in _TERMINAL_INPUT
    )


def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_release.restype = None
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    )
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return library


def _compiled(library: ctypes.CDLL, default: int, rules: Iterable[Rule]) -> bytes:
    context = library.seccomp_init(default)
    if not context:
        raise MemoryError("seccomp_init")
    try:
        for rule in rules:
            if rule.action == default:
                continue  # libseccomp refuses to be told twice
            number = library.seccomp_syscall_resolve_name(rule.name.encode())
            if number == -1:
                continue  # a call that this libseccomp does not know does not exist: ENOSYS
            count = len(rule.when)
            comparisons = (_Comparison * max(1, count))(*(_Comparison(*when) for when in rule.when))
            code = library.seccomp_rule_add_array(context, rule.action, number, count, comparisons)
            if code:
                raise OSError(-code, f"libseccomp refuses the rule for {rule.name}")
        with os.fdopen(os.memfd_create("filter"), "w+b") as file:
            code = library.seccomp_export_bpf(context, file.fileno())
            if code:
                raise OSError(-code, "libseccomp cannot write its filter")
            file.seek(0)
            return file.read()
    finally:
        library.seccomp_release(context)
