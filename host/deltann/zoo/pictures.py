"""Labelled photographs that come with packages."""

from dataclasses import dataclass
from pathlib import Path

from deltann.core.errors import MissingPackageError
from deltann.zoo import packages


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Labelled ImageNet photographs that come with a package.

    Attributes
    ----------
    package, extra
        The distribution that has them, and the extra of `deltann` that installs it.
    pattern
        Glob of the files in the package; a name ends in `_` and the class number, 0..999.
    """

    name: str
    description: str
    package: str
    extra: str
    pattern: str

    def files(self) -> tuple[Path, ...]:
        """Return the photographs, sorted by name. Imports nothing.

        Raises
        ------
        MissingPackageError
            If the package is not installed.
        """
        folder = packages.package_folder(self.package)
        if folder is None:
            raise MissingPackageError(
                f"the images {self.name} come with the package {self.package}",
                hint=f"Run: pip install 'deltann[{self.extra}]'",
            )
        return tuple(sorted(folder.glob(self.pattern)))


PICTURE_SETS: dict[str, PictureSet] = {
    "foolbox": PictureSet(
        name="foolbox",
        description="20 labelled ImageNet photographs",
        package="foolbox",
        extra="zoo",
        pattern="data/imagenet_*_*.jpg",
    )
}
