"""Apply a policy to this very process. The order matters: each step still needs what a later one takes."""

import errno
import os
from typing import NamedTuple

from envcli_sandbox.errors import SandboxUnavailableError
from envcli_sandbox.policy import Policy
from envcli_sandbox.restrictions.landlock import landlock_abi, restrict_files
from envcli_sandbox.restrictions.privileges import (
    deny_new_privileges,
    die_with_parent,
    drop_capabilities,
    hide_memory,
)
from envcli_sandbox.restrictions.rlimits import restrict_resources
from envcli_sandbox.restrictions.seccomp import build_filter, install_filter
from envcli_sandbox.restrictions.syscalls import SyscallTable, load_table


class Restricted(NamedTuple):
    """What is in force now.

    Attributes:
        mechanisms: names for the record.
        listener: descriptor that reports refused system calls, or None.
    """

    mechanisms: tuple[str, ...]
    listener: int | None


def restrict(policy: Policy) -> Restricted:
    """Restrict this process as ``policy`` says: limits, privileges, files, system calls.

    Raises:
        SandboxUnavailableError: the kernel lacks what the policy needs.
        OSError: the kernel refused a step.
    """
    table = load_table()
    abi = min(policy["landlock_abi"], landlock_abi(table))
    if abi < 1:
        raise SandboxUnavailableError("Landlock is not enabled in this kernel")
    os.chdir(policy["scratch"])
    os.umask(0o077)
    die_with_parent(policy["parent"])
    restrict_resources(**policy["limits"])
    drop_capabilities(table)
    deny_new_privileges()
    hide_memory()
    restrict_files(
        table,
        abi=abi,
        machine=policy["machine"],
        hidden=policy["hidden"],
        readable=policy["readable"],
        writable=(policy["scratch"], *policy["writable"]),
    )
    listener = _restrict_calls(table, abi, notify=policy["notify"])
    reporting = "seccomp-report" if listener is not None else "seccomp"
    return Restricted(("rlimits", "no-capabilities", f"landlock-{abi}", reporting), listener)


def _restrict_calls(table: SyscallTable, abi: int, *, notify: bool) -> int | None:
    """Install the filter, with a listener if it can be had."""
    if notify:
        program = build_filter(table, process=os.getpid(), landlock_abi=abi, notify=True)
        try:
            return install_filter(table, program, listen=True)
        except OSError as error:
            if error.errno not in {errno.EBUSY, errno.EINVAL}:  # a filter around us listens, or an old kernel
                raise
    program = build_filter(table, process=os.getpid(), landlock_abi=abi, notify=False)
    return install_filter(table, program, listen=False)
