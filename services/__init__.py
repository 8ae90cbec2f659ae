"""One process each, thin: a door to one part of the library and nothing more."""

import os

# gRPC's older way of polling: its engine of threads costs a call several wake-ups more (ADR 0020). It is read when grpc
# is imported, hence here.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
