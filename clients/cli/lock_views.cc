// locks, lock describe, lock revoke.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

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

const char* reason_name(api::EndReason::type reason) {
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
      return "cluster restored";
    default:
      return "unknown";
  }
}

std::string text(int64_t number) { return std::to_string(number); }

json to_json(const api::LockHolder& h) {
  return {
      {"holder_id", h.holderId},        {"token", h.token},      {"session_id", h.sessionId},
      {"session", h.sessionName},       {"owner", h.owner},      {"mode", mode_name(h.mode)},
      {"permits", h.permits},           {"value", h.value},      {"since_unix_ms", h.sinceUnixMs},
      {"lease_left_ms", h.leaseLeftMs}, {"revoking", h.revoking}};
}

json to_json(const api::LockWaiter& w) {
  return {{"holder_id", w.holderId},
          {"position", w.position},
          {"session_id", w.sessionId},
          {"session", w.sessionName},
          {"owner", w.owner},
          {"mode", mode_name(w.mode)},
          {"permits", w.permits},
          {"since_unix_ms", w.sinceUnixMs},
          {"wait_left_ms", w.waitLeftMs},
          {"locks_wanted", w.locksWanted}};
}

json to_json(const api::Tenure& t) {
  return {{"holder_id", t.holderId},
          {"token", t.token},
          {"session_id", t.sessionId},
          {"session", t.sessionName},
          {"since_unix_ms", t.sinceUnixMs},
          {"ended_unix_ms", t.endedUnixMs},
          {"end_revision", t.endRevision},
          {"reason", reason_name(t.reason)},
          {"note", t.note}};
}

template <class T>
json list_json(const std::vector<T>& list) {
  json out = json::array();
  for (const T& item : list) out.push_back(to_json(item));
  return out;
}

void print_lock(const api::LockInfo& lock) {
  std::printf("%s: %d holding, %d waiting", printable(lock.path).c_str(), lock.holderCount,
              lock.waiterCount);
  if (lock.limit > 0) std::printf(", %d permits", lock.limit);
  if (lock.closedForMs > 0) std::printf(", closed for %s", format_ms(lock.closedForMs).c_str());
  std::printf("\n");
  Table holders({"HOLDER", "TOKEN", "MODE", "SESSION", "NAME", "SINCE", "LEASE LEFT", "VALUE"});
  for (const auto& h : lock.holders) {
    holders.add({text(h.holderId) + (h.revoking ? " (revoking)" : ""), text(h.token),
                 mode_name(h.mode), text(h.sessionId), printable(h.sessionName),
                 format_time(h.sinceUnixMs), format_ms(h.leaseLeftMs), printable(h.value)});
  }
  if (!holders.empty()) std::printf("\nHolders\n%s", holders.text().c_str());
  Table waiters({"POSITION", "PLACE", "MODE", "SESSION", "NAME", "SINCE", "WAIT LEFT"});
  for (const auto& w : lock.waiters) {
    waiters.add({text(w.position), text(w.holderId), mode_name(w.mode), text(w.sessionId),
                 printable(w.sessionName), format_time(w.sinceUnixMs), format_ms(w.waitLeftMs)});
  }
  if (!waiters.empty()) std::printf("\nQueue\n%s", waiters.text().c_str());
  Table tenures({"HOLDER", "TOKEN", "SESSION", "NAME", "SINCE", "ENDED", "WHY", "NOTE"});
  for (const auto& t : lock.tenures) {
    tenures.add({text(t.holderId), text(t.token), text(t.sessionId), printable(t.sessionName),
                 format_time(t.sinceUnixMs), format_time(t.endedUnixMs), reason_name(t.reason),
                 printable(t.note)});
  }
  if (!tenures.empty()) std::printf("\nPast holders\n%s", tenures.text().c_str());
}

}  // namespace

int locks_command(const Args& args, const Context& context) {
  if (args.words.size() > 1) return report(Error{ErrorCode::kBadArgument, "one PREFIX at most"});
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  api::ListLocksRequest request;
  if (!args.words.empty()) request.prefix = args.words[0];
  request.pageSize = 1000;
  json all = json::array();
  Table table({"PATH", "HOLDERS", "WAITERS", "TOKEN", "HELD BY", "LEASE LEFT"});
  do {
    const auto page = (*remote)->read<client::ListLocks>(request);
    if (!page) return report(page.error());
    for (const auto& lock : page->locks) {
      const auto* first = lock.holders.empty() ? nullptr : &lock.holders[0];
      all.push_back({{"path", lock.path},
                     {"holders", list_json(lock.holders)},
                     {"holder_count", lock.holderCount},
                     {"waiter_count", lock.waiterCount}});
      table.add({printable(lock.path), text(lock.holderCount), text(lock.waiterCount),
                 first != nullptr ? text(first->token) : "-",
                 first != nullptr ? printable(first->sessionName) : "-",
                 first != nullptr ? format_ms(first->leaseLeftMs) : "-"});
    }
    request.page = page->nextPage;
  } while (!request.page.empty());
  if (context.json) {
    print_json(all);
  } else {
    std::printf("%s", table.text().c_str());
  }
  return kExitOk;
}

int describe_command(const Args& args, const Context& context) {
  if (args.words.size() != 1) return report(Error{ErrorCode::kBadArgument, "one PATH is needed"});
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  api::DescribeLockRequest request;
  request.path = args.words[0];
  const auto answer = (*remote)->read<client::DescribeLock>(request);
  if (!answer) return report(answer.error());
  const api::LockInfo& lock = answer->lock;
  if (!context.json) {
    print_lock(lock);
    return kExitOk;
  }
  print_json({{"path", lock.path},
              {"limit", lock.limit},
              {"closed_for_ms", lock.closedForMs},
              {"holder_count", lock.holderCount},
              {"waiter_count", lock.waiterCount},
              {"holders", list_json(lock.holders)},
              {"waiters", list_json(lock.waiters)},
              {"tenures", list_json(lock.tenures)}});
  return kExitOk;
}

int revoke_command(const Args& args, const Context& context) {
  if (args.words.size() != 1) return report(Error{ErrorCode::kBadArgument, "one PATH is needed"});
  const auto notice = parse_duration(args.get("notice", "10s"));
  if (!notice) return report(notice.error());
  const auto holder = parse_number("--holder", args.get("holder", "0"), 0, INT64_MAX);
  if (!holder) return report(holder.error());
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  api::RevokeLockRequest request;
  request.path = args.words[0];
  request.holderId = *holder;
  request.noticeMs = to_ms(*notice);
  request.reason = args.get("reason");
  request.force = args.has("force");
  const auto answer = (*remote)->write<client::RevokeLock>(request);
  if (!answer) return report(answer.error());
  if (context.json) {
    print_json({{"notice_id", answer->noticeId}, {"holders", answer->holders}});
  } else if (answer->holders == 0) {
    std::printf("nobody holds %s\n", request.path.c_str());
  } else {
    std::printf("%s %d holder(s) of %s\n", request.force ? "taken from" : "announced to",
                answer->holders, request.path.c_str());
  }
  return kExitOk;
}

}  // namespace holdfast::cli
