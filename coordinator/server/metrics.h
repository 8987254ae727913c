// What a server counts, as Prometheus text (docs/metrics.md). The counters belong to the threads
// that count and are plain numbers; nothing is published unless somebody asks, and then at most
// once a second.
#pragma once

#include <string>
#include <vector>

#include "base/net/loop.h"
#include "coordinator/server/rpc_port.h"
#include "raft/storage/log_writer.h"
#include "raft/transport/tcp_transport.h"

namespace holdfast::server {

class Engine;

/// A reading of everything that counts. `engine` is null before the server belongs to a cluster.
struct MetricSources {
  const Engine* engine = nullptr;
  RpcPortStats clients;
  size_t client_connections = 0;
  RpcPortStats admins;
  size_t admin_connections = 0;
  const net::LoopStats& loop;
  std::vector<raft::PeerLink> peers;
  raft::LogWriteStats log;
  uint64_t log_waiting_bytes = 0;
  uint64_t log_bytes = 0;  ///< of its files
  size_t log_segments_ready = 0;
  uint64_t states_received = 0;  ///< from other servers, and put in force
  int64_t started_unix_ms = 0;
};

/// The sources in the text format 0.0.4.
std::string metrics_text(const MetricSources& sources);

}  // namespace holdfast::server
