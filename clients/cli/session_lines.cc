#include "clients/cli/session_lines.h"

#include <nlohmann/json.hpp>

#include "clients/cli/output.h"
#include "clients/cli/table.h"

namespace holdfast::cli {

using nlohmann::json;

void SessionLines::say(const json& document, const std::string& sentence) const {
  if (!json_) return say_on_stderr("holdfast: " + printable(sentence));
  out_(document.dump(-1, ' ', false, json::error_handler_t::replace));
}

void SessionLines::notice(int64_t session, const api::RevocationNotice& notice) const {
  const std::string what = notice.path.empty() ? "the session is being ended"
                                               : "the lock " + notice.path + " is being revoked";
  say({{"type", "notice"},
       {"session_id", session},
       {"path", notice.path},
       {"notice_ms", notice.noticeMs},
       {"reason", notice.reason}},
      what + (notice.reason.empty() ? "" : ": " + notice.reason));
}

void SessionLines::session_ended(int64_t session, const std::string& reason,
                                 const std::string& sentence) const {
  say({{"type", "session_ended"}, {"session_id", session}, {"reason", reason}}, sentence);
}

}  // namespace holdfast::cli
