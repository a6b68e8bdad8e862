/* What a launcher of one thread reaches that does nothing else: starts COMMAND
 * N times, J at a time, with standard output and standard error captured by two
 * pipes, and waits for each by a pidfd. No retries, no time-outs, no trees. On
 * a busy machine a launcher of several threads can be faster.
 *
 *   raw_spawn N J COMMAND [ARG...]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { max_parallel = 1024 };

extern char** environ;

struct slot {
  int pidfd; /* -1 if the slot is free */
  int out;
  int err;
};

static void die(const char* what, int error) {
  fprintf(stderr, "raw_spawn: %s: %s\n", what, strerror(error));
  exit(125);
}

static void start(struct slot* slot, char** argv) {
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
    die("pipe2", errno);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);

  pid_t pid;
  const int error =
      posix_spawnp(&pid, argv[0], &actions, &attributes, argv, environ);
  if (error != 0)
    die(argv[0], error);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  close(err[1]);

  slot->out = out[0];
  slot->err = err[0];
  slot->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (slot->pidfd < 0)
    die("pidfd_open", errno);
}

/* Reads what there is. A stream at its end is closed and becomes -1. */
static void drain(int* fd) {
  static char buffer[65536];
  const ssize_t got = read(*fd, buffer, sizeof buffer);
  if (got == 0 || (got < 0 && errno != EINTR)) {
    close(*fd);
    *fd = -1;
  }
}

/* A slot is free again once the command has ended and both streams have. */
static void finish(struct slot* slot) {
  siginfo_t info;
  if (waitid(P_PIDFD, (id_t)slot->pidfd, &info, WEXITED) != 0)
    die("waitid", errno);
  while (slot->out >= 0)
    drain(&slot->out);
  while (slot->err >= 0)
    drain(&slot->err);
  close(slot->pidfd);
  slot->pidfd = -1;
}

int main(int argc, char** argv) {
  const long total = argc > 3 ? atol(argv[1]) : 0;
  const int parallel = argc > 3 ? atoi(argv[2]) : 0;
  if (total < 1 || parallel < 1 || parallel > max_parallel) {
    fprintf(stderr, "usage: raw_spawn N J COMMAND [ARG...]\n");
    return 2;
  }

  static struct slot slots[max_parallel];
  static struct pollfd events[3 * max_parallel];
  for (int i = 0; i < parallel; ++i)
    slots[i].pidfd = slots[i].out = slots[i].err = -1;

  long started = 0;
  long ended = 0;
  while (ended < total) {
    for (int i = 0; i < parallel && started < total; ++i) {
      if (slots[i].pidfd < 0) {
        start(&slots[i], argv + 3);
        ++started;
      }
    }
    /* poll() skips negative descriptors. */
    for (int i = 0; i < parallel; ++i) {
      events[3 * i].fd = slots[i].pidfd;
      events[3 * i + 1].fd = slots[i].out;
      events[3 * i + 2].fd = slots[i].err;
      events[3 * i].events = events[3 * i + 1].events =
          events[3 * i + 2].events = POLLIN;
    }
    if (poll(events, (nfds_t)(3 * parallel), -1) < 0 && errno != EINTR)
      die("poll", errno);
    for (int i = 0; i < parallel; ++i) {
      if (events[3 * i + 1].revents != 0 && slots[i].out >= 0)
        drain(&slots[i].out);
      if (events[3 * i + 2].revents != 0 && slots[i].err >= 0)
        drain(&slots[i].err);
      if (events[3 * i].revents != 0 && slots[i].pidfd >= 0) {
        finish(&slots[i]);
        ++ended;
      }
    }
  }
  return 0;
}
