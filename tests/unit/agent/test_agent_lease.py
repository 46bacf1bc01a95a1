import pytest

from deltann_agent.errors import AbsentError, ConflictError, InvalidError
from deltann_agent.lease import LeaseDesk


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def desk(clock):
    return LeaseDesk(clock)


def test_a_second_holder_hears_who_and_for_how_long(desk, clock):
    desk.acquire("ann", 60)
    clock.now += 12
    with pytest.raises(ConflictError, match="held by ann since 12 s; its lease ends in 48 s"):
        desk.acquire("bob", 60)


def test_a_lease_ends_at_its_time_and_not_before(desk, clock):
    lease = desk.acquire("ann", 10)
    clock.now += 9.999
    assert desk.check(lease.lease_id) == lease
    assert desk.remaining_s() == pytest.approx(0.001)
    clock.now += 0.001
    assert desk.current() is None
    assert desk.remaining_s() == 0
    with pytest.raises(AbsentError):
        desk.renew(lease.lease_id)
    assert desk.acquire("bob", 10).lease_id != lease.lease_id


def test_renewing_begins_anew(desk, clock):
    lease = desk.acquire("ann", 10)
    clock.now += 9
    assert desk.renew(lease.lease_id).since == lease.since
    clock.now += 9
    assert desk.check(lease.lease_id).holder == "ann"


def test_only_the_holder_can_renew_or_release(desk):
    lease = desk.acquire("ann", 10)
    for call in (desk.check, desk.renew, desk.release):
        with pytest.raises(AbsentError, match="acquire a new one"):
            call("0" * len(lease.lease_id))
    desk.release(lease.lease_id)
    assert desk.current() is None


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan"), float("inf"), 86_401])
def test_a_time_that_cannot_be_is_refused(desk, ttl_s):
    with pytest.raises(InvalidError, match="more than 0 and at most 86400 s"):
        desk.acquire("ann", ttl_s)


def test_nobody_cannot_hold(desk):
    with pytest.raises(InvalidError, match="say who"):
        desk.acquire("  ", 10)
