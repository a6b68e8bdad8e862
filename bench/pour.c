/* Writes lines to standard output as fast as they are taken.
 *
 *   pour BYTES               so many bytes (rounded up to blocks of 64 KiB)
 *   pour BEGIN END FILE      from BEGIN to END, both CLOCK_MONOTONIC in
 *                            milliseconds; appends to FILE, as a line, how many
 *                            bytes that were, and in how many milliseconds: it
 *                            may have been started too late
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { block_bytes = 65536, line_bytes = 64 };

static char block[block_bytes];

static long long milliseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static long long pour_block(void) {
  const ssize_t wrote = write(1, block, sizeof block);
  if (wrote < 0)
    exit(1);
  return wrote;
}

int main(int argc, char** argv) {
  memset(block, '.', sizeof block);
  for (int i = line_bytes - 1; i < block_bytes; i += line_bytes)
    block[i] = '\n';
  long long bytes = 0;
  if (argc == 2) {
    while (bytes < atoll(argv[1]))
      bytes += pour_block();
    return 0;
  }
  if (argc != 4) {
    fprintf(stderr, "usage: pour BYTES | pour BEGIN END FILE\n");
    return 2;
  }
  const long long begin = atoll(argv[1]);
  const struct timespec start = {begin / 1000, begin % 1000 * 1000000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &start, NULL);
  const long long end = atoll(argv[2]);
  const long long time = end - milliseconds();
  while (milliseconds() < end)
    bytes += pour_block();
  char line[64];
  const int size = snprintf(line, sizeof line, "%lld %lld\n", bytes, time);
  const int file = open(argv[3], O_WRONLY | O_APPEND | O_CREAT, 0600);
  return write(file, line, (size_t)size) == size ? 0 : 1;
}
