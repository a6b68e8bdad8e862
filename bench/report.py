#!/usr/bin/env python3
"""Writes what the themes have measured into docs/benchmarks.md.

    bench/report.py [--results FOLDER] [--document FILE] [--print] [THEME...]

Each theme (bench/theme_NAME.py) leaves NAME.json in build/bench. What stands
between `<!-- bench:NAME -->` and `<!-- /bench -->` in the document is replaced by
it. A theme without such a place gets a section at the end; one without a file
keeps what it has. All other text is left alone. --print only shows the sections.
"""

import argparse
import json
import re
import sys
import textwrap
from pathlib import Path

from rivals import GOAL_COLUMNS, ROOT, as_markdown, goal_rows

WIDTH = 88


def wrapped(text, first="", rest=""):
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest,
                         break_long_words=False, break_on_hyphens=False)


def section(told):
    """The lines between the marks."""
    machine = told["machine"]
    lines = ["```sh", told["command_line"], "```", ""]
    lines += wrapped(
        f'{machine["processors"]} processors ({machine["model"]}), Linux '
        f'{machine["kernel"]}, {machine["distribution"]}; {told["build"]} build of '
        f'commit {told["commit"]}, {told["date"]}; medians of {told["rounds"]} '
        'rounds in which the rivals took turns, and ratios within a round.')
    for table in told["tables"]:
        lines += ["", *wrapped(table["title"] + ":"), "",
                  *as_markdown(table["columns"], table["rows"])]
    if told["notes"]:
        lines.append("")
        for note in told["notes"]:
            lines += wrapped(note, "- ", "  ")
    if told["goals"]:
        lines += ["", "What we want to reach:", "",
                  *as_markdown(GOAL_COLUMNS, goal_rows(told["goals"]))]
    return "\n".join(lines)


def put(document, told):
    """The document with what a theme has told."""
    mark = f'<!-- bench:{told["theme"]} -->'
    filled = f"{mark}\n{section(told)}\n<!-- /bench -->"
    place = re.compile(re.escape(mark) + r".*?<!-- /bench -->", re.DOTALL)
    if place.search(document):
        return place.sub(lambda _: filled, document, count=1)
    return f'{document.rstrip()}\n\n## {told["title"]}\n\n{filled}\n'


def read_results(folder, themes):
    paths = ([folder / f"{theme}.json" for theme in themes]
             or sorted(folder.glob("*.json")))
    if not paths:
        sys.exit(f"report: no results in {folder}; see bench/run.sh")
    try:
        return [json.loads(path.read_text()) for path in paths]
    except OSError as error:
        sys.exit(f"report: {error}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("themes", nargs="*", metavar="THEME",
                        help="default: all that have results")
    parser.add_argument("--results", type=Path, default=ROOT / "build/bench")
    parser.add_argument("--document", type=Path,
                        default=ROOT / "docs/benchmarks.md")
    parser.add_argument("--print", action="store_true", dest="is_printed",
                        help="write nothing")
    options = parser.parse_args()
    results = read_results(options.results, options.themes)
    if options.is_printed:
        for told in results:
            print(f'## {told["title"]}\n\n{section(told)}\n')
        return
    document = options.document.read_text()
    for told in results:
        document = put(document, told)
    options.document.write_text(document)


if __name__ == "__main__":
    main()
