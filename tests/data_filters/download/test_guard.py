"""What may be contacted: the attacks that img2dataset alone would fall for."""

import ipaddress

import pytest

from data_filters.download import guard as module
from data_filters.download import hosts
from data_filters.download.guard import Deadline, Guard
from data_filters.download.reasons import FetchError


def guard(*networks):
    return Guard(
        max_bytes=10_000,
        allowed_networks=tuple(map(ipaddress.ip_network, networks)),
        resolver=hosts.Resolver(60.0),
    )


def connect(host):
    return guard().connect(host, 80, timeout=2.0, deadline=Deadline(5.0))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("fec0::1", False),
        ("ff0e::1", False),
        ("2001:0:7f00:1::1", False),
        ("2002:5db8:d822::", True),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::7f00:1", False),
        ("64:ff9b::0a00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("240.0.0.1", False),
    ],
)
def test_only_public_addresses_are_contacted(address, allowed):
    assert guard().allows(address) is allowed


def test_a_network_may_be_allowed_and_nothing_else_with_it():
    assert guard("127.0.0.0/8").allows("127.0.0.1")
    assert guard("127.0.0.0/8").allows("::ffff:127.0.0.1")
    assert not guard("127.0.0.0/8").allows("10.0.0.1")
    assert not guard("127.0.0.0/8").allows("::1")
    assert guard("10.1.0.0/16", "::1/128").allows("10.1.2.3")
    assert guard("10.1.0.0/16", "::1/128").allows("::1")
    assert not guard("10.1.0.0/16").allows("10.2.0.1")


def test_a_private_address_is_refused_without_a_connection(monkeypatch):
    monkeypatch.setattr(module.socket, "socket", None)
    for host in ("10.0.0.1", "192.168.0.1", "0x7f.1"):
        with pytest.raises(FetchError, match="private_address"):
            connect(host)


def test_the_address_connected_to_is_the_one_checked(monkeypatch):
    """A name that resolves to something else a moment later (DNS rebinding) gains nothing."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    connected = []

    class Recorder(module.socket.socket):
        def connect(self, place):
            connected.append(place[0])
            raise OSError("stop here")

    def resolve(_, port, **__):
        return [(2, 1, 6, "", (next(answers), port))]

    monkeypatch.setattr(hosts.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(module.socket, "socket", Recorder)
    with pytest.raises(OSError, match="stop here"):
        connect("rebinding.org")
    assert connected == ["93.184.216.34"]


def test_a_name_with_public_and_private_addresses_leads_to_the_public_one(monkeypatch):
    places = ("10.0.0.1", "127.0.0.1", "93.184.216.34")
    connected = []

    class Recorder(module.socket.socket):
        def connect(self, place):
            connected.append(place[0])
            raise OSError("stop here")

    monkeypatch.setattr(
        hosts.socket,
        "getaddrinfo",
        lambda _, port, **__: [(2, 1, 6, "", (p, port)) for p in places],
    )
    monkeypatch.setattr(module.socket, "socket", Recorder)
    with pytest.raises(OSError, match="stop here"):
        connect("mixed.org")
    assert connected == ["93.184.216.34"]


def test_an_attempt_whose_time_is_over_contacts_nobody():
    over = Deadline(1.0, spent=1.5)
    with pytest.raises(FetchError, match="timeout: not over after 1 s"):
        guard("127.0.0.0/8").connect("127.0.0.1", 9, timeout=2.0, deadline=over)
