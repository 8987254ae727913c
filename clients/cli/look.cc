// Commands that look: locks, lock describe, sessions, status, members.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/cluster.h"
#include "clients/cli/command.h"
#include "clients/cli/output.h"

namespace holdfast::cli {

namespace {

using nlohmann::json;

int usage_error(const std::string& message) {
  std::fprintf(stderr, "holdfast: %s\n", message.c_str());
  return kUsage;
}

int print(const json& value) {
  std::printf("%s\n", value.dump(2, ' ', false, json::error_handler_t::replace).c_str());
  return kDone;
}

const char* mode_name(api::LockMode::type mode) {
  switch (mode) {
    case api::LockMode::SHARED:
      return "shared";
    case api::LockMode::SEMAPHORE:
      return "semaphore";
    default:
      return "exclusive";
  }
}

const char* end_name(api::EndReason::type reason) {
  switch (reason) {
    case api::EndReason::RELEASED:
      return "released";
    case api::EndReason::SESSION_CLOSED:
      return "session closed";
    case api::EndReason::SESSION_EXPIRED:
      return "session expired";
    case api::EndReason::REVOKED:
      return "revoked";
    case api::EndReason::HANDED_OVER:
      return "handed over";
    case api::EndReason::SESSION_REVOKED:
      return "session ended by an operator";
    case api::EndReason::RESTORED:
      return "restored from a backup";
    default:
      return "?";
  }
}

json to_json(const api::LockHolder& h) {
  return {{"holderId", h.holderId},       {"token", h.token},      {"sessionId", h.sessionId},
          {"sessionName", h.sessionName}, {"owner", h.owner},      {"mode", mode_name(h.mode)},
          {"permits", h.permits},         {"value", h.value},      {"sinceUnixMs", h.sinceUnixMs},
          {"leaseLeftMs", h.leaseLeftMs}, {"revoking", h.revoking}};
}

json to_json(const api::LockWaiter& w) {
  return {{"holderId", w.holderId},     {"position", w.position},
          {"sessionId", w.sessionId},   {"sessionName", w.sessionName},
          {"owner", w.owner},           {"mode", mode_name(w.mode)},
          {"permits", w.permits},       {"sinceUnixMs", w.sinceUnixMs},
          {"waitLeftMs", w.waitLeftMs}, {"locksWanted", w.locksWanted}};
}

json to_json(const api::Tenure& t) {
  return {{"holderId", t.holderId},       {"token", t.token},
          {"sessionId", t.sessionId},     {"sessionName", t.sessionName},
          {"sinceUnixMs", t.sinceUnixMs}, {"endedUnixMs", t.endedUnixMs},
          {"reason", end_name(t.reason)}, {"note", t.note}};
}

template <class T>
json list_of(const std::vector<T>& items) {
  json out = json::array();
  for (const T& item : items) out.push_back(to_json(item));
  return out;
}

// ------------------------------------------------------------------------------------- locks

int run_locks(const Arguments& arguments) {
  auto cluster = Cluster::clients(arguments);
  if (!cluster) return fail(cluster.error());
  api::ListLocksRequest request;
  if (!arguments.positional().empty()) request.prefix = arguments.positional()[0];
  request.pageSize = 1'000;
  json all = json::array();
  std::vector<std::vector<std::string>> rows;
  do {
    const auto page = (*cluster)->read<client::ListLocks>(request);
    if (!page) return fail(page.error());
    for (const api::LockSummary& lock : page->locks) {
      all.push_back({{"path", lock.path},
                     {"holders", list_of(lock.holders)},
                     {"holderCount", lock.holderCount},
                     {"waiterCount", lock.waiterCount}});
      const bool held = !lock.holders.empty();
      rows.push_back({lock.path, held ? lock.holders[0].sessionName : "-",
                      held ? std::to_string(lock.holders[0].token) : "-",
                      held ? human_time(lock.holders[0].sinceUnixMs) : "-",
                      std::to_string(lock.holderCount), std::to_string(lock.waiterCount)});
    }
    request.page = page->nextPage;
  } while (!request.page.empty());
  if (arguments.has("json")) return print(all);
  print_table({"PATH", "HOLDER", "TOKEN", "SINCE", "HOLDERS", "WAITERS"}, rows);
  return kDone;
}

void print_lock(const api::LockInfo& lock) {
  std::printf("%s: %d holder(s), %d waiting", lock.path.c_str(), lock.holderCount,
              lock.waiterCount);
  if (lock.limit > 0) std::printf(", semaphore of %d", lock.limit);
  if (lock.closedForMs > 0) std::printf(", closed for %s", human_ms(lock.closedForMs).c_str());
  std::printf("\n");
  std::vector<std::vector<std::string>> rows;
  for (const api::LockHolder& h : lock.holders) {
    rows.push_back({h.sessionName, std::to_string(h.holderId), std::to_string(h.token),
                    mode_name(h.mode), human_time(h.sinceUnixMs), human_ms(h.leaseLeftMs),
                    printable(h.value) + (h.revoking ? " (being revoked)" : "")});
  }
  if (!rows.empty()) {
    std::printf("\n");
    print_table({"HOLDER", "ID", "TOKEN", "MODE", "SINCE", "LEASE LEFT", "VALUE"}, rows);
  }
  rows.clear();
  for (const api::LockWaiter& w : lock.waiters) {
    rows.push_back({std::to_string(w.position), w.sessionName, std::to_string(w.holderId),
                    mode_name(w.mode), human_time(w.sinceUnixMs), human_ms(w.waitLeftMs)});
  }
  if (!rows.empty()) {
    std::printf("\n");
    print_table({"PLACE", "WAITER", "ID", "MODE", "SINCE", "WAIT LEFT"}, rows);
  }
  rows.clear();
  for (const api::Tenure& t : lock.tenures) {
    rows.push_back({t.sessionName, std::to_string(t.token), human_time(t.sinceUnixMs),
                    human_time(t.endedUnixMs), end_name(t.reason), t.note});
  }
  if (!rows.empty()) {
    std::printf("\n");
    print_table({"EARLIER", "TOKEN", "SINCE", "ENDED", "WHY", "NOTE"}, rows);
  }
}

int run_describe(const Arguments& arguments) {
  if (arguments.positional().size() != 1) return usage_error("one PATH is needed");
  auto cluster = Cluster::clients(arguments);
  if (!cluster) return fail(cluster.error());
  api::DescribeLockRequest request;
  request.path = arguments.positional()[0];
  const auto answer = (*cluster)->read<client::DescribeLock>(request);
  if (!answer) return fail(answer.error());
  const api::LockInfo& lock = answer->lock;
  if (arguments.has("json")) {
    return print({{"path", lock.path},
                  {"limit", lock.limit},
                  {"closedForMs", lock.closedForMs},
                  {"holderCount", lock.holderCount},
                  {"waiterCount", lock.waiterCount},
                  {"holders", list_of(lock.holders)},
                  {"waiters", list_of(lock.waiters)},
                  {"tenures", list_of(lock.tenures)}});
  }
  print_lock(lock);
  return kDone;
}

// ---------------------------------------------------------------------------------- sessions

int run_sessions(const Arguments& arguments) {
  auto cluster = Cluster::administration(arguments);
  if (!cluster) return fail(cluster.error());
  api::ListSessionsRequest request;
  request.pageSize = 1'000;
  json all = json::array();
  std::vector<std::vector<std::string>> rows;
  do {
    const auto page = (*cluster)->read<client::ListSessions>(request);
    if (!page) return fail(page.error());
    for (const api::SessionInfo& s : page->sessions) {
      all.push_back({{"sessionId", s.sessionId},
                     {"name", s.name},
                     {"attributes", s.attributes},
                     {"ttlMs", s.ttlMs},
                     {"leaseLeftMs", s.leaseLeftMs},
                     {"openedUnixMs", s.openedUnixMs},
                     {"locks", s.locks},
                     {"places", s.places},
                     {"late", s.late}});
      rows.push_back({std::to_string(s.sessionId), s.name, human_ms(s.ttlMs),
                      human_ms(s.leaseLeftMs), human_time(s.openedUnixMs), std::to_string(s.locks),
                      std::to_string(s.places), s.late ? "late" : ""});
    }
    request.page = page->nextPage;
  } while (request.page != 0);
  if (arguments.has("json")) return print(all);
  print_table({"SESSION", "NAME", "TTL", "LEASE LEFT", "OPENED", "LOCKS", "PLACES", ""}, rows);
  return kDone;
}

// ------------------------------------------------------------------------------------- status

const char* role_name(api::RaftRole::type role) {
  switch (role) {
    case api::RaftRole::LEADER:
      return "leader";
    case api::RaftRole::FOLLOWER:
      return "follower";
    case api::RaftRole::LEARNER:
      return "learner";
    default:
      return "candidate";
  }
}

json to_json(const std::string& address, const api::StatusResult& s) {
  json peers = json::array();
  for (const api::PeerProgress& p : s.progress) {
    peers.push_back({{"nodeId", p.nodeId},
                     {"matchIndex", p.matchIndex},
                     {"nextIndex", p.nextIndex},
                     {"state", p.state},
                     {"inflight", p.inflight}});
  }
  json connections = json::array();
  for (const api::PeerConnection& c : s.connections) {
    connections.push_back({{"nodeId", c.nodeId},
                           {"address", c.address},
                           {"connected", c.connected},
                           {"lastError", c.lastError}});
  }
  return {{"admin", address},
          {"nodeId", s.nodeId},
          {"role", role_name(s.role)},
          {"term", s.term},
          {"votedFor", s.votedFor},
          {"leaderId", s.leaderId},
          {"commitIndex", s.commitIndex},
          {"appliedIndex", s.appliedIndex},
          {"firstIndex", s.firstIndex},
          {"lastIndex", s.lastIndex},
          {"lastTerm", s.lastTerm},
          {"durableIndex", s.durableIndex},
          {"stateDigest", s.stateDigest},
          {"sessions", s.sessions},
          {"locks", s.locks},
          {"waiters", s.waiters},
          {"version", s.version},
          {"clusterId", s.header.clusterId},
          {"storeId", s.storeId},
          {"clusterTimeMs", s.clusterTimeMs},
          {"uptimeMs", s.uptimeMs},
          {"featureLevel", s.featureLevel},
          {"voters", s.voters},
          {"learners", s.learners},
          {"peers", peers},
          {"connections", connections}};
}

int run_status(const Arguments& arguments) {
  json all = json::array();
  std::vector<std::vector<std::string>> rows;
  int answered = 0;
  for (const std::string& address : Cluster::admin_addresses(arguments)) {
    auto cluster = Cluster::one(address, 2s);
    if (!cluster) return fail(cluster.error());
    const auto status = (*cluster)->read<client::ServerStatus>({});
    if (!status) {
      rows.push_back({address, "-", "unreachable", "", "", "", "", "", ""});
      all.push_back({{"admin", address}, {"error", status.error().message}});
      continue;
    }
    ++answered;
    all.push_back(to_json(address, *status));
    rows.push_back({address, std::to_string(status->nodeId), role_name(status->role),
                    std::to_string(status->term), std::to_string(status->appliedIndex),
                    std::to_string(status->sessions), std::to_string(status->locks),
                    human_ms(status->uptimeMs), status->stateDigest.substr(0, 8)});
  }
  if (arguments.has("json")) {
    print(all);
  } else {
    print_table({"SERVER", "NODE", "ROLE", "TERM", "APPLIED", "SESSIONS", "LOCKS", "UP", "DIGEST"},
                rows);
  }
  return answered > 0 ? kDone : kFailed;
}

int run_members(const Arguments& arguments) {
  auto cluster = Cluster::administration(arguments);
  if (!cluster) return fail(cluster.error());
  const auto answer = (*cluster)->read<client::ListMembers>({});
  if (!answer) return fail(answer.error());
  json all = json::array();
  std::vector<std::vector<std::string>> rows;
  for (const api::Member& m : answer->members) {
    all.push_back({{"nodeId", m.nodeId},
                   {"peerAddress", m.peerAddress},
                   {"clientAddress", m.clientAddress},
                   {"storeId", m.storeId},
                   {"voter", m.voter},
                   {"featureLevel", m.featureLevel}});
    rows.push_back({std::to_string(m.nodeId), m.voter ? "voter" : "learner", m.clientAddress,
                    m.peerAddress, std::to_string(m.storeId)});
  }
  if (arguments.has("json")) return print(all);
  print_table({"NODE", "ROLE", "CLIENTS", "PEERS", "STORE"}, rows);
  return kDone;
}

}  // namespace

std::vector<Command> look_commands() {
  return {
      {"locks",
       "[PREFIX]",
       "list locks that are held, queued for or closed",
       "  holdfast locks\n  holdfast locks /jobs/ --json\n",
       {},
       &run_locks},
      {"lock describe",
       "PATH",
       "explain one lock: who holds it, who waits, why earlier holders lost it",
       "  holdfast lock describe /jobs/nightly\n",
       {},
       &run_describe},
      {"sessions", "", "list sessions", "  holdfast sessions\n", {}, &run_sessions},
      {"status",
       "",
       "how each server is",
       "Asks every administration port of --admin.\n\n"
       "  holdfast status --admin 127.0.0.1:7413,127.0.0.1:7423,127.0.0.1:7433\n",
       {},
       &run_status},
      {"members", "", "list the members of the cluster", "  holdfast members\n", {}, &run_members},
  };
}

}  // namespace holdfast::cli
