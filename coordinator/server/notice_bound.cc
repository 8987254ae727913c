#include "coordinator/server/notice_bound.h"

#include <limits>
#include <set>
#include <string>

#include "lockmgr/lock_table.h"
#include "session/session_table.h"

namespace holdfast::server {

using command::CommandKind;

NoticeBound::Command NoticeBound::command_of(const command::CommandHeader& header) {
  return {SessionId(static_cast<uint64_t>(header.sessionId)),
          Sequence(static_cast<uint64_t>(header.sequence))};
}

std::optional<Refusal> NoticeBound::judge(const command::CommandHeader& header,
                                          std::string_view entry) {
  judged_.reset();
  if (header.kind != CommandKind::REVOKE_LOCK) return std::nullopt;
  settle();
  command::CommandHeader decoded;
  command::RevokeLock revocation;
  // What does not decode is refused by apply; `force` takes the lock at once and tells nothing.
  if (!decoder_.header(entry, decoded).ok()) return std::nullopt;
  const std::string_view body = decoder_.body_bytes();
  if (!decoder_.body(revocation).ok() || revocation.force) return std::nullopt;
  if (header.sequence != 0 && judged_before(header, body)) return std::nullopt;
  Added added;
  added.origin = {NodeId(static_cast<uint64_t>(header.originNode)),
                  static_cast<uint64_t>(header.originRequest)};
  if (header.sequence != 0) added.command = command_of(header);
  added.holders = concerned(revocation);
  added.path = revocation.path;
  std::map<SessionId, size_t> of_sessions;  // a session may hold a lock under many names
  for (const Holder& holder : added.holders) {
    if (told_.contains({holder.first, holder.second, added.path})) continue;
    of_sessions[holder.first] += bytes_of(added.path);
  }
  for (const auto& [session, bytes] : of_sessions) {
    if (auto refusal = too_many(session, bytes)) return refusal;
  }
  judged_ = std::move(added);
  return std::nullopt;
}

void NoticeBound::take() {
  if (!judged_) return;
  for (const Holder& holder : judged_->holders) {
    ++told_[{holder.first, holder.second, judged_->path}];
  }
  if (judged_->command.second) ++commands_[judged_->command];
  const Origin origin = judged_->origin;
  gathered_.insert_or_assign(origin, *std::exchange(judged_, std::nullopt));
}

/// A retry adds nothing to what its first copy did or will do, and is answered as that one was
/// (PROMISE 4).
bool NoticeBound::judged_before(const command::CommandHeader& header, std::string_view body) const {
  const Command command = command_of(header);
  if (commands_.contains(command)) return true;
  const session::Session* session = host_.machine.sessions().find(command.first);
  const uint64_t content = rsm::content_hash(header.kind, body);
  return session == nullptr ||
         session->window.know(command.second, content) != session::Known::kNew;
}

/// One that has a notice is not given a second one.
std::vector<NoticeBound::Holder> NoticeBound::concerned(
    const command::RevokeLock& revocation) const {
  const lockmgr::DescribeLimits all_holders{std::numeric_limits<size_t>::max(), 0, 0};
  const lockmgr::LockInfo lock = host_.machine.locks().describe(revocation.path, all_holders);
  std::vector<Holder> holders;
  for (const lockmgr::HolderInfo& holder : lock.holders) {
    const auto id = static_cast<int64_t>(holder.holder_id.value);
    if (holder.revoking || (revocation.holderId != 0 && revocation.holderId != id)) continue;
    holders.emplace_back(holder.session, holder.holder_id);
  }
  return holders;
}

std::optional<Refusal> NoticeBound::too_many(SessionId session, size_t added) const {
  std::vector<lockmgr::Notice> notices;
  host_.machine.notices_of(session, notices);
  std::set<std::pair<Revision, std::string_view>> in_force;
  size_t bytes = added;
  for (const lockmgr::Notice& notice : notices) {
    bytes += bytes_of(notice.path);
    in_force.insert({notice.holder_id, notice.path});
  }
  size_t under_way = 0;
  for (auto at = told_.lower_bound({session, Revision(), ""}); at != told_.end(); ++at) {
    const auto& [whose, holder, path] = at->first;
    if (whose != session) break;
    if (in_force.contains({holder, path})) continue;
    bytes += bytes_of(path);
    ++under_way;
  }
  if (bytes <= kBytesMax) return std::nullopt;
  return Refusal{ErrorCode::kLimitExceeded,
                 "session " + std::to_string(session.value) + " has " +
                     std::to_string(notices.size()) + " revocations in force and " +
                     std::to_string(under_way) +
                     " under way; with what is asked for they would take " + std::to_string(bytes) +
                     " bytes of each reply, the limit is " + std::to_string(kBytesMax) +
                     ": wait, name one holder, end the session, or use force",
                 false, false, 0};
}

void NoticeBound::proposed(NodeId node, uint64_t request, LogIndex index) {
  const auto at = gathered_.find({node, request});
  if (at == gathered_.end()) return;
  at->second.index = index;
  proposed_.push_back(std::move(at->second));
  gathered_.erase(at);
}

void NoticeBound::give_back(NodeId node, uint64_t request) {
  const auto at = gathered_.find({node, request});
  if (at == gathered_.end()) return;
  forget(at->second);
  gathered_.erase(at);
}

// A leader of a later term serves once it has applied all that an earlier one had proposed and that
// is not lost.
void NoticeBound::settle() {
  if (term_ != host_.soft.term) {
    term_ = host_.soft.term;
    gathered_.clear();
    proposed_.clear();
    commands_.clear();
    told_.clear();
  }
  while (!proposed_.empty() && proposed_.front().index <= host_.applied) {
    forget(proposed_.front());
    proposed_.pop_front();
  }
}

void NoticeBound::forget(const Added& added) {
  for (const Holder& holder : added.holders) {
    const auto at = told_.find({holder.first, holder.second, added.path});
    if (--at->second == 0) told_.erase(at);
  }
  const auto copies = commands_.find(added.command);
  if (copies != commands_.end() && --copies->second == 0) commands_.erase(copies);
}

}  // namespace holdfast::server
