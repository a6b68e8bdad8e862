#include "sale.h"

#include <stdio.h>

int parse_sale(const char* line, struct sale* out) {
  int length = 0;
  const int fields =
      sscanf(line, "%*10[0-9-],%15[a-z],%15[a-z],%d,%lf%n", out->region,
             out->product, &out->quantity, &out->price, &length);
  if (fields != 4 || out->quantity < 1 || out->price < 0)
    return 0;
  return line[length] == '\0' || line[length] == '\n';
}
