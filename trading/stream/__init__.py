"""The WebSocket API (docs/websocket.md): one hub a process follows what was committed, one consumer a connection."""
