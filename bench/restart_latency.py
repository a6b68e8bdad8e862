#!/usr/bin/env python3
"""How long it takes from the death of a service to its successor running.

    TROUPE=build/dev/bin/troupe bench/restart_latency.py [SERVICES] [KILLS]

SERVICES (100) services run at once; KILLS (200) of them are killed one after the
other, at random, and each writes the time at which its main() begins. Measured for
`troupe up` and, if it is installed, supervisord (at most 40 kills, since each takes a
second), in turns. Times include what the kernel and the dynamic linker take to start
the program.
"""

import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TROUPE = os.path.realpath(os.environ.get("TROUPE", "build/release/bin/troupe"))
SERVICES = int(sys.argv[1]) if len(sys.argv) > 1 else 100
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 200
LONG = 60

# Appends its process and the time to the file in $BEATS, and waits to be killed.
BEAT = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  char line[64];
  int size = snprintf(line, sizeof line, "%d %lld\n", getpid(),
                      now.tv_sec * 1000000000LL + now.tv_nsec);
  int fd = open(getenv("BEATS"), O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (fd < 0 || write(fd, line, size) != size) return 1;
  close(fd);
  for (;;) pause();
}
"""


class Beats:
    """The starts of all services, as they come."""

    def __init__(self, path):
        path.touch()
        self.file = path.open()
        self.rest = ""
        self.alive = set()

    def read(self):
        self.rest += self.file.readline()
        if not self.rest.endswith("\n"):
            return None
        pid, nanoseconds = map(int, self.rest.split())
        self.rest = ""
        self.alive.add(pid)
        return nanoseconds

    def wait(self, what):
        deadline = time.monotonic() + LONG
        while (nanoseconds := self.read()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            time.sleep(0.0005)  # A beat has its own time; leave the CPUs alone.
        return nanoseconds

    def kill_one(self):
        """Seconds from the kill to the start that follows."""
        pid = random.choice(sorted(self.alive))
        self.alive.remove(pid)
        killed = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        return (self.wait("a restart") - killed) / 1e9


def with_troupe(folder, beat, env):
    stack = folder / "stack.yaml"
    stack.write_text("services:\n  children:\n    beats:\n      intensity: 1000000\n"
                     f"      template: {{ run: {beat} }}\n      replicas: {SERVICES}\n")
    return subprocess.Popen([TROUPE, "up", stack], env=env, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def with_supervisord(folder, beat, env):
    config = folder / "supervisord.conf"
    config.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={folder}/log\npidfile={folder}/pid\n"
        f"childlogdir={folder}\nminfds=8192\n[program:beats]\ncommand={beat}\n"
        f"numprocs={SERVICES}\nprocess_name=%(process_num)s\nstartsecs=0\n"
        "autorestart=true\nstdout_logfile=NONE\nstderr_logfile=NONE\n")
    return subprocess.Popen(["supervisord", "-c", config], env=env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(start, kills, folder, beat):
    folder.mkdir()
    env = os.environ | {"BEATS": str(folder / "beats"), "XDG_RUNTIME_DIR": str(folder),
                        "XDG_STATE_HOME": str(folder / "state")}
    beats = Beats(folder / "beats")
    process = start(folder, beat, env)
    try:
        for _ in range(SERVICES):
            beats.wait("the first start")
        return [beats.kill_one() for _ in range(kills)]
    finally:
        process.terminate()
        process.wait(LONG)


def main():
    rivals = {"troupe up": with_troupe}
    if shutil.which("supervisord"):
        rivals["supervisord"] = with_supervisord
    else:
        print("note: supervisord is not installed; it is left out", file=sys.stderr)
    folder = Path(tempfile.mkdtemp(prefix="rl"))
    try:
        beat = folder / "beat"
        subprocess.run(["cc", "-O2", "-xc", "-", "-o", beat], input=BEAT, text=True,
                       check=True)
        times = {name: [] for name in rivals}
        for turn in range(4):
            for name, start in rivals.items():
                kills = min(KILLS, 40) if name == "supervisord" else KILLS
                times[name] += measure(start, kills // 4, folder / f"{turn}{name[:2]}", beat)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{os.cpu_count()} CPUs, Linux {platform.release()}; {SERVICES} services\n")
    print("| rival | kills | p50 ms | p99 ms | max ms |\n|---|---:|---:|---:|---:|")
    for name, values in times.items():
        values.sort()
        at = [1000 * values[min(int(len(values) * q), len(values) - 1)]
              for q in (0.5, 0.99, 1.0)]
        print(f"| {name} | {len(values)} | {at[0]:.2f} | {at[1]:.2f} | {at[2]:.2f} |")


main()
