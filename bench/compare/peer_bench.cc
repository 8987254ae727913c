// peer-bench: what holdfast-bench measures, asked of ZooKeeper or etcd. ./dev compare starts their
// servers and calls it.
#include <gflags/gflags.h>

#include <charconv>
#include <cstdio>
#include <map>

#include "bench/compare/profiles.h"

DEFINE_string(system, "", "zookeeper or etcd");
DEFINE_string(profile, "", "commands, pairs, handoff, gets, watch, fill or failover");
DEFINE_string(servers, "", "client addresses, host:port,...; the leader first");
DEFINE_string(pids, "", "the servers' process ids, in the same order");
DEFINE_int32(outstanding, 256, "commands, gets: in flight at once, 1 to 1024");
DEFINE_int32(connections, 6, "1 to 1024");
DEFINE_int32(clients, 256, "pairs: clients, each with a lock of its own");
DEFINE_int32(waiters, 32, "handoff: waiters of the one lock");
DEFINE_int32(watchers, 1'000, "watch: over --connections, each watches the one key written");
DEFINE_int32(rest_ms, 20, "watch: pause once all watchers have a change and watch again");
DEFINE_bool(spread, false, "watch: connect to all servers alike, not to the leader alone");
DEFINE_int32(keys, 10'000, "fill: keys that are made; gets: and read, in no order");
DEFINE_string(consistency, "linearizable",
              "gets: linearizable from the leader, or local from all servers");
DEFINE_int32(value_bytes, 256, "commands, gets, watch, fill, failover: size of the value written");
DEFINE_double(seconds, 5, "how long each run is measured");
DEFINE_double(warmup, 1, "seconds before measuring");
DEFINE_int32(repeat, 1, "runs");

namespace holdfast::bench {
namespace {

template <class Value>
Value chosen(const std::map<std::string, Value>& from, const std::string& flag,
             const std::string& name) {
  const auto found = from.find(name);
  if (found != from.end()) return found->second;
  std::string names;
  for (const auto& [known, _] : from) names += (names.empty() ? "" : ", ") + known;
  fail("--" + flag + " is \"" + name + "\" but must be one of " + names);
}

PeerBench::MakeStore chosen_system() {
  return chosen<PeerBench::MakeStore>({{"zookeeper", make_zookeeper}, {"etcd", make_etcd}},
                                      "system", FLAGS_system);
}

using Profile = nlohmann::json (*)(PeerBench&);

Profile chosen_profile() {
  return chosen<Profile>({{"commands", run_peer_commands},
                          {"pairs", run_peer_pairs},
                          {"handoff", run_peer_handoff},
                          {"gets", run_peer_gets},
                          {"watch", run_peer_watch},
                          {"fill", run_peer_fill},
                          {"failover", run_peer_failover}},
                         "profile", FLAGS_profile);
}

std::vector<pid_t> read_pids() {
  std::vector<pid_t> pids;
  for (const std::string& text : split(FLAGS_pids)) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error != std::errc{} || end != text.data() + text.size() || pid < 1) {
      fail("--pids has \"" + text + "\", which is no process id");
    }
    pids.push_back(pid);
  }
  return pids;
}

void check_range(const char* flag, double value, double least, double most) {
  if (value >= least && value <= most) return;
  char text[160];
  std::snprintf(text, sizeof text, "--%s is %g but must be from %g to %g", flag, value, least,
                most);
  fail(text);
}

Parameters read_parameters() {
  check_range("outstanding", FLAGS_outstanding, 1, 1024);
  check_range("connections", FLAGS_connections, 1, 1024);
  check_range("clients", FLAGS_clients, 1, 100'000);
  check_range("waiters", FLAGS_waiters, 1, 100'000);
  check_range("watchers", FLAGS_watchers, 1, 1'000'000);
  check_range("rest_ms", FLAGS_rest_ms, 1, 10'000);
  check_range("keys", FLAGS_keys, 1, 10'000'000);
  check_range("value_bytes", FLAGS_value_bytes, 0, 512 << 10);
  check_range("seconds", FLAGS_seconds, 0.1, 60);
  check_range("warmup", FLAGS_warmup, 0, 60);
  check_range("repeat", FLAGS_repeat, 1, 1000);
  Parameters p;
  p.profile = FLAGS_profile;
  p.servers = split(FLAGS_servers);
  p.outstanding = FLAGS_outstanding;
  p.connections = FLAGS_connections;
  p.clients = FLAGS_clients;
  p.waiters = FLAGS_waiters;
  p.watchers = FLAGS_watchers;
  p.rest_ms = FLAGS_rest_ms;
  p.spread = FLAGS_spread;
  p.keys = FLAGS_keys;
  using Currency = Parameters::Currency;
  p.consistency =
      chosen<Currency>({{"linearizable", Currency::kLinearizable}, {"local", Currency::kLocal}},
                       "consistency", FLAGS_consistency);
  p.value_bytes = FLAGS_value_bytes;
  p.seconds = FLAGS_seconds;
  p.warmup_seconds = FLAGS_warmup;
  return p;
}

int run() {
  const auto make = chosen_system();
  const Profile profile = chosen_profile();
  const Parameters parameters = read_parameters();
  raise_descriptor_limit(parameters.connections);
  const auto pids = read_pids();
  if (parameters.servers.empty() || parameters.servers.size() != pids.size()) {
    fail("--servers names " + std::to_string(parameters.servers.size()) + " servers and --pids " +
         std::to_string(pids.size()) + "; both must name the same, at least one");
  }
  nlohmann::json out = {{"system", FLAGS_system}, {"profile", FLAGS_profile}};
  for (int i = 0; i < FLAGS_repeat; ++i) {
    PeerBench bench(parameters, pids, make);
    out["runs"].push_back(profile(bench));
  }
  std::printf("%s\n", out.dump(2).c_str());
  return 0;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  gflags::SetUsageMessage("measures ZooKeeper or etcd beside Holdfast; see docs/performance.md");
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  return holdfast::bench::run();
}
