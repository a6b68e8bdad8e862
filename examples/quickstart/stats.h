#ifndef STATS_H
#define STATS_H

#include <stddef.h>

double sum(const double *values, size_t count);

/* Sorts `values`. The median of none is 0. */
double median(double *values, size_t count);

#endif
