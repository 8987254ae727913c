// What a server is told: every setting of holdfastd, with its default and its range. The flags are
// defined from this struct (flags.cc) and described in docs/operations.md.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/net/address.h"
#include "base/time.h"
#include "raft/storage/log_store.h"

namespace holdfast::server {

/// A member listed by --initial_cluster.
struct InitialMember {
  NodeId id;
  net::Address peer;
};

struct ServerOptions {
  // Who and where.
  NodeId node_id{1};
  std::string data_dir = "holdfast-data";
  net::Address client_listen{"127.0.0.1", 7411};
  net::Address peer_listen{"127.0.0.1", 7412};
  net::Address admin_listen{"127.0.0.1", 7413};
  net::Address http_listen{"127.0.0.1", 7414};
  std::string client_advertise;  ///< what other machines dial; empty: the listening address
  std::string peer_advertise;
  std::vector<InitialMember> initial_cluster;  ///< empty: this node alone
  bool bootstrap = false;
  std::vector<net::Address> join;  ///< peer addresses of a cluster that this server is added to
  bool insecure = false;           ///< allow addresses beyond loopback although there is no TLS yet

  // Timing. Equal on all nodes; the handshake compares them.
  int64_t heartbeat_ms = 100;
  int64_t election_timeout_min_ms = 500;
  int64_t election_timeout_max_ms = 1000;
  bool pre_vote = true;
  bool check_quorum = true;
  bool fast_failover = true;
  int64_t clock_drift_permille = 10;  ///< bound of the rate between any two clocks
  int64_t session_ttl_min_ms = 4000;

  // Storage.
  uint64_t segment_bytes = raft::LogOptions::kSegmentBytes;
  int64_t reserve_segments = 1;
  int64_t reserve_mib = 64;
  int64_t min_free_mib = 32;
  uint64_t snapshot_log_bytes = uint64_t{64} << 20;
  int64_t snapshot_interval_s = 300;
  int64_t snapshot_send_mib_s = 64;
  int64_t snapshot_write_mib_s = 64;
  int64_t slow_sync_ms = 100;

  // Threads.
  int32_t io_threads = 0;  ///< for client connections; 0: on the one loop thread

  // Admission.
  uint32_t max_client_connections = 16'000;
  uint32_t max_frame_bytes = 4 << 20;
  uint32_t max_calls_per_connection = 20'000;
  uint64_t max_pending_commands = 65'536;
  uint64_t max_pending_reads = 65'536;
  uint64_t max_uncommitted_bytes = uint64_t{64} << 20;
  uint64_t max_parked_calls = 400'000;
  uint64_t max_watches_per_session = 10'000;
  uint64_t history_bytes = uint64_t{64} << 20;
  uint64_t history_events = 100'000;
  int64_t idle_timeout_ms = 600'000;
  int64_t frame_timeout_ms = 10'000;

  // Shutdown.
  int64_t drain_ms = 3000;

  // Logging.
  std::string log_dir;  ///< empty: standard error only
};

/// Reads the command line (and --flagfile). Errors name the flag, its value and the range.
/// --help and --version are answered on standard output and end the process.
Result<ServerOptions> options_from_flags(int argc, char** argv);

/// Checks the relations between settings, e.g. loopback without --insecure.
Status validate(const ServerOptions& options);

/// How holdfastd ends; documented in docs/install.md.
enum class ExitCode : int {
  kOk = 0,
  kInternal = 1,        ///< a bug, or a peer contradicted Raft
  kBadFlag = 2,         ///< a flag or the configuration, or a limit of the system is too low
  kPortTaken = 3,       ///< an address cannot be listened on
  kWrongDirectory = 4,  ///< the data directory is in use, of another node or another cluster
  kCorrupt = 5,         ///< a file failed its checksum
  kDiskFull = 6,
  kDiskFailed = 7,  ///< a write or sync failed
};

}  // namespace holdfast::server
