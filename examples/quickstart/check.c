/* The tests of this program; the exit code is the number of failures. */
#include "sale.h"
#include "stats.h"

#include <stdio.h>
#include <string.h>

static int checks;
static int failures;

static void check(int good, const char* what) {
  ++checks;
  if (good)
    return;
  ++failures;
  fprintf(stderr, "failed: %s\n", what);
}

#define CHECK(condition) check(condition, #condition)

int main(void) {
  struct sale sale;
  CHECK(parse_sale("2024-05-01,north,tea,3,2.50\n", &sale));
  CHECK(strcmp(sale.region, "north") == 0);
  CHECK(strcmp(sale.product, "tea") == 0);
  CHECK(sale.quantity == 3 && sale.price == 2.5);
  CHECK(!parse_sale("date,region,product,quantity,price\n", &sale));
  CHECK(!parse_sale("2024-05-01,north,tea,0,2.50\n", &sale));
  CHECK(!parse_sale("2024-05-01,north,tea,3,2.50,more\n", &sale));
  CHECK(!parse_sale("", &sale));

  double odd[] = {5, 1, 3};
  double even[] = {4, 1, 3, 2};
  CHECK(median(odd, 3) == 3);
  CHECK(median(even, 4) == 2.5);
  CHECK(median(odd, 0) == 0);
  CHECK(sum(even, 4) == 10 && sum(even, 0) == 0);

  printf("%d checks, %d failures\n", checks, failures);
  return failures;
}
