// holdfast-bench: measures a cluster and prints the figures as JSON.
#include <gflags/gflags.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>

#include "bench/load/load.h"

DECLARE_bool(help);  // gflags' own
DEFINE_string(profile, "",
              "commands, pairs, handoff, renewals, failover, freeze, puts, gets, watch, keys, "
              "restart or upkeep");
DEFINE_string(servers, "127.0.0.1:7411", "client addresses, host:port,...");
DEFINE_bool(start_cluster, false, "measure three servers of the bench's own instead");
DEFINE_string(holdfastd, "", "server program; empty: beside this program");
DEFINE_int32(
    outstanding, 0,
    "commands, puts, gets, keys, watch, upkeep: in flight at once, 1 to 1024; 0: 256, for watch 8, "
    "for upkeep 16");
DEFINE_int32(connections, 0, "0: 6, for renewals 64");
DEFINE_int32(keys, 0,
             "puts, gets: keys that are written or read, in no order; keys, restart, upkeep: how "
             "many are loaded before; 0: 10000, for keys 1000000, for restart and upkeep 500000");
DEFINE_int32(watchers, 1'000,
             "watch: sessions over --connections that each watch one of the keys written");
DEFINE_int32(watched_keys, 1, "watch: keys written in turn; --watchers must be a multiple of it");
DEFINE_int32(rest_ms, 0,
             "watch: if above 0, one put at a time; once all watchers have it they poll again, and "
             "this pause follows");
DEFINE_string(consistency, "linearizable",
              "gets: linearizable, local, or revision (local, but not older than the keys)");
DEFINE_int32(clients, 256, "pairs: sessions, each with a lock of its own");
DEFINE_int32(waiters, 32, "handoff: waiters of the one lock");
DEFINE_int32(sessions, 100'000, "renewals: sessions, each renewed every 3 s");
DEFINE_string(renew_by, "keepalive",
              "renewals: keepalive, evenly spread, or poll, as the client library does");
DEFINE_bool(spread, false,
            "renewals, gets, watch: connect to all servers alike, not to the leader alone");
DEFINE_int32(idle_connections, 0,
             "renewals: connections besides, over all servers, each with a parked poll");
DEFINE_int32(value_bytes, 256,
             "commands, failover, puts, gets, watch, keys: size of the value written");
DEFINE_double(seconds, 5, "how long each run is measured");
DEFINE_double(warmup, 1, "seconds before measuring");
DEFINE_int32(repeat, 1, "runs");

namespace holdfast::bench {
namespace {

using Profile = std::function<nlohmann::json(Bench&)>;

const std::map<std::string, Profile>& profiles() {
  static const std::map<std::string, Profile> all = {
      {"commands", run_commands},
      {"pairs", run_pairs},
      {"handoff", run_handoff},
      {"renewals", run_renewals},
      {"puts", run_puts},
      {"gets", run_gets},
      {"watch", run_watch},
      {"keys", run_keys},
      {"restart", run_restart},
      {"upkeep", run_upkeep},
      {"failover", [](Bench& bench) { return run_failover(bench, false); }},
      {"freeze", [](Bench& bench) { return run_failover(bench, true); }},
  };
  return all;
}

Parameters::Currency read_consistency() {
  if (FLAGS_consistency == "linearizable") return Parameters::Currency::kLinearizable;
  if (FLAGS_consistency == "local") return Parameters::Currency::kLocal;
  if (FLAGS_consistency == "revision") return Parameters::Currency::kRevision;
  fail("--consistency is \"" + FLAGS_consistency +
       "\" but must be linearizable, local or revision");
}

void read_key_parameters(Parameters& p) {
  constexpr int kOutstanding = 256;
  constexpr int kKeys = 10'000;
  static const std::map<std::string, int> outstanding = {{"watch", 8}, {"upkeep", 16}};
  static const std::map<std::string, int> keys = {
      {"keys", 1'000'000}, {"restart", 500'000}, {"upkeep", 500'000}};
  const auto of_profile = [&](const std::map<std::string, int>& all, int others) {
    const auto found = all.find(p.profile);
    return found == all.end() ? others : found->second;
  };
  if (FLAGS_outstanding == 0) p.outstanding = of_profile(outstanding, kOutstanding);
  p.keys = FLAGS_keys != 0 ? FLAGS_keys : of_profile(keys, kKeys);
  p.watchers = FLAGS_watchers;
  p.watched_keys = FLAGS_watched_keys;
  p.rest_ms = FLAGS_rest_ms;
  p.consistency = read_consistency();
  if (p.keys < 1 || p.keys > 100'000'000) {
    fail("--keys is " + std::to_string(p.keys) + " but must be from 1 to 100000000");
  }
  if (p.watchers < 1 || p.watchers > 1'000'000) {
    fail("--watchers is " + std::to_string(p.watchers) + " but must be from 1 to 1000000");
  }
  if (p.watched_keys < 1 || p.watchers % p.watched_keys != 0) {
    fail("--watched_keys is " + std::to_string(p.watched_keys) + " but must divide --watchers, " +
         std::to_string(p.watchers));
  }
  if (p.rest_ms < 0 || p.rest_ms > 10'000) {
    fail("--rest_ms is " + std::to_string(p.rest_ms) + " but must be from 0 to 10000");
  }
}

Parameters read_parameters() {
  Parameters p;
  p.profile = FLAGS_profile;
  p.servers = split(FLAGS_servers);
  p.outstanding = FLAGS_outstanding;
  p.connections = FLAGS_connections > 0 ? FLAGS_connections : FLAGS_profile == "renewals" ? 64 : 6;
  p.clients = FLAGS_clients;
  p.waiters = FLAGS_waiters;
  p.sessions = FLAGS_sessions;
  p.idle_connections = FLAGS_idle_connections;
  p.spread = FLAGS_spread;
  p.renew_by_poll = FLAGS_renew_by == "poll";
  p.value_bytes = FLAGS_value_bytes;
  p.seconds = FLAGS_seconds;
  p.warmup_seconds = FLAGS_warmup;
  read_key_parameters(p);
  if (p.outstanding < 1 || p.outstanding > 1024) fail("--outstanding must be from 1 to 1024");
  if (p.clients < 1 || p.waiters < 1 || p.sessions < 1 || FLAGS_repeat < 1) {
    fail("--clients, --waiters, --sessions and --repeat must be at least 1");
  }
  if (FLAGS_renew_by != "poll" && FLAGS_renew_by != "keepalive") {
    fail("--renew_by is \"" + FLAGS_renew_by + "\" but must be keepalive or poll");
  }
  if (p.idle_connections < 0) {
    fail("--idle_connections is " + std::to_string(p.idle_connections) + ", it must be 0 or more");
  }
  if (p.seconds <= 0 || p.seconds > 60) fail("--seconds must be above 0, at most 60");
  return p;
}

nlohmann::json to_json(const Parameters& p) {
  return {{"outstanding", p.outstanding}, {"connections", p.connections},
          {"clients", p.clients},         {"waiters", p.waiters},
          {"sessions", p.sessions},       {"idle_connections", p.idle_connections},
          {"renew_by", FLAGS_renew_by},   {"spread", p.spread},
          {"value_bytes", p.value_bytes}, {"keys", p.keys},
          {"watchers", p.watchers},       {"watched_keys", p.watched_keys},
          {"rest_ms", p.rest_ms},         {"consistency", FLAGS_consistency},
          {"seconds", p.seconds},         {"own_cluster", FLAGS_start_cluster}};
}

std::string server_program() {
  if (!FLAGS_holdfastd.empty()) return FLAGS_holdfastd;
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "holdfastd").string();
}

/// Our own flags, without those of the libraries.
int print_help() {
  std::printf("holdfast-bench: measures a Holdfast cluster; see docs/performance.md\n\n");
  std::vector<gflags::CommandLineFlagInfo> flags;
  gflags::GetAllFlags(&flags);
  for (const auto& flag : flags) {
    if (!flag.filename.ends_with("holdfast_bench.cc")) continue;
    const std::string otherwise =
        flag.default_value.empty() ? "" : "; default " + flag.default_value;
    std::printf("  --%-18s %s%s\n", flag.name.c_str(), flag.description.c_str(), otherwise.c_str());
  }
  return 0;
}

int run() {
  const auto profile = profiles().find(FLAGS_profile);
  if (profile == profiles().end()) {
    fail("--profile is \"" + FLAGS_profile +
         "\" but must be commands, pairs, handoff, renewals, failover, freeze, puts, gets, watch, "
         "keys, restart or upkeep");
  }
  Parameters parameters = read_parameters();
  raise_descriptor_limit(int64_t{parameters.idle_connections} + parameters.connections);
  std::unique_ptr<Cluster> cluster;
  if (FLAGS_start_cluster) {
    progress("starting three servers");
    // As the systemd unit starts them, for the same reason; who measures may set something else.
    ::setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1:glibc.malloc.tcache_count=1000", 0);
    cluster = std::make_unique<Cluster>(server_program(), 3);
    parameters.servers = cluster->addresses();
  }
  nlohmann::json out = {{"profile", FLAGS_profile}, {"parameters", to_json(parameters)}};
  for (int i = 0; i < FLAGS_repeat; ++i) {
    progress(FLAGS_profile + ": run " + std::to_string(i + 1) + " of " +
             std::to_string(FLAGS_repeat));
    Bench bench(parameters, cluster.get());
    out["runs"].push_back(profile->second(bench));
  }
  std::printf("%s\n", out.dump(2).c_str());
  return 0;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  gflags::ParseCommandLineNonHelpFlags(&argc, &argv, true);
  if (FLAGS_help) return holdfast::bench::print_help();
  gflags::HandleCommandLineHelpFlags();
  return holdfast::bench::run();
}
