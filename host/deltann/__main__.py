"""The command `deltann`, also as `python -m deltann`, where packages that it needs may be missing."""

import sys

from deltann.core.errors import MissingPackageError


def main() -> None:
    """Run the command line; a package that is not installed ends it with words, not a traceback.

    A board has only what its agent needs, so even the words of the command line may be missing there.
    """
    try:
        from deltann.cli.app import main as run

        run()
    except ModuleNotFoundError as error:
        package = (error.name or "deltann").partition(".")[0]
        if package.startswith("deltann"):
            raise  # a module of ours is a defect
        missing = MissingPackageError(
            f"the package {package} is not installed", hint="Run: pip install 'deltann[host]'"
        )
        sys.stderr.write(f"error: {missing}\n")
        sys.exit(missing.exit_code)


if __name__ == "__main__":
    main()
