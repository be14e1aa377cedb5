"""How long the ids of users, items and events may be, wherever they come in."""

MAX_ID_BYTES = 256
MAX_EVENT_ID_BYTES = 128
