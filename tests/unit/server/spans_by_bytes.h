// Servers whose snapshots are written for what was logged, and never for the time that has passed.
#pragma once

#include <functional>
#include <utility>

#include "tests/unit/server/test_cluster.h"
#include "tests/unit/server/test_span_writer.h"

namespace holdfast::server {

/// A span is due after so many bytes of the log.
inline EngineOptions spans_by_bytes(uint64_t bytes) {
  EngineOptions options;
  options.snapshot_log_bytes = bytes;
  options.snapshot_interval = 3'600s;
  return options;
}

/// Starts a server anew with this way to its snapshot's disk. By default its log stays whole.
inline void restart_with(
    TestServer& server, snapshot::SpanWriter& spans,
    std::function<LogIndex(LogIndex)> cut_log = [](LogIndex) { return LogIndex(1); }) {
  server.crash();
  server.snapshots = {.spans = &spans, .cut_log = std::move(cut_log)};
  server.start();
}

}  // namespace holdfast::server
