/* Makes a program heavy, to see whether that makes it slow. Preloaded:
 *
 *   LD_PRELOAD=ballast.so BALLAST=NAME:MIB PROGRAM
 *
 * A program of that NAME gets so much more memory, all of it touched, before
 * its main(). Others that load this are left alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

__attribute__((constructor)) static void take(void) {
  char name[64];
  size_t mib = 0;
  const char* what = getenv("BALLAST");
  if (what == NULL || sscanf(what, "%63[^:]:%zu", name, &mib) != 2 ||
      mib == 0 || strcmp(name, program_invocation_short_name) != 0)
    return;
  const size_t bytes = mib << 20;
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    abort();
  for (size_t i = 0; i < bytes; i += 4096)
    memory[i] = 1;
}
