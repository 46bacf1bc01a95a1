import pytest

from deltann_agent.errors import AbsentError, ConflictError, InvalidError
from deltann_agent.lease import PATIENCE_S, LeaseDesk


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


def refused(desk, holder: str) -> str:
    with pytest.raises(ConflictError) as caught:
        desk.acquire(holder, 60)
    return str(caught.value)


def test_who_waits_hears_its_place_and_keeps_it(desk, clock):
    desk.acquire("ann", 60)
    for holder, place in (("bob", "first"), ("cid", "second"), ("dan", "third"), ("bob", "first")):
        clock.now += 1
        assert refused(desk, holder).endswith(f"you are {place} in line")
    for number in range(4, 8):
        words = refused(desk, f"holder {number}")
    assert words.endswith("you are number 7 in line")


def test_a_board_that_gets_free_goes_to_who_asked_first_whoever_asks_next(desk, clock):
    lease = desk.acquire("ann", 60)
    for holder in ("bob", "cid"):
        refused(desk, holder)
    desk.release(lease.lease_id)
    clock.now += 1
    overtaking = "the board is free, but bob has waited longer; you are"
    assert refused(desk, "cid") == f"{overtaking} second in line"
    assert refused(desk, "new") == f"{overtaking} third in line"
    assert refused(desk, "ann") == f"{overtaking} fourth in line"
    desk.release(desk.acquire("bob", 60).lease_id)
    assert desk.acquire("cid", 60).holder == "cid"


def test_an_expired_lease_goes_to_the_first_in_line_too(desk, clock):
    desk.acquire("ann", 10)
    clock.now += 9
    refused(desk, "bob")
    clock.now += 1
    assert "bob has waited longer" in refused(desk, "ann")
    assert desk.acquire("bob", 10).holder == "bob"


def test_who_has_the_board_is_no_longer_in_line(desk):
    lease = desk.acquire("ann", 60)
    refused(desk, "bob")
    desk.release(lease.lease_id)
    desk.release(desk.acquire("bob", 60).lease_id)
    assert desk.acquire("ann", 60).holder == "ann"


def test_who_stops_asking_is_forgotten_and_not_before(desk, clock):
    lease = desk.acquire("ann", 600)
    refused(desk, "bob")
    refused(desk, "cid")
    desk.release(lease.lease_id)
    clock.now += PATIENCE_S
    assert "bob has waited longer" in refused(desk, "cid")
    clock.now += 0.001
    assert desk.acquire("cid", 60).holder == "cid"
    # And is last when it comes again.
    refused(desk, "dan")
    assert refused(desk, "bob").endswith("you are second in line")


def test_an_impossible_request_gets_no_place(desk, clock):
    lease = desk.acquire("ann", 60)
    with pytest.raises(InvalidError):
        desk.acquire("bob", -1)
    desk.release(lease.lease_id)
    assert desk.acquire("cid", 60).holder == "cid"
