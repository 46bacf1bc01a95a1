import pytest
import report_runs


@pytest.fixture(scope="session")
def rich():
    """A run with a bit of everything, and its comparison."""
    data = report_runs.rich_run()
    return data, report_runs.compare(data)
