// locks, lock describe, lock revoke.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/table.h"
#include "clients/cli/tenure_words.h"

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
          {"lease_left_ms", w.leaseLeftMs},
          {"locks_wanted", w.locksWanted}};
}

json to_json(const api::Tenure& t) {
  return {{"holder_id", t.holderId},
          {"token", t.token},
          {"session_id", t.sessionId},
          {"session", t.sessionName},
          {"owner", t.owner},
          {"since_unix_ms", t.sinceUnixMs},
          {"ended_unix_ms", t.endedUnixMs},
          {"end_revision", t.endRevision},
          {"reason", end_reason_words(t.reason)},
          {"note", t.note}};
}

template <class T>
json list_json(const std::vector<T>& list) {
  json out = json::array();
  for (const T& item : list) out.push_back(to_json(item));
  return out;
}

template <class T>
int64_t permits_of(const std::vector<T>& list) {
  int64_t sum = 0;
  for (const T& item : list) sum += item.permits;
  return sum;
}

/// "shared", "2 permits": what a holder has or a waiter wants.
template <class T>
std::string mode_text(const T& item) {
  if (item.mode != api::LockMode::SEMAPHORE) return mode_name(item.mode);
  return text(item.permits) + (item.permits == 1 ? " permit" : " permits");
}

/// The session's name, and the handle's within it if it has one.
template <class T>
std::string name_text(const T& item) {
  return printable(item.sessionName) + (item.owner.empty() ? "" : " / " + printable(item.owner));
}

/// Ends a table that shows only the first of them.
std::string first_of(size_t shown, int32_t all) {
  if (std::cmp_greater_equal(shown, all)) return "";
  return "(the first " + std::to_string(shown) + " of " + text(all) + ")\n";
}

const char* closed_by(const api::LockInfo& lock) {
  return lock.restoreHold ? "the hold after a restore" : "lock-delay";
}

void print_summary(const api::LockInfo& lock) {
  std::printf("%s: ", printable(lock.path).c_str());
  if (lock.holderCount == 0 && lock.waiterCount == 0 && lock.closedForMs == 0) {
    std::printf("free\n");
    return;
  }
  std::printf("%d holding, %d waiting", lock.holderCount, lock.waiterCount);
  if (lock.limit > 0) {
    std::printf(", %lld of %d permits taken", static_cast<long long>(permits_of(lock.holders)),
                lock.limit);
  }
  if (lock.closedForMs > 0) {
    std::printf(", closed by %s for another %s", closed_by(lock),
                format_ms(lock.closedForMs).c_str());
  }
  std::printf("\n");
}

void print_holders(const api::LockInfo& lock) {
  Table table({"HOLDER", "TOKEN", "MODE", "SESSION", "NAME", "SINCE", "LEASE LEFT", "VALUE"});
  for (const auto& h : lock.holders) {
    table.add({text(h.holderId) + (h.revoking ? " (revoking)" : ""), text(h.token), mode_text(h),
               text(h.sessionId), name_text(h), format_time(h.sinceUnixMs),
               format_ms(h.leaseLeftMs), printable(h.value)});
  }
  if (table.empty()) return;
  std::printf("\nHolders\n%s%s", table.text().c_str(),
              first_of(lock.holders.size(), lock.holderCount).c_str());
}

void print_queue(const api::LockInfo& lock) {
  Table table(
      {"POSITION", "PLACE", "WANTS", "SESSION", "NAME", "SINCE", "LEASE LEFT", "WAIT LEFT"});
  for (const auto& w : lock.waiters) {
    const std::string together =
        w.locksWanted > 1 ? ", with " + text(w.locksWanted - 1) + " more at once" : "";
    table.add({text(w.position), text(w.holderId), mode_text(w) + together, text(w.sessionId),
               name_text(w), format_time(w.sinceUnixMs), format_ms(w.leaseLeftMs),
               w.waitLeftMs < 0 ? "no limit" : format_ms(w.waitLeftMs)});
  }
  if (table.empty()) return;
  std::printf("\nQueue\n%s%s", table.text().c_str(),
              first_of(lock.waiters.size(), lock.waiterCount).c_str());
}

void print_tenures(const api::LockInfo& lock) {
  Table table({"HOLDER", "TOKEN", "SESSION", "NAME", "SINCE", "ENDED", "WHY", "NOTE"});
  for (const auto& t : lock.tenures) {
    table.add({text(t.holderId), text(t.token), text(t.sessionId), name_text(t),
               format_time(t.sinceUnixMs), format_time(t.endedUnixMs), end_reason_words(t.reason),
               printable(t.note)});
  }
  if (!table.empty()) std::printf("\nPast holders\n%s", table.text().c_str());
}

/// "billing-1 and 2 more": whom a list shows of a lock's holders.
std::string holders_text(const api::LockSummary& lock) {
  if (lock.holders.empty()) return "-";
  const std::string first = name_text(lock.holders[0]);
  return lock.holderCount > 1 ? first + " and " + text(lock.holderCount - 1) + " more" : first;
}

}  // namespace

int locks_command(const Args& args, const Context& context) {
  if (args.words.size() > 1) return report(Error{ErrorCode::kBadArgument, "one PREFIX at most"});
  if (!args.words.empty() && !args.words[0].starts_with('/')) {
    return report(Error{ErrorCode::kBadArgument,
                        "PREFIX \"" + args.words[0] + "\" does not begin with /: no lock has it"});
  }
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  api::ListLocksRequest request;
  if (!args.words.empty()) request.prefix = args.words[0];
  request.pageSize = 1000;
  json all = json::array();
  Table table({"PATH", "MODE", "HOLDERS", "WAITERS", "TOKEN", "HELD BY", "LEASE LEFT"});
  do {
    const auto page = (*remote)->read<client::ListLocks>(request);
    if (!page) return report(page.error());
    for (const auto& lock : page->locks) {
      const auto* first = lock.holders.empty() ? nullptr : &lock.holders[0];
      all.push_back({{"path", lock.path},
                     {"holders", list_json(lock.holders)},
                     {"holder_count", lock.holderCount},
                     {"waiter_count", lock.waiterCount}});
      table.add({printable(lock.path), first != nullptr ? mode_name(first->mode) : "-",
                 text(lock.holderCount), text(lock.waiterCount),
                 first != nullptr ? text(first->token) : "-", holders_text(lock),
                 first != nullptr ? format_ms(first->leaseLeftMs) : "-"});
    }
    request.page = page->nextPage;
  } while (!request.page.empty());
  if (context.json) {
    print_json(all);
  } else if (table.empty()) {
    std::printf("no locks%s are held or waited for\n",
                request.prefix.empty() ? "" : (" with the prefix " + request.prefix).c_str());
  } else {
    std::printf("%s", table.text().c_str());
  }
  return kExitOk;
}

int describe_command(const Args& args, const Context& context) {
  const auto path = one_path(args);
  if (!path) return report(path.error());
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  api::DescribeLockRequest request;
  request.path = *path;
  const auto answer = (*remote)->read<client::DescribeLock>(request);
  if (!answer) return report(answer.error());
  const api::LockInfo& lock = answer->lock;
  if (!context.json) {
    print_summary(lock);
    print_holders(lock);
    print_queue(lock);
    print_tenures(lock);
    return kExitOk;
  }
  print_json({{"path", lock.path},
              {"limit", lock.limit},
              {"closed_for_ms", lock.closedForMs},
              {"restore_hold", lock.restoreHold},
              {"holder_count", lock.holderCount},
              {"waiter_count", lock.waiterCount},
              {"holders", list_json(lock.holders)},
              {"waiters", list_json(lock.waiters)},
              {"tenures", list_json(lock.tenures)}});
  return kExitOk;
}

int revoke_command(const Args& args, const Context& context) {
  const auto path = one_path(args);
  if (!path) return report(path.error());
  const auto notice = parse_duration("--notice", args.get("notice", "10s"));
  if (!notice) return report(notice.error());
  api::RevokeLockRequest request;
  if (args.has("holder")) {
    // To a server 0 is every holder, and nobody's id.
    const auto holder = parse_number("--holder", args.get("holder"), 1, kNumberMax);
    if (!holder) return report(holder.error());
    request.holderId = *holder;
  }
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  request.path = *path;
  request.noticeMs = to_ms(*notice);
  request.reason = args.get("reason");
  request.force = args.has("force");
  const auto answer = (*remote)->write<client::RevokeLock>(request);
  if (!answer) return report(in_words_of_flags(answer.error(), {{"noticeMs", "--notice in ms"}}));
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
