"""Queues and addresses by host, with many threads at once."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from data_filters.download import hosts as module
from data_filters.download.hosts import Memory, Resolver, Slots


def test_each_host_has_its_own_queue_and_none_is_kept_for_nobody():
    slots, lock = Slots(2), threading.Lock()
    busy, most = {"a": 0, "b": 0}, {"a": 0, "b": 0}

    def visit(host):
        with slots.hold(host):
            with lock:
                busy[host] += 1
                most[host] = max(most[host], busy[host])
            time.sleep(0.01)
            with lock:
                busy[host] -= 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(visit, "ab" * 16))
    assert most == {"a": 2, "b": 2}
    assert (slots._held, slots._queues) == ({}, {})


def test_a_place_is_given_back_after_a_failure():
    slots = Slots(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), slots.hold("a"):
            _ = 1 / 0


def test_a_question_is_asked_once_until_the_answer_is_old(monkeypatch):
    now, asked = [0.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    memory = Memory(10.0)
    for moment in (0.0, 9.9, 10.1, 12.0):
        now[0] = moment
        assert memory.recall("q", lambda: asked.append(now[0]) or "answer") == "answer"
    assert asked == [0.0, 10.1]


def test_threads_wait_for_the_one_that_asks():
    memory, asked = Memory(10.0), []

    def ask():
        time.sleep(0.05)
        asked.append(1)
        return "answer"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: memory.recall("q", ask), range(8)))
    assert (answers, asked) == (["answer"] * 8, [1])


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_MAX_HOSTS", 2)
    memory, asked = Memory(10.0), []
    for key in ("a", "b", "a", "c", "a", "b"):
        memory.recall(key, lambda key=key: asked.append(key) or key)
    assert asked == ["a", "b", "c", "b"]


def test_names_are_resolved_once_and_those_that_do_not_exist_too(monkeypatch):
    asked = []

    def resolve(host, port, **_):
        asked.append(host)
        if host == "busy.org":
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        if host == "gone.org":
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(2, 1, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(module.socket, "getaddrinfo", resolve)
    resolver = Resolver(60.0)
    for _ in range(2):
        assert resolver.addresses("a.org", 80)[0][4] == ("93.184.216.34", 80)
        for host in ("gone.org", "busy.org"):
            with pytest.raises(socket.gaierror):
                resolver.addresses(host, 80)
    assert asked == ["a.org", "gone.org", "busy.org", "busy.org"]


def test_the_real_resolver_knows_the_loopback():
    assert Resolver(1.0).addresses("127.0.0.1", 80)[0][4] == ("127.0.0.1", 80)
