// sessions, session expire.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/table.h"

namespace holdfast::cli {

using nlohmann::json;

int sessions_command(const Args& args, const Context& context) {
  if (!args.words.empty()) return report(Error{ErrorCode::kBadArgument, "no word is expected"});
  auto remote = Remote::connect(context.admins, context.timeout, false);
  if (!remote) return report(remote.error());
  api::ListSessionsRequest request;
  request.pageSize = 1000;
  json all = json::array();
  Table table({"ID", "NAME", "TTL", "LEASE LEFT", "LOCKS", "PLACES", "OPENED", "LATE"});
  do {
    const auto page = (*remote)->read<client::ListSessions>(request);
    if (!page) return report(page.error());
    for (const auto& s : page->sessions) {
      all.push_back({{"session_id", s.sessionId},
                     {"name", s.name},
                     {"attributes", s.attributes},
                     {"ttl_ms", s.ttlMs},
                     {"lease_left_ms", s.leaseLeftMs},
                     {"opened_unix_ms", s.openedUnixMs},
                     {"locks", s.locks},
                     {"places", s.places},
                     {"late", s.late}});
      table.add({std::to_string(s.sessionId), printable(s.name), format_ms(s.ttlMs),
                 format_ms(s.leaseLeftMs), std::to_string(s.locks), std::to_string(s.places),
                 format_time(s.openedUnixMs), s.late ? "late" : ""});
    }
    request.page = page->nextPage;
  } while (request.page != 0);
  if (context.json) {
    print_json(all);
  } else if (table.empty()) {
    std::printf("no sessions are open\n");
  } else {
    std::printf("%s", table.text().c_str());
  }
  return kExitOk;
}

int expire_command(const Args& args, const Context& context) {
  if (args.words.size() != 1) return report(Error{ErrorCode::kBadArgument, "one ID is needed"});
  const auto id = parse_number("ID", args.words[0], 1, kNumberMax);
  if (!id) return report(id.error());
  const auto notice = parse_duration("--notice", args.get("notice", "10s"));
  if (!notice) return report(notice.error());
  auto remote = Remote::connect(context.admins, context.timeout, false);
  if (!remote) return report(remote.error());
  api::ExpireSessionRequest request;
  request.sessionId = *id;
  request.noticeMs = to_ms(*notice);
  request.reason = args.get("reason");
  request.force = args.has("force");
  const auto answer = (*remote)->write<client::ExpireSession>(request);
  if (!answer) return report(in_words_of_flags(answer.error(), {{"noticeMs", "--notice in ms"}}));
  if (context.json) {
    print_json({{"session_id", *id}, {"revision", answer->header.revision}});
  } else {
    std::printf("session %lld: %s\n", static_cast<long long>(*id),
                request.force ? "ended" : "its end is announced");
  }
  return kExitOk;
}

}  // namespace holdfast::cli
