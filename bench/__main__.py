"""`python -m bench` runs every benchmark; `python -m bench emit sink` only those."""

import argparse
import importlib
import pkgutil
import sys
from types import ModuleType

import bench
from bench.report import write_report


def benchmarks() -> dict[str, ModuleType]:
    names = sorted(item.name for item in pkgutil.iter_modules(bench.__path__))
    modules = {
        name: importlib.import_module(f"bench.{name}") for name in names if name != "__main__"
    }
    return {name: module for name, module in modules.items() if hasattr(module, "run")}


def main() -> int:
    known = benchmarks()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(known)} (default: all)")
    names = parser.parse_args().names or list(known)
    if unknown := set(names) - set(known):
        parser.error(f"no benchmark called {', '.join(sorted(unknown))}; have {', '.join(known)}")
    for name in names:
        print(f"{name}: running", file=sys.stderr)
        print(write_report(name, known[name].run()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
