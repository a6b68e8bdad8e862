"""A node that root starts has to be allowed to be root by its configuration. What
starts nodes for a while, to try something, is often root: in containers, say."""

import functools
import os
import subprocess


@functools.cache
def allow_root(program):
    """The line that allows it. None is needed for others, and the versions before this
    setting refuse it."""
    if os.geteuid() != 0:
        return ""
    known = subprocess.run([program, "config", "check", "--config", "/dev/null"],
                           capture_output=True, text=True, check=False, timeout=60)
    return "allow-root: true\n" if "allow-root" in known.stdout else ""
