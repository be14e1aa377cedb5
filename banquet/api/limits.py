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
