/* summary REGION < sales.csv
 *
 * Prints REGION=ORDERS REVENUE MEDIAN, in columns: what a step of a workflow
 * appends to its outputs. */
#include "sale.h"
#include "stats.h"

#include <stdio.h>
#include <string.h>

enum { most_orders = 10000 };

int main(int argc, char** argv) {
  static double orders[most_orders];
  size_t count = 0;
  char line[256];
  struct sale sale;

  if (argc != 2) {
    fprintf(stderr, "usage: summary REGION < sales.csv\n");
    return 2;
  }
  for (int number = 1; fgets(line, sizeof line, stdin) != NULL; ++number) {
    if (!parse_sale(line, &sale)) {
      if (number == 1)
        continue; /* the names of the columns */
      fprintf(stderr, "line %d is not a sale: %s", number, line);
      return 1;
    }
    if (strcmp(sale.region, argv[1]) != 0)
      continue;
    if (count == most_orders) {
      fprintf(stderr, "more than %d orders\n", most_orders);
      return 1;
    }
    orders[count++] = sale.quantity * sale.price;
  }
  const double revenue = sum(orders, count);
  printf("%s=%6zu %10.2f %8.2f\n", argv[1], count, revenue,
         median(orders, count));
  return 0;
}
