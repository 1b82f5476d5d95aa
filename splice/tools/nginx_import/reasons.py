"""The directives of nginx-rtmp and nginx-http-flv-module that need no key here, and those that have none, and why."""

from typing import Final

__all__ = ["HERE_ANYWAY", "NOT_HERE"]

_TUNING: Final = "the door sizes its buffers itself"
_RECORD: Final = 'not here: record with a player of the stream, such as "ffmpeg -i URL -c copy FILE"'
_HLS: Final = "not here: let ffmpeg, or nginx behind a [[forward]], make it"
_EXEC: Final = "not here: let hooks tell a program of yours, which starts what is to run"
_FILES: Final = "not here: nginx serves files, the door live streams"
_GOP: Final = "the cache begins at the newest keyframe; its bounds are [hub] gop_cache_bytes and gop_cache_s"
_RECONNECT: Final = "the door's own pauses grow from a second to half a minute"

HERE_ANYWAY: Final = {
    "live": "on",
    "record": "off",
    "hls": "off",
    "dash": "off",
    "chunk_size": None,
    "wait_key": "on",
    "wait_video": "off",
    "interleave": None,
    "gop_cache": "on",
    "publish_notify": "off",
    "play_restart": "off",
    "idle_streams": None,
    "session_relay": None,
    "meta": "copy",
    "notify_method": "post",
    "notify_update_strict": "off",
    "notify_relay_redirect": None,
    "notify_no_resolve": None,
    "so_keepalive": None,
    "tcp_nodelay": "on",
    "send_lowat": None,
    "resolver": None,
    "resolver_timeout": None,
    "merge_slashes": None,
    "server_name": None,
    "worker_processes": None,
    "rtmp_auto_push": None,
    "rtmp_auto_push_reconnect": None,
    "rtmp_socket_dir": None,
    "default_type": None,
    "root": None,
    "types": None,
    "if_modified_since": None,
    "flv_live": "on",
    "keepalive_timeout": None,
    "access_log": None,
    "log_format": None,
    "error_log": None,
    "ssl_protocols": None,
    "ssl_ciphers": None,
    "ssl_session_cache": None,
    "ssl_session_timeout": None,
    "ssl_prefer_server_ciphers": None,
    "real_ip_header": None,
    "proxy_buffering": "off",
    "proxy_http_version": None,
    "proxy_set_header": None,
    "proxy_cache": "off",
    "proxy_request_buffering": None,
}
"""Directives that say what the door does anyway: with this value, or (None) with any, as nothing hangs on it here."""

NOT_HERE: Final = {
    "sync": "one clock is kept for both tracks, and jumps of the publisher's are bridged",
    "buffer": "the door sends as it receives; what waits for a slow viewer is [hub] backlog_bytes and backlog_s",
    "buflen": "the door sends as it receives; what waits for a slow viewer is [hub] backlog_bytes and backlog_s",
    "out_queue": "what waits for a slow viewer is [hub] backlog_bytes and backlog_s",
    "out_cork": "what goes out together is [hub] merge_ms",
    "stream_buckets": _TUNING,
    "relay_buffer": _TUNING,
    "netcall_buffer": _TUNING,
    "connection_pool_size": _TUNING,
    "ack_window": "the kit announces what encoders expect",
    "max_message": "an accepted publisher's messages have at most 16 MiB, as RTMP has it",
    "max_streams": "a connection publishes or plays one stream",
    "busy": "a publisher of a live name is refused, unless the first has been silent for [hub] takeover_s",
    "ping": "who takes nothing for [timeouts] stall_s is dropped, which needs no pings",
    "ping_timeout": "who takes nothing for [timeouts] stall_s is dropped, which needs no pings",
    "tcp_nopush": "what goes out together is [hub] merge_ms",
    "gop_max_frame_count": _GOP,
    "gop_max_video_count": _GOP,
    "gop_max_audio_count": _GOP,
    "publish_time_fix": "one clock is kept, and jumps of the publisher's are bridged",
    "play_time_fix": "one clock is kept, and jumps of the publisher's are bridged",
    "push_reconnect": _RECONNECT,
    "pull_reconnect": _RECONNECT,
    "notify_method": "hooks are posted here; the fields are the same, in the body",
    "notify_update_strict": "an answer that is no 2xx ends a session here, and no answer at all never does",
    "on_connect": "not here: on_publish and on_play are asked, when it is known which stream is meant",
    "on_disconnect": "not here: on_publish_done and on_play_done are told",
    "on_record_done": _RECORD,
    "recorder": _RECORD,
    "play": _FILES,
    "play_temp_path": _FILES,
    "play_local_path": _FILES,
    "rtmp_control": "the admin side's API does it: DELETE /api/v1/viewers/{id}, /publishers/{id}, /streams/{id}",
    "rtmp_stat_stylesheet": "the dashboard is the page to look at; /stat has no stylesheet",
    "rtmp_stat_format": "/stat is XML, /api/v1 JSON",
    "log_interval": "the log goes to stderr, as text or JSON",
    "log_size": "the log goes to stderr, as text or JSON",
    "exec_block": _EXEC,
    "respawn": _EXEC,
    "respawn_timeout": _EXEC,
    "auth_basic": "not here: signed URLs or hooks say who may watch",
    "auth_basic_user_file": "not here: signed URLs or hooks say who may watch",
    "auth_request": "not here by that name: [hooks] on_play asks a program of yours",
    "limit_conn": "there is [limits] viewers_per_address",
    "if": "conditions are not read: signed URLs and hooks say who may watch",
    "limit_rate": "not here: a live stream has the rate that it has",
}
"""Directives that have no key here, and what there is instead."""

NOT_HERE_BY_PREFIX: Final = {
    "record": _RECORD,
    "hls": _HLS,
    "dash": _HLS,
    "exec": _EXEC,
    "proxy_": "not here: what is sent to an origin is the door's own short head",
    "ssl_": "not here: [tls] cert and key are all there is to set",
}
"""The same for families of directives, by how their names begin."""
