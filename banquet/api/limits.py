"""How large a request may be; every message that refuses one names the field, the value and the range."""

MAX_LIMIT = 500
MAX_EXCLUDED = 10_000
MAX_RANKED = 5_000
# An explanation costs the event loop 25 us; a gateway must not be silent for longer than a call takes.
MAX_EXPLAINED = 500
MAX_FILTERS = 16
MAX_CONTEXT = 32
MAX_FILTER_VALUES = 100
MAX_EVENTS = 1_000
MAX_EVENT_AHEAD_S = 300.0
# A message may be this large; the transport takes a little more, so that the refusal can say what was wrong.
MAX_MESSAGE_BYTES = 2 * 2**20
TRANSPORT_MESSAGE_BYTES = 16 * 2**20
# Clients with keepalive ping every 10 s or less often; gRPC's default allows one ping in five minutes and ends the connection.
MIN_PING_INTERVAL_MS = 1_000

SERVER_OPTIONS = (
    ("grpc.so_reuseport", 1),
    ("grpc.max_receive_message_length", TRANSPORT_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
    # gRPC's header calls it MIN_RECV_PING_INTERVAL: of a connection whose streams are idle, or that has none.
    ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_INTERVAL_MS),
    ("grpc.keepalive_permit_without_calls", 1),
)
