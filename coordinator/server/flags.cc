// The flags of holdfastd. gflags parses; here their values are checked and turned into options.
#include <gflags/gflags.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <system_error>

#include "base/version.h"
#include "coordinator/rsm/feature_level.h"
#include "coordinator/server/flag_parser.h"
#include "coordinator/server/options.h"
#include "raft/core/quorum.h"

namespace holdfast::server {

namespace {
const ServerOptions kDefaults;
}  // namespace

DEFINE_int32(node_id, 1, "this server's number in the cluster, 1 to 1000; never reused");
DEFINE_string(data_dir, kDefaults.data_dir, "directory of this server's log and identity");
DEFINE_string(client_address, "127.0.0.1:7411", "where clients are listened to, host:port");
DEFINE_string(peer_address, "127.0.0.1:7412", "where other servers are listened to, host:port");
DEFINE_string(admin_address, "127.0.0.1:7413",
              "where the administration service is listened to, host:port");
DEFINE_string(http_address, "127.0.0.1:7414",
              "where /health, /ready and /metrics are served, host:port");
DEFINE_string(client_advertise, "", "address told to clients; empty: --client_address");
DEFINE_string(peer_advertise, "", "address told to other servers; empty: --peer_address");
DEFINE_string(initial_cluster, "",
              "the servers of the cluster, as 1=host:port,2=host:port,... of their peer addresses; "
              "the same servers everywhere; empty: this server alone");
DEFINE_bool(
    bootstrap, false,
    "form the cluster of --initial_cluster; one server needs it (of several that have it the "
    "one with the lowest id acts), ignored once the data directory belongs to a cluster; "
    "implied where --initial_cluster lists no other");
DEFINE_string(join, "",
              "peer addresses of servers of a running cluster, host:port,...: with an empty data "
              "directory this server waits until it is made a member of that cluster (holdfast "
              "member add); once the data directory belongs to a cluster, a start is refused if "
              "servers there are of another one and none of this one");
DEFINE_bool(insecure, false,
            "allow addresses beyond loopback although connections are neither encrypted nor "
            "authenticated yet");
DEFINE_int64(heartbeat_ms, kDefaults.heartbeat_ms, "leader's heartbeat, 5 to 10000");
DEFINE_int64(election_timeout_min_ms, kDefaults.election_timeout_min_ms,
             "shortest election timeout, at least 3 heartbeats");
DEFINE_int64(election_timeout_max_ms, kDefaults.election_timeout_max_ms,
             "longest election timeout, above the shortest, up to 60000");
DEFINE_bool(pre_vote, true, "ask before an election whether it could be won");
DEFINE_bool(check_quorum, true, "a leader without a quorum steps down");
DEFINE_bool(fast_failover, true, "elect at once when the leader's host refuses connections");
DEFINE_int64(
    clock_drift_permille, kDefaults.clock_drift_permille,
    "bound of the rate between any two clocks, 1 to 200 permille; leases are shortened by it");
DEFINE_int64(session_ttl_min_ms, kDefaults.session_ttl_min_ms,
             "smallest session TTL, 100 to 60000; below three times the longest failover (4000 at "
             "the default timeouts) an election may expire live sessions; a value other than the "
             "default becomes the setting session_ttl_ms_min whenever a leader is elected");
DEFINE_uint64(segment_bytes, kDefaults.segment_bytes, "size of a log segment, 64 KiB to 1 GiB");
DEFINE_int64(reserve_segments, kDefaults.reserve_segments,
             "log segments kept ready beside the next one, for when the disk is full, 1 to 64");
DEFINE_int64(reserve_mib, kDefaults.reserve_mib,
             "room kept for the snapshot for when the disk is full, in MiB beside the size of the "
             "snapshot itself, 0 to 1048576; 0: none");
DEFINE_int64(min_free_mib, kDefaults.min_free_mib,
             "with less free on the disk only what frees or keeps alive is admitted, in MiB, 0 to "
             "1048576; an alarm comes at twice as much");
DEFINE_uint64(
    snapshot_log_bytes, kDefaults.snapshot_log_bytes,
    "the state is written to the snapshot when this much of the log was applied since the "
    "last time (or half the snapshot's size, if that is more), 64 KiB to 64 GiB");
DEFINE_int64(snapshot_interval_s, kDefaults.snapshot_interval_s,
             "the state is written to the snapshot after so many seconds, 1 to 86400, if anything "
             "changed, though --snapshot_log_bytes is not reached");
DEFINE_int64(
    snapshot_write_mib_s, kDefaults.snapshot_write_mib_s,
    "how fast the snapshot is written, in MiB a second, 1 to 10000, so that the log does not "
    "wait for the disk behind it; when it falls behind, or this server stops, as fast as "
    "can be");
DEFINE_int64(snapshot_send_mib_s, kDefaults.snapshot_send_mib_s,
             "how fast the state is sent to servers that are too far behind for the log, in MiB a "
             "second to all of them, 1 to 10000");
DEFINE_int64(slow_sync_ms, kDefaults.slow_sync_ms,
             "an alarm if the slowest hundredth of the log's writes takes longer, 1 to 60000");
DEFINE_int32(io_threads, kDefaults.io_threads,
             "threads for client connections, 0 to 64; 0: they share the one loop thread");
DEFINE_uint32(max_client_connections, kDefaults.max_client_connections,
              "client connections; more are closed at once");
DEFINE_uint32(max_frame_bytes, kDefaults.max_frame_bytes,
              "largest frame of a client, 64 KiB to 16 MiB");
DEFINE_uint32(max_calls_per_connection, kDefaults.max_calls_per_connection,
              "calls outstanding on one connection");
DEFINE_uint64(max_pending_commands, kDefaults.max_pending_commands,
              "commands of this server's clients that are not committed yet");
DEFINE_uint64(max_pending_reads, kDefaults.max_pending_reads,
              "reads of this server's clients that wait for a quorum or a revision");
DEFINE_uint64(
    max_uncommitted_bytes, kDefaults.max_uncommitted_bytes,
    "bytes proposed and not committed on the leader, and of commands under way on any server");
DEFINE_uint64(max_parked_calls, kDefaults.max_parked_calls,
              "polls, waiting acquires and waits for a change parked here, together");
DEFINE_uint64(max_watches_per_session, kDefaults.max_watches_per_session,
              "watches of one session on this server");
DEFINE_uint64(history_bytes, kDefaults.history_bytes,
              "memory for past changes, from which watches resume, 64 KiB to 64 GiB");
DEFINE_uint64(history_events, kDefaults.history_events,
              "past changes kept for watches, 10 to 100000000");
DEFINE_int64(idle_timeout_ms, kDefaults.idle_timeout_ms,
             "a client connection without calls is closed after this, 1000 up; 0: never");
DEFINE_int64(frame_timeout_ms, kDefaults.frame_timeout_ms,
             "a client that takes longer for one frame is cut off, 100 to 600000");
DEFINE_int64(
    drain_ms, kDefaults.drain_ms,
    "on SIGTERM, how long to hand leadership over and answer what is in flight, 0 to 60000");
DEFINE_string(glog_dir, "", "directory of log files; empty: standard error only");

namespace {

Error bad(const std::string& flag, const std::string& value, const std::string& want) {
  return {ErrorCode::kBadArgument, "--" + flag + "=" + value + ": " + want};
}

template <class T>
Status in_range(const std::string& flag, T value, T low, T high) {
  if (value >= low && value <= high) return ok_status();
  return bad(flag, std::to_string(value),
             "must be from " + std::to_string(low) + " to " + std::to_string(high));
}

Status parse_into(const std::string& flag, const std::string& text, net::Address& out) {
  const auto parsed = net::parse_address(text);
  if (!parsed.ok()) return bad(flag, text, parsed.error().message);
  out = *parsed;
  return ok_status();
}

Status parse_cluster(const std::string& text, std::vector<InitialMember>& out) {
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t equals = part.find('=');
    char* end = nullptr;
    const unsigned long id = std::strtoul(part.c_str(), &end, 10);
    if (equals == std::string::npos || end != part.c_str() + equals || id < 1 || id > 1000) {
      return bad("initial_cluster", text,
                 "'" + part + "' is not NODE=host:port with NODE 1 to 1000");
    }
    InitialMember member{NodeId(id), {}};
    const auto address = net::parse_address(part.substr(equals + 1));
    if (!address.ok()) return bad("initial_cluster", text, address.error().message);
    member.peer = *address;
    for (const InitialMember& other : out) {
      if (other.id == member.id) {
        return bad("initial_cluster", text, "node " + std::to_string(id) + " stands there twice");
      }
      if (other.peer == member.peer) {
        return bad("initial_cluster", text, net::to_string(member.peer) + " stands there twice");
      }
    }
    out.push_back(member);
  }
  if (out.size() > raft::kMaxMembers) {
    return bad("initial_cluster", std::to_string(out.size()) + " servers",
               "the limit is " + std::to_string(raft::kMaxMembers));
  }
  std::sort(out.begin(), out.end(),
            [](const InitialMember& a, const InitialMember& b) { return a.id < b.id; });
  return ok_status();
}

Status parse_join(const std::string& flag, std::vector<net::Address>& out) {
  std::stringstream list(flag);
  for (std::string text; std::getline(list, text, ',');) {
    const auto address = net::parse_address(text);
    if (!address.ok()) return bad("join", text, address.error().message);
    if (address->port == 0) return bad("join", text, "names no port that could be dialled");
    if (std::find(out.begin(), out.end(), *address) != out.end()) {
      return bad("join", text, "stands there twice");
    }
    out.push_back(*address);
  }
  if (out.empty() && !gflags::GetCommandLineFlagInfoOrDie("join").is_default) {
    return bad("join", flag, "names no server; leave it out to form a cluster");
  }
  if (out.size() <= raft::kMaxMembers) return ok_status();
  return bad("join", std::to_string(out.size()) + " servers",
             "the limit is " + std::to_string(raft::kMaxMembers));
}

constexpr int64_t kElectionTimeoutMsMax = 60'000;

/// Its least is another flag's, which is named: it may be the one that was given.
Status check_election_timeout_min() {
  const Status checked = in_range<int64_t>("election_timeout_min_ms", FLAGS_election_timeout_min_ms,
                                           3 * FLAGS_heartbeat_ms, kElectionTimeoutMsMax - 1);
  if (checked.ok()) return checked;
  return Error{checked.error().code, checked.error().message + ", and 3 times --heartbeat_ms=" +
                                         std::to_string(FLAGS_heartbeat_ms) + " at least"};
}

Status check_ranges() {
  const std::vector<Status> checks = {
      in_range<int64_t>("node_id", FLAGS_node_id, 1, 1000),
      in_range<int64_t>("heartbeat_ms", FLAGS_heartbeat_ms, 5, 10'000),
      check_election_timeout_min(),
      in_range<int64_t>("election_timeout_max_ms", FLAGS_election_timeout_max_ms,
                        FLAGS_election_timeout_min_ms + 1, kElectionTimeoutMsMax),
      in_range<int64_t>("clock_drift_permille", FLAGS_clock_drift_permille, 1, 200),
      in_range<int64_t>("session_ttl_min_ms", FLAGS_session_ttl_min_ms, 100, 60'000),
      in_range<uint64_t>("segment_bytes", FLAGS_segment_bytes, 64 << 10, 1 << 30),
      in_range<int64_t>("reserve_segments", FLAGS_reserve_segments, 1, 64),
      in_range<int64_t>("reserve_mib", FLAGS_reserve_mib, 0, 1 << 20),
      in_range<int64_t>("min_free_mib", FLAGS_min_free_mib, 0, 1 << 20),
      in_range<int64_t>("slow_sync_ms", FLAGS_slow_sync_ms, 1, 60'000),
      in_range<uint64_t>("snapshot_log_bytes", FLAGS_snapshot_log_bytes, 64 << 10,
                         uint64_t{64} << 30),
      in_range<int64_t>("snapshot_interval_s", FLAGS_snapshot_interval_s, 1, 86'400),
      in_range<int64_t>("snapshot_write_mib_s", FLAGS_snapshot_write_mib_s, 1, 10'000),
      in_range<int64_t>("snapshot_send_mib_s", FLAGS_snapshot_send_mib_s, 1, 10'000),
      in_range<int64_t>("io_threads", FLAGS_io_threads, 0, 64),
      in_range<uint64_t>("max_client_connections", FLAGS_max_client_connections, 1, 1'000'000),
      in_range<uint64_t>("max_frame_bytes", FLAGS_max_frame_bytes, 64 << 10, 16 << 20),
      in_range<uint64_t>("max_calls_per_connection", FLAGS_max_calls_per_connection, 1, 10'000'000),
      in_range<uint64_t>("max_pending_commands", FLAGS_max_pending_commands, 16, 10'000'000),
      in_range<uint64_t>("max_pending_reads", FLAGS_max_pending_reads, 16, 10'000'000),
      in_range<uint64_t>("max_uncommitted_bytes", FLAGS_max_uncommitted_bytes, 4 << 20,
                         uint64_t{4} << 30),
      in_range<uint64_t>("max_parked_calls", FLAGS_max_parked_calls, 16, 100'000'000),
      in_range<uint64_t>("max_watches_per_session", FLAGS_max_watches_per_session, 1, 1'000'000),
      in_range<uint64_t>("history_bytes", FLAGS_history_bytes, 1 << 16, uint64_t{64} << 30),
      in_range<uint64_t>("history_events", FLAGS_history_events, 10, 100'000'000),
      in_range<int64_t>("frame_timeout_ms", FLAGS_frame_timeout_ms, 100, 600'000),
      in_range<int64_t>("drain_ms", FLAGS_drain_ms, 0, 60'000),
  };
  for (const Status& check : checks) {
    if (!check.ok()) return check;
  }
  if (FLAGS_idle_timeout_ms == 0) return ok_status();
  return in_range<int64_t>("idle_timeout_ms", FLAGS_idle_timeout_ms, 1000, 86'400'000);
}

Status parse_addresses(ServerOptions& o) {
  const std::pair<const char*, std::pair<const std::string*, net::Address*>> fields[] = {
      {"client_address", {&FLAGS_client_address, &o.client_listen}},
      {"peer_address", {&FLAGS_peer_address, &o.peer_listen}},
      {"admin_address", {&FLAGS_admin_address, &o.admin_listen}},
      {"http_address", {&FLAGS_http_address, &o.http_listen}},
  };
  for (const auto& [flag, field] : fields) {
    Status parsed = parse_into(flag, *field.first, *field.second);
    if (!parsed.ok()) return parsed;
  }
  net::Address unused;
  for (const auto& [flag, text] : {std::pair{"client_advertise", &FLAGS_client_advertise},
                                   {"peer_advertise", &FLAGS_peer_advertise}}) {
    if (text->empty()) continue;
    Status parsed = parse_into(flag, *text, unused);
    if (!parsed.ok()) return parsed;
  }
  Status joins = parse_join(FLAGS_join, o.join);
  if (!joins.ok()) return joins;
  return parse_cluster(FLAGS_initial_cluster, o.initial_cluster);
}

/// Without it the log would go nowhere, and the server run on.
Status check_log_dir(const std::string& directory) {
  if (directory.empty()) return ok_status();
  if (::access((directory + "/.").c_str(), W_OK | X_OK) == 0) return ok_status();
  return bad("glog_dir", directory,
             "no files can be made there: " + std::generic_category().message(errno));
}

/// Where is listened, by flag.
using Listens = std::array<std::pair<const char*, const net::Address*>, 4>;

/// Two ports of one server need two numbers, also where one is of all addresses. Port 0 is any that
/// is free.
Status check_apart(const Listens& listens) {
  for (size_t i = 0; i < listens.size(); ++i) {
    const auto& [flag, address] = listens[i];
    for (size_t j = 0; j < i; ++j) {
      const auto& [other_flag, other] = listens[j];
      const bool same_host =
          address->host == other->host || net::is_wildcard(*address) || net::is_wildcard(*other);
      if (address->port == 0 || address->port != other->port || !same_host) continue;
      return bad(flag, net::to_string(*address),
                 std::string("has the port of --") + other_flag + "=" + net::to_string(*other) +
                     ": each of the addresses needs one of its own");
    }
  }
  return ok_status();
}

/// Others are told the address to advertise, or without one that which is listened on.
Status check_told(const std::string& who, const net::Address& listen,
                  const std::string& advertise) {
  if (advertise.empty() && net::is_wildcard(listen)) {
    return bad(who + "_address", net::to_string(listen),
               "names no host that " + who + "s could dial: say --" + who + "_advertise");
  }
  const auto told = net::parse_address(advertise);
  if (told.ok() && net::is_wildcard(*told)) {
    return bad(who + "_advertise", advertise, "names no host that " + who + "s could dial");
  }
  return ok_status();
}

ServerOptions copy_flags(ServerOptions o) {
  o.node_id = NodeId(static_cast<uint64_t>(FLAGS_node_id));
  o.data_dir = FLAGS_data_dir;
  o.client_advertise = FLAGS_client_advertise;
  o.peer_advertise = FLAGS_peer_advertise;
  const bool lists_no_other = o.initial_cluster.empty() || (o.initial_cluster.size() == 1 &&
                                                            o.initial_cluster[0].id == o.node_id);
  const bool alone = lists_no_other && o.join.empty();
  o.bootstrap = FLAGS_bootstrap || alone;
  o.insecure = FLAGS_insecure;
  o.heartbeat_ms = FLAGS_heartbeat_ms;
  o.election_timeout_min_ms = FLAGS_election_timeout_min_ms;
  o.election_timeout_max_ms = FLAGS_election_timeout_max_ms;
  o.pre_vote = FLAGS_pre_vote;
  o.check_quorum = FLAGS_check_quorum;
  o.fast_failover = FLAGS_fast_failover;
  o.clock_drift_permille = FLAGS_clock_drift_permille;
  o.session_ttl_min_ms = FLAGS_session_ttl_min_ms;
  o.segment_bytes = FLAGS_segment_bytes;
  o.reserve_segments = FLAGS_reserve_segments;
  o.reserve_mib = FLAGS_reserve_mib;
  o.min_free_mib = FLAGS_min_free_mib;
  o.slow_sync_ms = FLAGS_slow_sync_ms;
  o.snapshot_log_bytes = FLAGS_snapshot_log_bytes;
  o.snapshot_interval_s = FLAGS_snapshot_interval_s;
  o.snapshot_write_mib_s = FLAGS_snapshot_write_mib_s;
  o.snapshot_send_mib_s = FLAGS_snapshot_send_mib_s;
  o.io_threads = FLAGS_io_threads;
  o.max_client_connections = FLAGS_max_client_connections;
  o.max_frame_bytes = FLAGS_max_frame_bytes;
  o.max_calls_per_connection = FLAGS_max_calls_per_connection;
  o.max_pending_commands = FLAGS_max_pending_commands;
  o.max_pending_reads = FLAGS_max_pending_reads;
  o.max_uncommitted_bytes = FLAGS_max_uncommitted_bytes;
  o.max_parked_calls = FLAGS_max_parked_calls;
  o.max_watches_per_session = FLAGS_max_watches_per_session;
  o.history_bytes = FLAGS_history_bytes;
  o.history_events = FLAGS_history_events;
  o.idle_timeout_ms = FLAGS_idle_timeout_ms;
  o.frame_timeout_ms = FLAGS_frame_timeout_ms;
  o.drain_ms = FLAGS_drain_ms;
  o.log_dir = FLAGS_glog_dir;
  return o;
}

constexpr const char* kAbout =
    "holdfastd: a server of a Holdfast cluster.\n\n"
    "Without flags it serves a single-node cluster on loopback, clients on port 7411.\n"
    "Three servers: start each with its --node_id, addresses, --data_dir and the same\n"
    "--initial_cluster=1=host:port,2=host:port,3=host:port, and one with --bootstrap.\n\n"
    "Flags, with what holds without them; --name and --noname for true and false:\n\n";
constexpr const char* kAboutMore =
    "  --flagfile=FILE\n"
    "      reads flags from a file, one a line; # begins a comment\n"
    "  --version\n"
    "      says which version this is\n\n"
    "Those of the logging library are taken too, for instance --minloglevel=1.\n";

/// What is answered on standard output before anything is checked.
void answer_and_end(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--help" || word == "-help" || word == "-h") {
      std::printf("%s%s%s", kAbout, describe_flags("flags.cc").c_str(), kAboutMore);
      std::exit(static_cast<int>(ExitCode::kOk));
    }
    if (word == "--version" || word == "-version") {
      std::printf("holdfastd %s\n", version_text(rsm::kFeatureLevel).c_str());
      std::exit(static_cast<int>(ExitCode::kOk));
    }
  }
}

}  // namespace

Result<ServerOptions> options_from_flags(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  answer_and_end(words);
  if (const Status set = set_flags(words); !set.ok()) return set.error();
  const Status ranges = check_ranges();
  if (!ranges.ok()) return ranges.error();
  ServerOptions options;
  const Status addresses = parse_addresses(options);
  if (!addresses.ok()) return addresses.error();
  options = copy_flags(std::move(options));
  const Status valid = validate(options);
  if (!valid.ok()) return valid.error();
  if (const Status log = check_log_dir(options.log_dir); !log.ok()) return log.error();
  return options;
}

Status validate(const ServerOptions& o) {
  const Listens listens = {{{"client_address", &o.client_listen},
                            {"peer_address", &o.peer_listen},
                            {"admin_address", &o.admin_listen},
                            {"http_address", &o.http_listen}}};
  if (Status apart = check_apart(listens); !apart.ok()) return apart;
  for (const auto& [flag, address] : listens) {
    if (!o.insecure && !net::is_loopback(*address)) {
      return bad(flag, net::to_string(*address),
                 "is beyond loopback; connections are not encrypted yet, so this needs --insecure");
    }
  }
  for (const Status& told : {check_told("client", o.client_listen, o.client_advertise),
                             check_told("peer", o.peer_listen, o.peer_advertise)}) {
    if (!told.ok()) return told;
  }
  if (!o.join.empty() && o.bootstrap) {
    return bad("join", net::to_string(o.join.front()),
               "and --bootstrap exclude each other: a server joins a cluster or forms one");
  }
  if (!o.join.empty() && !o.initial_cluster.empty()) {
    return bad("join", net::to_string(o.join.front()),
               "and --initial_cluster exclude each other: one names a cluster that runs, the other "
               "one that is to be formed");
  }
  if (o.data_dir.empty()) return bad("data_dir", "", "must name a directory");
  if (o.initial_cluster.empty()) return ok_status();
  std::string members;
  for (const InitialMember& member : o.initial_cluster) {
    if (member.id == o.node_id) return ok_status();
    members += (members.empty() ? "" : ",") + std::to_string(member.id.value) + "=" +
               net::to_string(member.peer);
  }
  return bad("initial_cluster", members,
             "does not list this server, --node_id=" + std::to_string(o.node_id.value));
}

}  // namespace holdfast::server
