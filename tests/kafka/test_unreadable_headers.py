"""A header whose name is no UTF-8, as a client in C may send it, does not end the reader."""

import ctypes
import time
import uuid

import pytest

from snowmelt.embedded.broker import _library
from snowmelt.runtime.kafka.admin import Admin, TopicSpec
from snowmelt.runtime.kafka.consumer import UNREADABLE, Consumer

pytestmark = pytest.mark.kafka
_TOPIC, _VALUE, _HEADERS = 1, 4, 10
"""Tags of rd_kafka_producev."""


def send(bootstrap: str, topic: str, header: bytes) -> None:
    """Sends one record by librdkafka itself: the Python client refuses such a header."""
    lib, error = _library(), ctypes.create_string_buffer(512)
    lib.rd_kafka_headers_new.restype = ctypes.c_void_p
    conf = ctypes.c_void_p(lib.rd_kafka_conf_new())
    assert lib.rd_kafka_conf_set(conf, b"bootstrap.servers", bootstrap.encode(), error, ctypes.c_size_t(512)) == 0
    producer = ctypes.c_void_p(lib.rd_kafka_new(0, conf, error, 512))
    headers = ctypes.c_void_p(lib.rd_kafka_headers_new(ctypes.c_size_t(1)))
    assert lib.rd_kafka_header_add(headers, header, ctypes.c_ssize_t(-1), b"v", ctypes.c_ssize_t(1)) == 0
    name = ctypes.c_char_p(topic.encode())
    value = (ctypes.c_char_p(b"v"), ctypes.c_size_t(1))
    assert lib.rd_kafka_producev(producer, _TOPIC, name, _VALUE, *value, _HEADERS, headers, 0) == 0
    assert lib.rd_kafka_flush(producer, 20_000) == 0
    lib.rd_kafka_destroy(producer)


def test_the_reader_goes_on(kafka: str) -> None:
    topic = f"headers-{uuid.uuid4().hex}"
    Admin(kafka).create_topics([TopicSpec(topic, 1)])
    for header in (b"fine", b"\xff\xfe", b"fine"):
        send(kafka, topic, header)
    consumer, found = Consumer(kafka, "readers"), []
    consumer.assign({(topic, 0): 0})
    deadline = time.monotonic() + 30
    while len(found) < 3 and time.monotonic() < deadline:
        found += [headers for records in consumer.poll(10, 0.2).records for headers in records.headers]
    consumer.close()
    assert [headers is UNREADABLE for headers in found] == [False, True, False]
    assert found[0] == [("fine", b"v")]
