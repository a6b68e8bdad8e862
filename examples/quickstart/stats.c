#include "stats.h"

#include <stdlib.h>

static int compare(const void* a, const void* b) {
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return (x > y) - (x < y);
}

double sum(const double* values, size_t count) {
  double total = 0;
  for (size_t i = 0; i < count; ++i)
    total += values[i];
  return total;
}

double median(double* values, size_t count) {
  if (count == 0)
    return 0;
  qsort(values, count, sizeof *values, compare);
  if (count % 2 == 1)
    return values[count / 2];
  return (values[count / 2 - 1] + values[count / 2]) / 2;
}
