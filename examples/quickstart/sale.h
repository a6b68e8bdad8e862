/* One line of sales.csv: date,region,product,quantity,price */
#ifndef SALE_H
#define SALE_H

struct sale {
  char region[16];
  char product[16];
  int quantity;
  double price; /* of one piece */
};

/* Reads one line. Returns 1, or 0 if the line is not a sale. */
int parse_sale(const char *line, struct sale *out);

#endif
