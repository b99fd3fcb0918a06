"""Connections at rest: how many, for how long, and when they are of use again."""

import socket

import pytest

from data_filters.download.address import Place
from data_filters.download.keep_alive import IdleConnections, Sessions


@pytest.fixture
def opened():
    """Open connections to a listener; returns them with the server's end."""
    ends = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def open_one():
            connection = socket.create_connection(listener.getsockname())
            ends.append(listener.accept()[0])
            return connection, ends[-1]

        yield open_one
    for end in ends:
        end.close()


def place(host, scheme="http"):
    return Place(scheme, host)


def test_what_is_given_is_taken_once_by_its_own_host(opened):
    idle = IdleConnections(limit=2, seconds=60)
    connection, _ = opened()
    idle.give(place("a"), connection)
    assert idle.take(place("b")) is None
    assert idle.take(place("a")) is connection
    assert idle.take(place("a")) is None
    connection.close()


def test_the_host_turned_to_longest_ago_loses_its_connection(opened):
    idle = IdleConnections(limit=2, seconds=60)
    first, second, third = (opened()[0] for _ in range(3))
    idle.give(place("a"), first)
    idle.give(place("b"), second)
    idle.give(place("a"), third)  # a has been turned to since b was
    assert second.fileno() == -1
    assert idle.take(place("b")) is None
    assert idle.take(place("a")) is third
    assert idle.take(place("a")) is first
    idle.give(place("a"), first)
    idle.close()
    assert first.fileno() == -1
    third.close()


def test_nothing_is_kept_where_nothing_may_be(opened):
    connection, _ = opened()
    IdleConnections(limit=0, seconds=60).give(place("a"), connection)
    assert connection.fileno() == -1


def test_an_old_connection_is_closed_by_whoever_comes(opened, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("data_filters.download.keep_alive.time.monotonic", lambda: now[0])
    idle = IdleConnections(limit=8, seconds=10)
    old, older, new = (opened()[0] for _ in range(3))
    idle.give(place("a"), older)
    idle.give(place("b"), old)
    now[0] = 10.5
    assert idle.take(place("b")) is None
    assert old.fileno() == -1
    idle.give(place("c"), new)
    assert older.fileno() == -1
    assert idle.take(place("c")) is new
    new.close()


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["closed", "unasked"])
def test_a_connection_that_has_something_to_say_is_not_used(opened, words):
    idle = IdleConnections(limit=8, seconds=60)
    connection, end = opened()
    idle.give(place("a"), connection)
    if words:
        end.sendall(words)
    else:
        end.close()
    assert idle.take(place("a")) is None
    assert connection.fileno() == -1


def test_connections_of_both_schemes_count_for_one_host(opened):
    """Who goes on with https must not leave an http connection open beside it."""
    idle = IdleConnections(limit=8, seconds=60)
    connection, _ = opened()
    idle.give(place("a", "http"), connection)
    assert idle.take(place("a", "https")) is None
    assert connection.fileno() == -1


def test_sessions_are_those_of_one_host_and_the_latest(monkeypatch):
    monkeypatch.setattr("data_filters.download.keep_alive._MAX_SESSIONS", 2)
    sessions = Sessions()
    sessions.remember("a", "first")
    sessions.remember("b", "other")
    sessions.remember("a", "second")
    assert (sessions.recall("a"), sessions.recall("b"), sessions.recall("c")) == (
        "second", "other", None,
    )  # fmt: skip
    sessions.remember("c", "third")
    assert (sessions.recall("a"), sessions.recall("b")) == ("second", None)
