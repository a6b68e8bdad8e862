/* A disk that keeps on a power cut only what was synced, for one node. To be
 * preloaded (LD_PRELOAD) into the program that has its database in the folder
 * that VOLATILE_DISK names; volatile_disk.py compiles it and cuts the power.
 *
 * It stands between SQLite and libc and does what is asked, but keeps in the
 * subfolder `unsynced` what it takes to undo that:
 *
 *   NAME.undo       what each change of the file NAME is about to overwrite:
 *                   struct Change, then `kept` bytes; empty after a sync
 *   synced/NAME     a hard link to the file that had this name when the folder
 *                   was synced last, if there was one
 *   synced_inodes   other files that were synced, by numbers of 8 bytes
 *   control         struct Control
 *
 * All is kept before it is done, so that a SIGKILL may come at any moment: to
 * undo what has not happened changes nothing. Changes by mmap are not seen; a
 * database in exclusive mode has none. What the program starts is not to have
 * this library, which takes itself out of the environment.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "the functions with 64 are the same");

/* Files whose changes are kept; as in volatile_disk.py. */
static const char* const logged[] = {"store.db", "store.db-wal",
                                     "store.db-journal"};
enum { logged_count = sizeof logged / sizeof logged[0] };

/* Files of which the folder says whether they are there. */
static const char* const named[] = {"store.db", "store.db-wal",
                                    "store.db-journal", "paused"};
enum { named_count = sizeof named / sizeof named[0] };

enum { most_kept = 64 << 10 };

static const uint64_t magic = 0x6f646e752e6b7364; /* "dsk.undo" */

/* As volatile_disk.py reads it. */
struct Change {
  uint64_t magic;
  uint64_t inode;
  uint64_t offset; /* Of what changes, */
  uint64_t span;   /* and its size. */
  uint64_t size;   /* Of the file before. */
  uint64_t kept;   /* So many bytes were there; they follow. */
};

/* As volatile_disk.py writes it. */
struct Control {
  _Atomic int32_t lies;  /* A sync does nothing and succeeds. */
  _Atomic int32_t steps; /* Before the last of so many: SIGKILL. 0: none. */
};

static char folder[PATH_MAX]; /* Empty: nothing is watched. */
static int logs[logged_count];
static int others = -1;
static struct Control* control;
static int is_repaired;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* What is called here has the names of what is called instead of libc. */
static ssize_t (*next_write)(int, const void*, size_t);
static ssize_t (*next_pwrite)(int, const void*, size_t, off_t);
static int (*next_ftruncate)(int, off_t);
static int (*next_fsync)(int);
static int (*next_fdatasync)(int);
static int (*next_unlink)(const char*);

static void find_next(void) {
  next_pwrite = dlsym(RTLD_NEXT, "pwrite");
  next_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
  next_fsync = dlsym(RTLD_NEXT, "fsync");
  next_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  next_unlink = dlsym(RTLD_NEXT, "unlink");
  next_write = dlsym(RTLD_NEXT, "write");
}

/* A failure of the library itself must not look like one of the node. */
static void require(int is_true, const char* what) {
  if (is_true)
    return;
  perror(what);
  abort();
}

static void below_folder(char* path, const char* prefix, const char* name) {
  require(snprintf(path, PATH_MAX, "%s/%s%s", folder, prefix, name) < PATH_MAX,
          "volatile_disk: the folder");
}

static int open_below(const char* name, const char* suffix, int flags) {
  char path[PATH_MAX];
  char whole[64];
  snprintf(whole, sizeof whole, "%s%s", name, suffix);
  below_folder(path, "unsynced/", whole);
  const int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
  require(fd >= 0, path);
  return fd;
}

/* All that is opened here is opened now: later on there may be no room for
 * another descriptor. */
__attribute__((constructor)) static void begin(void) {
  const char* const given = getenv("VOLATILE_DISK");
  find_next();
  if (given == NULL)
    return;
  require(strlen(given) < PATH_MAX / 2, "VOLATILE_DISK");
  strcpy(folder, given);
  for (int i = 0; i < logged_count; ++i)
    logs[i] = open_below(logged[i], ".undo", O_RDWR | O_APPEND);
  others = open_below("synced_inodes", "", O_WRONLY | O_APPEND);
  const int fd = open_below("control", "", O_RDWR);
  control =
      mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  require(control != MAP_FAILED, "volatile_disk: control");
  close(fd);
  unsetenv("LD_PRELOAD");
  unsetenv("VOLATILE_DISK");
}

/* Before each change and each sync. */
static void step(void) {
  int32_t steps = atomic_load(&control->steps);
  while (steps > 0 &&
         !atomic_compare_exchange_weak(&control->steps, &steps, steps - 1)) {
  }
  if (steps == 1)
    kill(getpid(), SIGKILL);
}

/* A process before this one may have been killed while it wrote its last
 * record. Not sooner than the first change, when it is certain to be gone. */
static void repair_logs(void) {
  if (is_repaired)
    return;
  is_repaired = 1;
  for (int i = 0; i < logged_count; ++i) {
    struct stat log;
    struct Change change;
    off_t end = 0;
    require(fstat(logs[i], &log) == 0, "volatile_disk: log");
    while (pread(logs[i], &change, sizeof change, end) == sizeof change &&
           end + (off_t)(sizeof change + change.kept) <= log.st_size)
      end += (off_t)(sizeof change + change.kept);
    if (end < log.st_size)
      next_ftruncate(logs[i], end);
  }
}

/* The path of an open file from the folder on, which itself is "". NULL if it
 * is not below the folder. */
static const char* name_of(int fd, char* path) {
  char link[64];
  const size_t length = strlen(folder);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, PATH_MAX - 1);
  if (length == 0 || size <= 0)
    return NULL;
  path[size] = '\0';
  if (strncmp(path, folder, length) != 0)
    return NULL;
  if (path[length] == '/')
    return path + length + 1;
  return path[length] == '\0' ? path + length : NULL;
}

/* The index of the log of an open file; negative if it has none. */
static int log_of(int fd) {
  char path[PATH_MAX];
  struct stat file;
  if (folder[0] == '\0' || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
    return -1;
  const char* const name = name_of(fd, path);
  for (int i = 0; name != NULL && i < logged_count; ++i) {
    if (strcmp(name, logged[i]) == 0)
      return i;
  }
  return -1;
}

/* All of a record or nothing of it. */
static int add_record(int log, struct Change* change, char* kept) {
  const struct iovec pieces[2] = {{change, sizeof *change},
                                  {kept, change->kept}};
  struct stat before;
  require(fstat(log, &before) == 0, "volatile_disk: log");
  if (writev(log, pieces, 2) == (ssize_t)(sizeof *change + change->kept))
    return 0;
  next_ftruncate(log, before.st_size);
  errno = ENOSPC;
  return -1;
}

/* Keeps `span` bytes at `offset`, which are about to change. */
static int keep(int fd, int log, uint64_t offset, uint64_t span) {
  static char kept[most_kept];
  struct stat file;
  require(fstat(fd, &file) == 0, "volatile_disk: file");
  const uint64_t size = (uint64_t)file.st_size;
  repair_logs();
  while (span > 0) {
    struct Change change = {magic, file.st_ino, offset, span, size, 0};
    if (change.span > most_kept)
      change.span = most_kept;
    if (offset < size)
      change.kept = size - offset < change.span ? size - offset : change.span;
    require(pread(fd, kept, change.kept, (off_t)offset) == (ssize_t)change.kept,
            "volatile_disk: file");
    if (add_record(logs[log], &change, kept) != 0)
      return -1;
    offset += change.span;
    span -= change.span;
  }
  step();
  return 0;
}

/* Likewise, of a file that is about to have `size`. */
static int keep_rest(int fd, int log, uint64_t size) {
  struct stat file;
  require(fstat(fd, &file) == 0, "volatile_disk: file");
  const uint64_t before = (uint64_t)file.st_size;
  return size < before ? keep(fd, log, size, before - size)
                       : keep(fd, log, before, size - before);
}

static void note_names(void) {
  char from[PATH_MAX];
  char to[PATH_MAX];
  char fresh[PATH_MAX];
  below_folder(fresh, "unsynced/synced/", "fresh");
  for (int i = 0; i < named_count; ++i) {
    below_folder(from, "", named[i]);
    below_folder(to, "unsynced/synced/", named[i]);
    next_unlink(fresh);
    if (link(from, fresh) == 0)
      rename(fresh, to);
    else
      next_unlink(to);
  }
  next_unlink(fresh); /* Both were the same file, then it is left. */
}

/* What is there of this file, or of these names, will be there. */
static void note_sync(int fd, const char* name) {
  const int log = log_of(fd);
  struct stat file;
  if (log >= 0) {
    next_ftruncate(logs[log], 0);
  } else if (name[0] == '\0') {
    note_names();
  } else if (fstat(fd, &file) == 0) {
    const uint64_t inode = file.st_ino;
    (void)!next_write(others, &inode, sizeof inode);
  }
}

static int sync_by(int (*next)(int), int fd) {
  char path[PATH_MAX];
  const char* const name = name_of(fd, path);
  if (name == NULL)
    return next(fd);
  step();
  if (atomic_load(&control->lies))
    return 0;
  /* Nothing changes between a sync and its being noted. */
  pthread_mutex_lock(&mutex);
  const int result = next(fd);
  if (result == 0)
    note_sync(fd, name);
  pthread_mutex_unlock(&mutex);
  return result;
}

/* -- What is called instead of libc ---------------------------------------- */

ssize_t pwrite(int fd, const void* from, size_t size, off_t at) {
  const int log = log_of(fd);
  if (log < 0)
    return next_pwrite(fd, from, size, at);
  pthread_mutex_lock(&mutex);
  const ssize_t result = keep(fd, log, (uint64_t)at, size) == 0
                             ? next_pwrite(fd, from, size, at)
                             : -1;
  pthread_mutex_unlock(&mutex);
  return result;
}

ssize_t pwrite64(int fd, const void* from, size_t size, off64_t at) {
  return pwrite(fd, from, size, at);
}

ssize_t write(int fd, const void* from, size_t size) {
  if (next_write == NULL)
    find_next(); /* Before our constructor, that of another library. */
  if (log_of(fd) < 0)
    return next_write(fd, from, size);
  const ssize_t result = pwrite(fd, from, size, lseek(fd, 0, SEEK_CUR));
  if (result > 0)
    lseek(fd, result, SEEK_CUR);
  return result;
}

int ftruncate(int fd, off_t size) {
  const int log = log_of(fd);
  if (log < 0)
    return next_ftruncate(fd, size);
  pthread_mutex_lock(&mutex);
  const int result =
      keep_rest(fd, log, (uint64_t)size) == 0 ? next_ftruncate(fd, size) : -1;
  pthread_mutex_unlock(&mutex);
  return result;
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int fsync(int fd) { return sync_by(next_fsync, fd); }

int fdatasync(int fd) { return sync_by(next_fdatasync, fd); }

/* The number of a file that is gone for good may become that of the next one,
 * with which what was kept has nothing to do. */
int unlink(const char* path) {
  const size_t length = strlen(folder);
  struct stat file;
  if (length > 0 && strncmp(path, folder, length) == 0 && path[length] == '/' &&
      lstat(path, &file) == 0 && file.st_nlink == 1) {
    for (int i = 0; i < logged_count; ++i) {
      if (strcmp(path + length + 1, logged[i]) == 0)
        next_ftruncate(logs[i], 0);
    }
  }
  return next_unlink(path);
}
