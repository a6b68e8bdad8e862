#!/usr/bin/env python3
"""Prints sales.csv: a thousand made-up orders, the same ones every time."""

REGIONS = ["north", "east", "south", "west"]
PRICES = {"tea": 3.20, "coffee": 4.75, "cocoa": 5.10, "juice": 2.60}


def main():
    state = 2024

    def pick(most):
        nonlocal state
        state = (state * 1103515245 + 12345) % 2**31
        return (state >> 16) % most

    print("date,region,product,quantity,price")
    for order in range(1000):
        date = f"2024-{order // 84 + 1:02}-{order % 28 + 1:02}"
        region = REGIONS[pick(len(REGIONS))]
        product = sorted(PRICES)[pick(len(PRICES))]
        print(f"{date},{region},{product},{pick(12) + 1},{PRICES[product]:.2f}")


main()
