/* The limit of the machine: a launcher that does nothing else. It starts
 * COMMAND N times, J at a time, with standard output and standard error
 * captured by two pipes, waits for each by a pidfd and takes its rusage. No
 * retries, no time-outs, no trees.
 *
 *   raw_spawn [-w W] [-c] N J COMMAND [ARG...]
 *   raw_spawn [-w W] [-c] -l J COMMAND [ARG...] <LINES
 *
 *   -w W   launching processes, which share the J places; default: one for each
 *          processor, as one that starts a program sleeps until its exec
 *   -c     writes what was captured to standard output; otherwise it is dropped
 *   -l     once for each line of standard input, which is put behind ARG
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { stack_bytes = 65536, most_arguments = 256, events_at_once = 64 };
enum kind { ended, out, err, kinds };

extern char** environ;

struct place {
  int fds[kinds]; /* -1 when it is closed */
  int left;       /* how many are open; 0 if the place is free */
  int is_wide;    /* its pipe has been made larger */
};

struct start {
  char** argv;
  int out;
  int err;
  volatile int error;
};

static const char* path;
static char* words[most_arguments + 2];
static int word_count;
static char** lines;
static long total;
static atomic_long* taken; /* shared by all launching processes */
static int is_copied;
static int null_fd;
static char buffer[65536];
static char stack[stack_bytes] __attribute__((aligned(16)));

static void die(const char* what, int error) {
  fprintf(stderr, "raw_spawn: %s: %s\n", what, strerror(error));
  exit(125);
}

/* Shares our memory until its exec, during which we stand still. */
static int child(void* argument) {
  struct start* start = argument;
  if (setpgid(0, 0) == 0 && dup2(null_fd, 0) == 0 && dup2(start->out, 1) == 1 &&
      dup2(start->err, 2) == 2)
    execve(path, start->argv, environ);
  start->error = errno;
  _exit(127);
}

static void watch(int epoll, int fd, uint64_t tag) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    die("epoll_ctl", errno);
}

static void launch(int epoll, struct place* place, uint64_t number, long task) {
  int out_pipe[2];
  int err_pipe[2];
  if (pipe2(out_pipe, O_CLOEXEC) != 0 || pipe2(err_pipe, O_CLOEXEC) != 0)
    die("pipe2", errno);
  if (lines != NULL)
    words[word_count] = lines[task];
  struct start start = {.argv = words, .out = out_pipe[1], .err = err_pipe[1]};
  if (clone(child, stack + stack_bytes,
            CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &start,
            &place->fds[ended]) < 0)
    die("clone", errno);
  if (start.error != 0)
    die(path, start.error);
  close(out_pipe[1]);
  close(err_pipe[1]);
  place->fds[out] = out_pipe[0];
  place->fds[err] = err_pipe[0];
  place->left = kinds;
  place->is_wide = 0;
  for (int kind = 0; kind < kinds; ++kind)
    watch(epoll, place->fds[kind], number * kinds + (uint64_t)kind);
}

/* A child between our waking and its exec's closing of descriptors has the same
 * ones open, so that close() alone would leave them in the epoll set. */
static void finish(int epoll, struct place* place, int kind) {
  epoll_ctl(epoll, EPOLL_CTL_DEL, place->fds[kind], NULL);
  close(place->fds[kind]);
  place->fds[kind] = -1;
  --place->left;
}

static void copy(ssize_t size) {
  for (ssize_t done = 0; is_copied && done < size;) {
    const ssize_t wrote = write(1, buffer + done, (size_t)(size - done));
    if (wrote < 0)
      die("write", errno);
    done += wrote;
  }
}

static void take(int epoll, struct place* place, int kind) {
  if (kind == ended) {
    siginfo_t info;
    struct rusage usage;
    if (syscall(SYS_waitid, P_PIDFD, place->fds[ended], &info, WEXITED,
                &usage) != 0)
      die("waitid", errno);
    finish(epoll, place, kind);
    return;
  }
  const ssize_t got = read(place->fds[kind], buffer, sizeof buffer);
  if (got < 0)
    die("read", errno);
  copy(got);
  if (got == 0)
    finish(epoll, place, kind);
  if (got == sizeof buffer && !place->is_wide)
    place->is_wide = fcntl(place->fds[kind], F_SETPIPE_SZ, 1 << 20) > 0;
}

/* With lines each process has its own, so that all hold equally many. */
static long next_task(int worker, int workers, long* own) {
  if (lines == NULL)
    return atomic_fetch_add(taken, 1);
  return worker + workers * (*own)++;
}

static void work(int worker, int workers, int parallel) {
  struct place* places = calloc((size_t)parallel, sizeof *places);
  int* free_places = calloc((size_t)parallel, sizeof *free_places);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (places == NULL || free_places == NULL || epoll < 0)
    die("work", errno);
  int free_count = parallel;
  for (int i = 0; i < parallel; ++i)
    free_places[i] = i;
  long own = 0;
  long task = next_task(worker, workers, &own);
  while (task < total || free_count < parallel) {
    while (free_count > 0 && task < total) {
      const int place = free_places[--free_count];
      launch(epoll, &places[place], (uint64_t)place, task);
      task = next_task(worker, workers, &own);
    }
    struct epoll_event events[events_at_once];
    const int count = epoll_wait(epoll, events, events_at_once, -1);
    for (int i = 0; i < count; ++i) {
      const int place = (int)(events[i].data.u64 / kinds);
      take(epoll, &places[place], (int)(events[i].data.u64 % kinds));
      if (places[place].left == 0)
        free_places[free_count++] = place;
    }
  }
}

static void read_lines(void) {
  size_t room = 0;
  size_t size = 0;
  char* line = NULL;
  lines = malloc(sizeof *lines);
  for (ssize_t got; (got = getline(&line, &size, stdin)) >= 0; ++total) {
    if (got > 0 && line[got - 1] == '\n')
      line[got - 1] = '\0';
    if ((size_t)total >= room) {
      room = 2 * room + 1024;
      lines = realloc(lines, room * sizeof *lines);
    }
    lines[total] = strdup(line);
  }
  free(line);
}

static const char* find_program(const char* name) {
  static char found[4096];
  const char* folders = getenv("PATH");
  if (strchr(name, '/') != NULL || folders == NULL)
    return name;
  while (*folders != '\0') {
    const size_t length = strcspn(folders, ":");
    snprintf(found, sizeof found, "%.*s/%s", (int)length, folders, name);
    if (access(found, X_OK) == 0)
      return found;
    folders += length + (folders[length] == ':');
  }
  die(name, ENOENT);
  return NULL;
}

static void usage(void) {
  fprintf(stderr,
          "usage: raw_spawn [-w W] [-c] N J COMMAND [ARG...]\n"
          "       raw_spawn [-w W] [-c] -l J COMMAND [ARG...] <LINES\n");
  exit(2);
}

int main(int argc, char** argv) {
  long workers = sysconf(_SC_NPROCESSORS_ONLN);
  int has_lines = 0;
  for (int option; (option = getopt(argc, argv, "+w:cl")) != -1;) {
    if (option == 'w')
      workers = atol(optarg);
    else if (option == 'c')
      is_copied = 1;
    else if (option == 'l')
      has_lines = 1;
    else
      usage();
  }
  argv += optind;
  argc -= optind;
  if (argc < 3 - has_lines)
    usage();
  if (has_lines)
    read_lines();
  else
    total = atol(*argv++);
  const int parallel = atoi(*argv++);
  for (; argv[word_count] != NULL && word_count < most_arguments; ++word_count)
    words[word_count] = argv[word_count];
  if (parallel < 1 || workers < 1 || word_count == 0)
    usage();
  if (workers > parallel)
    workers = parallel;

  path = find_program(words[0]);
  null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  taken = mmap(NULL, sizeof *taken, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (null_fd < 0 || taken == MAP_FAILED)
    die("setup", errno);
  for (int worker = 1; worker < workers; ++worker) {
    const pid_t pid = fork();
    if (pid < 0)
      die("fork", errno);
    if (pid == 0) {
      work(worker, (int)workers,
           parallel / (int)workers + (worker < parallel % workers));
      _exit(0);
    }
  }
  work(0, (int)workers, parallel / (int)workers + (0 < parallel % workers));
  int failed = 0;
  for (int status; wait(&status) > 0;)
    failed |= status;
  return failed == 0 ? 0 : 125;
}
